// Products that sum over pairs (step, row), by the unit that multiplies matrices: columns of rows that lie anywhere
// times rows of vectors.
#pragma once

#include "foretell/threads.h"
#include "layout.h"
#include "matrices.h"
#include "right.h"
#include "transpose.h"

namespace foretell::FORETELL_VARIANT {

template <class Number>
class MatrixColumns {
 public:
  // Many members turn the columns together; for two, lines of the other's take as long as turning them (lab/README.md,
  // 102).
  explicit MatrixColumns(const Team& team) : team_(team), shares_(team.members > 2) {}

  // Room for so many columns, which fall into `runs`, of so many pairs.  If members share them there are two, for some
  // turn the next ones while others still read the last.
  void take_shared(Parts<float>& parts, Index pairs, Index columns, Index runs) {
    if (!shares_) return;
    for (char*& all : matrices_) all = parts.take_as<char>(bytes(pairs, columns, runs));
  }
  void take_own(Parts<float>& parts, Index pairs, Index columns, Index runs) {
    panel_ = parts.take_as<Factor<Number>>(ceil_div(pairs, unit) * matrix_rows * max_vectors * V);
    if (!shares_) matrices_[0] = matrices_[1] = parts.take_as<char>(bytes(pairs, columns, runs));
  }

  // Begins with other pairs: forgets all columns.
  void begin(Index pairs) {
    pairs_ = pairs;
    units_ = ceil_div(pairs, unit);
    turned_ ^= 1;
    end_ = matrices_[turned_];
    number_ = 0;
  }

  // Takes `count` columns of the pairs' rows, from `column` on, as the next run; `all` as for `add`.
  void turn(const Number* const* rows, Index column, Index count, bool all) {
    const Index matrices = ceil_div(count, matrix_rows), next = matrix_rows * (shares_ ? team_.members : 1);
    const Span own = part(matrices, all);
    for (Index m = 0; m < matrices; ++m, column += matrix_rows, end_ += units_ * unit_bytes) {
      if (shares_ ? number_++ % team_.members != team_.member : m < own.from || m >= own.to) continue;
      char* to = end_;
      for (Index n = 0; n < pairs_; n += unit, to += unit_bytes) {
        const Index there = smaller(unit, pairs_ - n);
        for (Index r = n; r < n + there; ++r) __builtin_prefetch(rows[r] + column + next);
        turn_matrix(rows + n, there, column, int(smaller(matrix_rows, count - m * matrix_rows)), to);
      }
    }
  }
  // Until others have turned theirs.
  void wait() const {
    if (shares_) team_.barrier->wait(team_.member);
  }

  // Takes the other side, rows of so many vectors, and goes back to the first run.
  void set_panel(const Factor<Number>* rows, Index row, int vectors) {
    next_ = matrices_[turned_];
    vectors_ = vectors;
    const Panel<Number> panel{panel_, vectors};
    for (Index k = 0; k < units_ * matrix_rows; ++k) {
      const Index one = first_of(k), other = one + matrix_rows;
      for (int v = 0; v < vectors; ++v) {
        const auto half = [&](Index n) {
          return n < pairs_ ? load_pieces<Number>(rows + n * row, v) : Pieces<Number>{};
        };
        panel.put_pieces(k, v * V, half(one), half(other), V);
      }
    }
  }

  // to[column][v] += the product of the next run of `count` columns with the panel, for some of them: all, or as many
  // whole matrices as fall to a member.
  void add(float* to, Index count, bool all) {
    settle_memory();
    const Index width = vectors_ * V, matrices = ceil_div(count, matrix_rows), of_matrix = units_ * unit_bytes;
    const Span own = part(matrices, all);
    const Index end = smaller(count, own.to * matrix_rows);
    for (Index done = own.from * matrix_rows, taken; done < end; done += taken) {
      taken = end - done < 2 * matrix_rows ? smaller(matrix_rows, end - done) : 2 * matrix_rows;
      const char* a = next_ + done / matrix_rows * of_matrix;
      for (int v = 0; v < vectors_; v += 2) add_lines(a, taken, v, to + done * width + v * V, width);
    }
    next_ += matrices * of_matrix;
  }

 private:
  static constexpr Index V = lanes<float>, P = pieces<Number>;
  static constexpr Index unit = 2 * matrix_rows;  // pairs: of each 32 the n-th makes a factor with the one 16 behind
  static constexpr Index unit_bytes = P * matrix_bytes;

  // All of so many matrices, or those that fall to this member.
  Span part(Index matrices, bool all) const {
    const Index member = team_.member, members = team_.members;
    return all ? Span{0, matrices} : Span{matrices * member / members, matrices * (member + 1) / members};
  }

  static Index bytes(Index pairs, Index columns, Index runs) {
    return (ceil_div(columns, matrix_rows) + runs) * ceil_div(pairs, unit) * unit_bytes;
  }
  static Index first_of(Index factor) { return factor / matrix_rows * unit + factor % matrix_rows; }

  static void turn_matrix(const Number* const* rows, Index there, Index column, int count, char* into) {
    Vec<float> squares[P][matrix_rows];
    using These = decltype(pieces_of(rows[0], count));
    const auto half = [&](Index n) { return n < there ? pieces_of(rows[n] + column, count) : These{}; };
    for (Index n = 0; n < matrix_rows; ++n) {
      const These first = half(n), second = half(n + matrix_rows);
      for (int p = 0; p < P; ++p) squares[p][n] = (Vec<float>)join(first.of[p], second.of[p]);
    }
    float* to = reinterpret_cast<float*>(into);
    for (Vec<float>(&square)[matrix_rows] : squares) {
      transpose<float>(square);
      for (int r = 0; r < matrix_rows; ++r, to += V) store(to, square[r]);
    }
  }

  // Up to 32 columns with vectors v and v + 1; where a matrix would reach beyond the last one, in memory of its own.
  void add_lines(const char* a, Index count, int v, float* to, Index width) const {
    const char* b = reinterpret_cast<const char*>(panel_) + v * matrix_bytes;
    const bool both = v + 1 < vectors_;
    if (count == 2 * matrix_rows) {
      const auto multiply = both ? column_product<Number, 2, 2> : column_product<Number, 2, 1>;
      return multiply(a, b, vectors_, units_, to, width);
    }
    const auto multiply = both ? column_product<Number, 1, 2> : column_product<Number, 1, 1>;
    if (count == matrix_rows) return multiply(a, b, vectors_, units_, to, width);
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
    multiply(a, b, vectors_, units_, sums, row);
    move(sums, row, to, width);
  }

  const Team& team_;
  const bool shares_;
  char *matrices_[2], *end_;
  const char* next_;
  Factor<Number>* panel_;
  Index pairs_, units_, number_;  // of the next matrix
  int turned_ = 0, vectors_;
};

}  // namespace foretell::FORETELL_VARIANT
