// Torch's weights into the panels of forward.
#pragma once

#include "layout.h"
#include "tiles.h"
#include "transpose.h"

namespace foretell::FORETELL_VARIANT {

// Panels [J][K][G][V] of the blocks that are this member's, from rows [GH,K] `from`; `at_k` is where they begin in K,
// and `all_k` how much the panels hold.  `only_gates`: the rows are those of the n gates, and g's part is 0.
template <class Real>
void pack_panels(const Layout<Real>& at, const Real* from, Index k_count, Index at_k, Index all_k, bool only_gates,
                 Real* to, const Share& share) {
  constexpr int V = lanes<Real>;
  for (Index j = share.first_block; j < share.last_block; ++j) {
    const int units = at.units(j);
    for (int part = 0; part < 4; ++part) {
      if (at.block[part] < 0) continue;
      const int block = only_gates ? at.gate[part] : at.block[part];
      Real* panel = to + (j * all_k + at_k) * at.width + at.block[part] * V;
      if (block < 0 || units < V) {
        for (Index k = 0; k < k_count; ++k) store(panel + k * at.width, Vec<Real>{});
      }
      if (block < 0) continue;
      const Real* rows = from + (block * at.H + j * V) * k_count;
      for (Index k = 0; k < k_count; k += V) {
        const Index count = smaller(V, k_count - k);
        move_square(rows + k, k_count, panel + k * at.width, at.width, units, count);
      }
    }
  }
}

// A vector of GH (or, `only_gates`, of nH) numbers, or two added, as [J][vectors][V]; a missing one is 0.
template <class Real>
void pack_vector(const Layout<Real>& at, const Real* one, const Real* other, bool only_gates, Real* to,
                 const Share& share) {
  constexpr int V = lanes<Real>;
  const int vectors = only_gates ? 3 : at.blocks;
  for (Index j = share.first_block; j < share.last_block; ++j) {
    for (int part = 0, gate = 0; part < 4; ++part) {
      const int block = only_gates ? at.gate[part] : at.block[part];
      if (only_gates && part == 2) continue;
      const int slot = only_gates ? gate++ : block;
      if (slot < 0) continue;
      for (int lane = 0; lane < V; ++lane) {
        const Index from = block * at.H + j * V + lane;
        const bool there = block >= 0 && lane < at.units(j);
        to[(j * vectors + slot) * V + lane] =
            there ? (one ? one[from] : Real(0)) + (other ? other[from] : Real(0)) : Real(0);
      }
    }
  }
}

template <class Real>
void pack_weights(const Cell& cell, const Parameters<const Real>& from, Real* buffer, const Team& team) {
  constexpr int V = lanes<Real>;
  const Layout<Real> at(cell);
  const Packed<Real> to(cell, buffer);
  const auto writable = [](const Real* part) { return const_cast<Real*>(part); };
  const Share share(Team{team.member, team.members, team.barrier, Split::units}, at.J, 0, true);
  pack_panels(at, from.weight_ih, at.I, 0, at.I, false, writable(to.input), share);
  pack_panels(at, from.weight_hh, at.R, 0, at.recurrent, false, writable(to.recurrent), share);
  if (cell.gate_recurrence) {
    pack_panels(at, from.weight_gate, at.gates * at.H, at.R, at.recurrent, true, writable(to.recurrent), share);
  }
  pack_vector(at, from.bias_ih, from.bias_hh, false, writable(to.bias), share);
  if (cell.peepholes) pack_vector<Real>(at, from.peephole, nullptr, true, writable(to.peephole), share);
  if (cell.layer_norm) {
    pack_vector<Real>(at, from.norm_ih, nullptr, false, writable(to.norm_ih), share);
    pack_vector<Real>(at, from.norm_hh, nullptr, false, writable(to.norm_hh), share);
    for (Index j = share.first_block; j < share.last_block; ++j) {
      store(writable(to.norm_c) + j * V, load(from.norm_c + j * V, at.units(j)));
      store(writable(to.bias_c) + j * V, from.bias_c ? load(from.bias_c + j * V, at.units(j)) : Vec<Real>{});
    }
  }
  if (!cell.projection) return;
  const Index outputs = at.output_blocks();
  for (Index r = team.member; r < outputs * V; r += team.members) {  // W_hr's row r is a column of its panel
    const Index panel = r / (max_vectors * V) * max_vectors;
    const Index vectors = smaller(max_vectors, outputs - panel);
    Real* column = writable(to.projection) + panel * V * at.H + (r - panel * V);
    for (Index k = 0; k < at.H; ++k) column[k * vectors * V] = r < at.R ? from.weight_hr[r * at.H + k] : Real(0);
  }
}

}  // namespace foretell::FORETELL_VARIANT
