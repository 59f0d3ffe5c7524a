// Products that sum over pairs (step, row), by the unit that multiplies matrices: columns of rows that lie anywhere
// times rows of vectors.
#pragma once

#include "layout.h"
#include "matrices.h"
#include "right.h"
#include "transpose.h"

namespace foretell::FORETELL_VARIANT {

class MatrixColumns {
 public:
  // Room for so many columns, which fall into `runs`, of so many pairs.
  void take(Parts<float>& parts, Index pairs, Index columns, Index runs) {
    const Index units = ceil_div(pairs, unit);
    matrices_ = parts.take_as<char>((ceil_div(columns, matrix_rows) + runs) * units * matrix_bytes);
    panel_ = parts.take_as<Pair>(units * matrix_rows * max_vectors * V);
  }

  // Begins with other pairs: forgets all columns.
  void begin(Index pairs) {
    pairs_ = pairs;
    units_ = ceil_div(pairs, unit);
    end_ = next_ = matrices_;
  }

  // Takes `count` columns of the pairs' rows, from `column` on, as the next run.
  void turn(const BFloat16* const* rows, Index column, Index count) {
    for (Index done = 0; done < count; done += matrix_rows) {
      for (Index n = 0; n < pairs_; n += unit, end_ += matrix_bytes) {
        turn_matrix(rows + n, pairs_ - n, column + done, int(smaller(matrix_rows, count - done)));
      }
    }
  }

  // Takes the other side, rows of so many vectors, and goes back to the first run.
  void set_panel(const BFloat16* rows, Index row, int vectors) {
    next_ = matrices_;
    vectors_ = vectors;
    const Panel<BFloat16> panel{panel_, vectors};
    for (Index k = 0; k < units_ * matrix_rows; ++k) {
      const Index one = first_of(k), other = one + matrix_rows;
      for (int v = 0; v < vectors; ++v) {
        const auto half = [&](Index n) { return n < pairs_ ? bits(rows + n * row + v * V, V) : __m256i{}; };
        panel.put(k, v * V, (Vec<float>)join(half(one), half(other)), V);
      }
    }
  }

  // to[column][v] += the product of the next run of columns with the panel.
  void add(float* to, Index count) {
    settle_memory();
    const Index width = vectors_ * V;
    for (Index done = 0, taken; done < count; done += taken) {
      taken = count - done < 2 * matrix_rows ? smaller(matrix_rows, count - done) : 2 * matrix_rows;
      for (int v = 0; v < vectors_; v += 2) add_lines(taken, v, to + done * width + v * V, width);
      next_ += ceil_div(taken, matrix_rows) * units_ * matrix_bytes;
    }
  }

 private:
  static constexpr Index V = lanes<float>;
  static constexpr Index unit = 2 * matrix_rows;  // pairs: of each 32 the n-th makes a factor with the one 16 behind

  static Index first_of(Index factor) { return factor / matrix_rows * unit + factor % matrix_rows; }
  static __m256i bits(const BFloat16* from, Index count) {
    return _mm256_maskz_loadu_epi16(first_lanes(int(count)), from);
  }

  void turn_matrix(const BFloat16* const* rows, Index there, Index column, int count) const {
    Vec<float> square[matrix_rows];
    const auto half = [&](Index n) { return n < there ? bits(rows[n] + column, count) : __m256i{}; };
    for (Index n = 0; n < matrix_rows; ++n) square[n] = (Vec<float>)join(half(n), half(n + matrix_rows));
    transpose<float>(square);
    for (int r = 0; r < matrix_rows; ++r) store(reinterpret_cast<float*>(end_) + r * V, square[r]);
  }

  // Up to 32 columns with vectors v and v + 1; where a matrix would reach beyond the last one, in memory of its own.
  void add_lines(Index count, int v, float* to, Index width) const {
    const char* b = reinterpret_cast<const char*>(panel_) + v * matrix_bytes;
    const Index b_unit = vectors_ * matrix_bytes;
    const bool both = v + 1 < vectors_;
    if (count == 2 * matrix_rows) {
      return (both ? column_product<2, 2> : column_product<2, 1>)(next_, b, b_unit, units_, to, width);
    }
    const auto multiply = both ? column_product<1, 2> : column_product<1, 1>;
    if (count == matrix_rows) return multiply(next_, b, b_unit, units_, to, width);
    constexpr Index row = 2 * V;
    alignas(cache_line) float sums[matrix_rows * row];
    const auto move = [&](const float* from, Index from_row, float* into, Index into_row) {
      for (Index line = 0; line < count; ++line) {
        store(into + line * into_row, load(from + line * from_row));
        if (both) store(into + line * into_row + V, load(from + line * from_row + V));
      }
    };
    move(to, width, sums, row);
    settle_memory();
    multiply(next_, b, b_unit, units_, sums, row);
    move(sums, row, to, width);
  }

  char *matrices_, *end_, *next_;
  Pair* panel_;
  Index pairs_, units_;
  int vectors_;
};

}  // namespace foretell::FORETELL_VARIANT
