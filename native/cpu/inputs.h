// Inputs of a panel of rows, brought together: rows in the lanes of vectors.
#pragma once

#include "foretell/inputs.h"
#include "layout.h"
#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

template <class Real>
constexpr Index panel_rows = max_vectors * lanes<Real>;
constexpr Index block_panels = 4;  // whose products are one sum
template <class Real>
constexpr Index block_rows = block_panels * panel_rows<Real>;

// Rows whose sums one thread makes; those of all groups are added up in their order, so that the result does not depend
// on threads.  Groups are so few that their sums, and so many that most machines' threads, come to little.
template <class Real>
Index rows_of_group(Index rows) {
  constexpr Index least_rows = 512, most_groups = 64;
  return ceil_div(larger(least_rows, ceil_div(rows, most_groups)), block_rows<Real>) * block_rows<Real>;
}

// The scales of a panel's rows.
template <class Real>
struct Scales {
  Vec<Real> level[max_vectors] = {}, inverse[max_vectors] = {}, limit;

  Scales(const Inputs<Real>& from, Index begin, Index present, int vectors) : limit(all(from.limit)) {
    constexpr Index V = lanes<Real>;
    for (int v = 0; v < vectors; ++v) {
      const int there = int(larger(0, smaller(V, present - v * V)));
      level[v] = load(from.level + begin + v * V, there);
      Vec<Real> spread = load(from.spread + begin + v * V, there);
      for (int lane = there; lane < V; ++lane) spread[lane] = 1;
      inverse[v] = 1 / spread;
    }
  }
  Vec<Real> scale(Vec<Real> value, int v) const {
    return at_least(at_most((value - level[v]) * inverse[v], limit), -limit);
  }
};

// Those from `first` on, `count` of them, of `present` rows from `begin` on: to [count][vectors][V]; further rows
// are 0.
template <class Real>
inline void load_inputs(const Inputs<Real>& from, Index first, Index count, Index begin, Index present, Real* to,
                        int vectors = max_vectors) {
  constexpr Index V = lanes<Real>;
  const Index R = vectors * V;
  const Real* values = from.values + first * from.stride + begin * from.row_stride;
  if (from.row_stride == 1 && present == panel_rows<Real>) {  // almost all: with the scales in registers
    if (!from.level) {
      for (Index k = 0; k < count; ++k, to += R, values += from.stride) {
        FORETELL_UNROLL for (int v = 0; v < max_vectors; ++v) store(to + v * V, load(values + v * V));
      }
      return;
    }
    const Scales<Real> scales(from, begin, present, max_vectors);
    for (Index k = 0; k < count; ++k, to += R, values += from.stride) {
      FORETELL_UNROLL for (int v = 0; v < max_vectors; ++v) store(to + v * V, scales.scale(load(values + v * V), v));
    }
    return;
  }
  for (Index k = 0; k < count; ++k, values += from.stride) {
    for (Index n = 0; n < R; ++n) to[k * R + n] = n < present ? values[n * from.row_stride] : Real(0);
  }
  if (!from.level) return;
  const Scales<Real> scales(from, begin, present, vectors);
  for (Index k = 0; k < count; ++k, to += R) {
    for (int v = 0; v < vectors; ++v) store(to + v * V, scales.scale(load(to + v * V), v));
  }
}

}  // namespace foretell::FORETELL_VARIANT
