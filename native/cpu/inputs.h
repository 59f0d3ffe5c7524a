// Inputs of a panel of rows, brought together: rows in the lanes of vectors.
#pragma once

#include "foretell/inputs.h"
#include "layout.h"
#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

template <class Real>
constexpr Index panel_rows = max_vectors * lanes<Real>;

// Those from `first` on, `count` of them, of `present` rows from `begin` on: to [count][vectors][V]; further rows are 0.
template <class Real>
inline void load_inputs(const Inputs<Real>& from, Index first, Index count, Index begin, Index present, Real* to,
                        int vectors = max_vectors) {
  constexpr Index V = lanes<Real>;
  const Index R = vectors * V;
  const Real* values = from.values + first * from.stride + begin * from.row_stride;
  const bool is_whole = from.row_stride == 1 && present == R, is_scaled = from.level;
  Vec<Real> level[max_vectors] = {}, inverse[max_vectors] = {};
  for (int v = 0; is_scaled && v < vectors; ++v) {
    const int there = int(larger(0, smaller(V, present - v * V)));
    level[v] = load(from.level + begin + v * V, there);
    Vec<Real> spread = load(from.spread + begin + v * V, there);
    for (int lane = there; lane < V; ++lane) spread[lane] = 1;
    inverse[v] = 1 / spread;
  }
  const Vec<Real> limit = all(from.limit);
  for (Index k = 0; k < count; ++k, to += R, values += from.stride) {
    if (!is_whole) {
      for (Index n = 0; n < R; ++n) to[n] = n < present ? values[n * from.row_stride] : Real(0);
    }
    for (int v = 0; v < vectors; ++v) {
      Vec<Real> value = load(is_whole ? values + v * V : to + v * V);
      if (is_scaled) value = at_least(at_most((value - level[v]) * inverse[v], limit), -limit);
      store(to + v * V, value);
    }
  }
}

}  // namespace foretell::FORETELL_VARIANT
