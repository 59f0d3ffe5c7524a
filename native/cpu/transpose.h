// Squares of numbers, as many as a vector has lanes, transposed in registers.
#pragma once

#include "simd.h"
#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

template <int... LANES>
struct Lanes {};
template <int COUNT, int... LANES>
struct CountLanes : CountLanes<COUNT - 1, COUNT - 1, LANES...> {};
template <int... LANES>
struct CountLanes<0, LANES...> {
  using Type = Lanes<LANES...>;
};

// Half of each of two vectors: of every pair of pieces of HALF lanes the first, or the second, in turn from a and b.
template <int HALF, bool SECOND, class V, int... LANES>
inline V interleave(V a, V b, Lanes<LANES...>) {
  constexpr int count = sizeof...(LANES), shift = SECOND ? HALF : 0;
  return __builtin_shufflevector(a, b, ((LANES & HALF) ? count + LANES - HALF : LANES) + shift...);
}

template <class Real, int HALF = 1>
inline void transpose(Vec<Real>* rows) {
  constexpr int V = lanes<Real>;
  if constexpr (HALF < V) {
    using All = typename CountLanes<V>::Type;
    FORETELL_UNROLL for (int r = 0; r < V; ++r) {
      if (r & HALF) continue;
      const Vec<Real> a = rows[r], b = rows[r + HALF];
      rows[r] = interleave<HALF, false>(a, b, All{});
      rows[r + HALF] = interleave<HALF, true>(a, b, All{});
    }
    transpose<Real, HALF * 2>(rows);
  }
}

// A square of numbers, as many as a vector has lanes.
template <class Real>
inline void transpose(const Real* from, Index from_row, Real* to, Index to_row) {
  constexpr int V = lanes<Real>;
  Vec<Real> rows[V];
  FORETELL_UNROLL for (int r = 0; r < V; ++r) rows[r] = load(from + r * from_row);
  transpose<Real>(rows);
  FORETELL_UNROLL for (int r = 0; r < V; ++r) store(to + r * to_row, rows[r]);
}

// Of a square the first `lines` rows and `columns` columns.
template <class Real>
inline void move_square(const Real* from, Index from_row, Real* to, Index to_row, Index lines, Index columns) {
  constexpr int V = lanes<Real>;
  if (lines == V && columns == V) return transpose(from, from_row, to, to_row);
  for (Index r = 0; r < lines; ++r) {
    for (Index c = 0; c < columns; ++c) to[c * to_row + r] = from[r * from_row + c];
  }
}

}  // namespace foretell::FORETELL_VARIANT
