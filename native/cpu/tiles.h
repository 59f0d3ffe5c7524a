// The two inner products of everything here: a few rows of one matrix times a panel of the other, in registers.
//
// Each output is a sum of partial sums, each a chain of fused multiply-adds, in an order that depends on the depth of
// the product alone; so its bits do not depend on how many rows or vectors a tile has, that is, on batch, threads or
// chunks.  Partial sums keep rounding errors small: they grow with the length of a chain.
#pragma once

#include "factors.h"

namespace foretell::FORETELL_VARIANT {

constexpr int matrix_rows = 16;
// Rows of a tile: 6 x 4 sums, 4 weights and what is broadcast fill 32 registers; or those of two matrices.
constexpr int max_rows = has_matrices ? 2 * matrix_rows : registers == 32 ? 6 : 3;
constexpr int max_vectors = 4;
constexpr bool is_avx2 = registers == 16 && vector_bytes == 32;
constexpr Index at_once = is_avx2 ? 4 : 1;  // products from one question of the loop to the next
constexpr Index chain = 128;  // factors of a row in a partial sum, at most

// Do the sums of two panels fit the registers?
constexpr bool fit_twice(Index rows, int vectors) { return 2 * rows * vectors <= max_rows * max_vectors; }

// Where a tile's sums begin and end: a pointer for each row.  It goes by reference: a copy is one wide load of narrow
// stores just made, which has to wait for them (7 % at H = 128).
template <class Real>
struct Sums {
  const Real* const* from;
  Real* const* to;
};

// The panels that a tile takes at once: one; those of two blocks, which the same rows meet, each with sums of its own;
// or two of one product, of whose sums the second is the next chain, over other parts of the rows.
enum class Taken { one, beside, chained };

// How much further the second panel has its part of the rows, of the weights and of the sums.
struct PanelStrides {
  Index a = 0, b = 0, sums = 0;
};
constexpr PanelStrides one_panel;

// total[r][v] += value(r) b[v], where value(r) is broadcast.  With 32 registers the weights wait in registers for all
// rows.  AVX2 has 16: there the rows wait, for twelve sums leave room for one weight.  With SSE, which has as many and
// fuses nothing, that is a fifth slower.
template <class Number, int ROWS, int VECTORS, class Value>
[[gnu::always_inline]] inline void multiply(const Value& value, const Factor<Number>* b,
                                            Vec<Wide<Number>> (&total)[ROWS][VECTORS]) {
  using P = Product<Number>;
  constexpr int V = lanes<Wide<Number>>;
  if constexpr (is_avx2) {
    typename P::Factors row[ROWS];
    FORETELL_UNROLL for (int r = 0; r < ROWS; ++r) row[r] = value(r);
    FORETELL_UNROLL for (int v = 0; v < VECTORS; ++v) {
      auto weight = P::load(b + v * V);
      if constexpr (ROWS == 2) hold(weight);
      FORETELL_UNROLL for (int r = 0; r < ROWS; ++r) total[r][v] = P::add(row[r], weight, total[r][v]);
    }
  } else {
    typename P::Factors weight[VECTORS];
    FORETELL_UNROLL for (int v = 0; v < VECTORS; ++v) {
      weight[v] = P::load(b + v * V);
      if constexpr (registers == 32) hold(weight[v]);
    }
    FORETELL_UNROLL for (int r = 0; r < ROWS; ++r) {
      const auto row = value(r);
      FORETELL_UNROLL for (int v = 0; v < VECTORS; ++v) total[r][v] = P::add(row, weight[v], total[r][v]);
    }
  }
}

// Fetches `bytes` from `from` on into L2.
[[gnu::always_inline]] inline void fetch(const void* from, Index bytes) {
  FORETELL_UNROLL for (Index n = 0; n < bytes; n += cache_line) {
    __builtin_prefetch(static_cast<const char*>(from) + n, 0, 2);
  }
}

// to[r][v] = from[r][v] + sum over s < segments, k < length of a[r][s * stride + k] b[s * length + k][v], where b is
// dense [segments * length][VECTORS][lanes].  Meanwhile a vector a product is fetched into L2 from `next` on, where the
// weights of the tiles to come lie; and with AVX2, whose segments are short, the next one of each row into L1.
template <class Number, int ROWS, int VECTORS, Taken TAKEN>
inline void row_tile(const Factor<Number>* const* a, Index segments, Index length, Index stride,
                     const Factor<Number>* b, const PanelStrides& apart, const Sums<Wide<Number>>& sums,
                     const Factor<Number>* next) {
  using P = Product<Number>;
  using Real = Wide<Number>;
  constexpr int V = lanes<Real>, count = TAKEN == Taken::one ? 1 : 2;
  constexpr bool is_chained = TAKEN == Taken::chained;
  const Index a_stride = is_chained ? apart.a : 0, sums_stride = is_chained ? 0 : apart.sums;
  const Factor<Number>* panels[count];
  FORETELL_UNROLL for (int p = 0; p < count; ++p) panels[p] = b + p * apart.b;
  const Factor<Number>* rows[ROWS];
  const Real* from[ROWS];
  Real* to[ROWS];
  FORETELL_UNROLL for (int r = 0; r < ROWS; ++r) {
    rows[r] = a[r];
    from[r] = sums.from[r];
    to[r] = sums.to[r];
  }
  constexpr Index of_line = cache_line / sizeof(Factor<Number>);
  const Index steps = length < chain ? length : chain;       // of a chain within a segment,
  const Index joined = length < chain ? chain / length : 1;  // or so many whole segments
  for (Index s = 0, k = 0; s < segments;) {
    Vec<Real> total[count][ROWS][VECTORS] = {};
    const auto add = [&](Index n) __attribute__((always_inline)) {  // the product at k + n
      FORETELL_UNROLL for (int p = 0; p < count; ++p) {
        const auto value = [&](int r) { return P::broadcast(rows[r] + p * a_stride + k + n); };
        multiply<Number>(value, panels[p] + n * VECTORS * V, total[p]);
      }
    };
    const auto pass = [&](Index products) __attribute__((always_inline)) {
      FORETELL_UNROLL for (int p = 0; p < count; ++p) panels[p] += products * VECTORS * V;
    };
    for (Index part = 0; part < joined && s < segments; ++part) {
      const Index end = k + steps < length ? k + steps : length;
      if (is_avx2 && s + 1 < segments && k == 0) {
        FORETELL_UNROLL for (int r = 0; r < ROWS; ++r) {
          for (Index n = 0; n < length; n += of_line) __builtin_prefetch(rows[r] + stride + n);
        }
      }
      for (; k + at_once <= end; k += at_once) {
        FORETELL_UNROLL for (Index n = 0; n < at_once; ++n) add(n);
        fetch(next, at_once * V * sizeof(Factor<Number>));
        next += at_once * V;
        pass(at_once);
      }
      for (; k < end; ++k, pass(1)) add(0);
      if (k < length) continue;
      k = 0;
      ++s;
      FORETELL_UNROLL for (int r = 0; r < ROWS; ++r) rows[r] += stride;
    }
    FORETELL_UNROLL for (int r = 0; r < ROWS; ++r)
      FORETELL_UNROLL for (int p = 0; p < count; ++p)
        FORETELL_UNROLL for (int v = 0; v < VECTORS; ++v) {
          const Index where = p * sums_stride + v * V;
          const Real* before = p && is_chained ? to[r] : from[r];
          store(to[r] + where, load(before + where) + total[p][r][v]);
        }
    FORETELL_UNROLL for (int r = 0; r < ROWS; ++r) from[r] = to[r];
  }
}

// c[r][v] += sum over k < length of a[k][r] b[k][v]: columns of a, whose rows are anywhere.
template <class Number, int ROWS, int VECTORS>
inline void column_tile(const Factor<Number>* const* a, Index column, Index length, const Factor<Number>* b,
                        Wide<Number>* c, Index c_row) {
  using Real = Wide<Number>;
  constexpr int V = lanes<Real>;
  // The sums so far, which are many megabytes, are on their way while the products are computed.
  FORETELL_UNROLL for (int r = 0; r < ROWS; ++r)
    FORETELL_UNROLL for (int v = 0; v < VECTORS; ++v) __builtin_prefetch(c + r * c_row + v * V, 1);
  Vec<Real> total[ROWS][VECTORS] = {};
  const auto add = [&](Index k) __attribute__((always_inline)) {
    const Factor<Number>* row = a[k] + column;
    __builtin_prefetch(row + 2 * ROWS - 1);  // the end of the next columns: rows lie anywhere, so nobody else does
    multiply<Number>([&](int r) { return Product<Number>::broadcast(row + r); }, b + k * VECTORS * V, total);
  };
  Index k = 0;
  for (; k + at_once <= length; k += at_once) {
    FORETELL_UNROLL for (Index n = 0; n < at_once; ++n) add(k + n);
  }
  for (; k < length; ++k) add(k);
  FORETELL_UNROLL for (int r = 0; r < ROWS; ++r)
    FORETELL_UNROLL for (int v = 0; v < VECTORS; ++v) {
      Real* to = c + r * c_row + v * V;
      store(to, load(to) + total[r][v]);
    }
}

template <class Number>
using RowTile = void (*)(const Factor<Number>* const*, Index, Index, Index, const Factor<Number>*, const PanelStrides&,
                         const Sums<Wide<Number>>&, const Factor<Number>*);
template <class Number>
using ColumnTile = void (*)(const Factor<Number>* const*, Index, Index, const Factor<Number>*, Wide<Number>*, Index);

template <class Number, int ROWS, Taken TAKEN>
constexpr RowTile<Number> row_tiles_of[max_vectors] = {
    row_tile<Number, ROWS, 1, TAKEN>, row_tile<Number, ROWS, 2, TAKEN>, row_tile<Number, ROWS, 3, TAKEN>,
    row_tile<Number, ROWS, 4, TAKEN>};
template <class Number, int ROWS>
constexpr ColumnTile<Number> column_tiles_of[max_vectors] = {column_tile<Number, ROWS, 1>, column_tile<Number, ROWS, 2>,
                                                           column_tile<Number, ROWS, 3>, column_tile<Number, ROWS, 4>};

template <class Number, Taken TAKEN>
inline RowTile<Number> small_tile_for(int rows, int vectors) {
  return (rows == 2 ? row_tiles_of<Number, 2, TAKEN> : row_tiles_of<Number, 1, TAKEN>)[vectors - 1];
}

// Two panels at once where the rows leave room for them, and the chains of sums would otherwise be too few.
template <class Number>
inline RowTile<Number> row_tile_for(int rows, int vectors, Taken taken = Taken::one) {
  if (taken == Taken::beside) return small_tile_for<Number, Taken::beside>(rows, vectors);
  if (taken == Taken::chained) return small_tile_for<Number, Taken::chained>(rows, vectors);
  const int v = vectors - 1;
  if constexpr (max_rows > 3) {
    if (rows == 6) return row_tiles_of<Number, 6, Taken::one>[v];
    if (rows == 5) return row_tiles_of<Number, 5, Taken::one>[v];
    if (rows == 4) return row_tiles_of<Number, 4, Taken::one>[v];
  }
  if (rows == 3) return row_tiles_of<Number, 3, Taken::one>[v];
  return small_tile_for<Number, Taken::one>(rows, vectors);
}

template <class Number>
inline ColumnTile<Number> column_tile_for(int rows, int vectors) {
  if constexpr (max_rows > 3) {
    if (rows == 6) return column_tiles_of<Number, 6>[vectors - 1];
    if (rows == 5) return column_tiles_of<Number, 5>[vectors - 1];
    if (rows == 4) return column_tiles_of<Number, 4>[vectors - 1];
  }
  if (rows == 3) return column_tiles_of<Number, 3>[vectors - 1];
  return rows == 2 ? column_tiles_of<Number, 2>[vectors - 1] : column_tiles_of<Number, 1>[vectors - 1];
}

// The sizes of the tiles that `count` rows are cut into, as even as can be: 16 -> 6, 5, 5; but matrices are filled.
struct Cut {
  Index count;
  int tiles, size, larger;  // the first `larger` tiles have size + 1

  explicit Cut(Index count) : count(count) {
    tiles = int((count + max_rows - 1) / max_rows);
    size = tiles ? int(count / tiles) : 0;
    larger = tiles ? int(count % tiles) : 0;
  }
  int rows(int tile) const {
    if constexpr (has_matrices) return tile + 1 < tiles ? max_rows : int(count - tile * max_rows);
    return size + (tile < larger);
  }
};

}  // namespace foretell::FORETELL_VARIANT
