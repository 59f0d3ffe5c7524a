// Torch's weights into the panels of forward.
#pragma once

#include "layout.h"
#include "right.h"
#include "transpose.h"

namespace foretell::FORETELL_VARIANT {

// `lines` rows of `count` numbers as vector v of a panel, from factor `at_k` on; what is not there of V lines becomes
// 0.
template <class Number>
void turn_rows(const Wide<Number>* rows, Index row, int lines, Index count, const Panel<Number>& to, Index at_k,
               int v) {
  using Real = Wide<Number>;
  constexpr Index V = lanes<Real>;
  const Index depth = Layout<Number>::depth(count);
  for (Index k = 0; k < depth; k += V) {
    Vec<Real> square[V];
    const Index first = k * together<Number>;
    for (int r = 0; r < V; ++r) {
      square[r] = r < lines ? Product<Number>::of_row(rows + r * row + first, count - first) : Vec<Real>{};
      __builtin_prefetch(rows + (r + V) * row + first);  // of the next square below
    }
    transpose<Real>(square);
    for (Index r = 0; r < smaller(V, depth - k); ++r) to.put(at_k + k + r, v * V, square[r], V);
  }
}

// Panels [J][K][G][V] of the blocks that are this member's, from rows [GH,K] `from`; `at_k` is where they begin in K,
// and `all_k` how much the panels hold, in factors.  `only_gates`: the rows are those of the n gates, and g's part is
// 0.
template <class Number>
void pack_panels(const Layout<Number>& at, const Wide<Number>* from, Index k_count, Index at_k, Index all_k,
                 bool only_gates, Factor<Number>* to, const Share& share) {
  constexpr int V = Layout<Number>::V;
  for (Index j = share.first_block; j < share.last_block; ++j) {
    for (int part = 0; part < 4; ++part) {
      if (at.block[part] < 0) continue;
      const int block = only_gates ? at.gate[part] : at.block[part];
      const Panel<Number> panel{to + j * all_k * at.width, at.blocks};
      const Wide<Number>* rows = block < 0 ? from : from + (block * at.H + j * V) * k_count;
      turn_rows<Number>(rows, k_count, block < 0 ? 0 : at.units(j), k_count, panel, at_k, at.block[part]);
    }
  }
}

// A vector of GH (or, `only_gates`, of nH) numbers, or two added, as [J][vectors][V]; a missing one is 0.
template <class Number>
void pack_vector(const Layout<Number>& at, const Wide<Number>* one, const Wide<Number>* other, bool only_gates,
                 Wide<Number>* to, const Share& share) {
  using Real = Wide<Number>;
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

template <class Number>
void pack_weights(const Cell& cell, const Parameters<const Wide<Number>>& from, Wide<Number>* buffer,
                  const Team& team) {
  using Real = Wide<Number>;
  constexpr int V = lanes<Real>;
  const Layout<Number> at(cell);
  const Packed<Number> to(cell, buffer);
  const auto writable = []<class T>(const T* part) { return const_cast<T*>(part); };
  const Share share(Team{team.member, team.members, team.barrier, Split::units}, at.J, 0, true);
  pack_panels(at, from.weight_ih, at.I, 0, at.depth(at.I), false, writable(to.input), share);
  pack_panels(at, from.weight_hh, at.R, 0, at.seen_depth, false, writable(to.recurrent), share);
  if (cell.gate_recurrence) {
    const Index width = at.gates * at.H;
    pack_panels(at, from.weight_gate, width, at.depth(at.R), at.seen_depth, true, writable(to.recurrent), share);
  }
  pack_vector(at, from.bias_ih, from.bias_hh, false, writable(to.bias), share);
  if (cell.peepholes) pack_vector(at, from.peephole, nullptr, true, writable(to.peephole), share);
  if (cell.layer_norm) {
    pack_vector(at, from.norm_ih, nullptr, false, writable(to.norm_ih), share);
    pack_vector(at, from.norm_hh, nullptr, false, writable(to.norm_hh), share);
    for (Index j = share.first_block; j < share.last_block; ++j) {
      store(writable(to.norm_c) + j * V, load(from.norm_c + j * V, at.units(j)));
      store(writable(to.bias_c) + j * V, from.bias_c ? load(from.bias_c + j * V, at.units(j)) : Vec<Real>{});
    }
  }
  if (!cell.projection) return;
  const Index outputs = at.output_blocks(), depth = at.depth(at.H);
  for (Index j = team.member; j < outputs; j += team.members) {  // W_hr's rows are columns of their panel
    const Index first = j / max_vectors * max_vectors;
    const int vectors = int(smaller(max_vectors, outputs - first));
    const Panel<Number> panel{writable(to.projection) + first * depth * V, vectors};
    const int lines = int(smaller(V, at.R - j * V));
    turn_rows<Number>(from.weight_hr + j * V * at.H, at.H, lines, at.H, panel, 0, int(j - first));
  }
}

}  // namespace foretell::FORETELL_VARIANT
