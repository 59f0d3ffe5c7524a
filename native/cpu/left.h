// The left side of a product over the whole depth of its rows: where they lie, or copied as products read them.
#pragma once

#include "layout.h"
#include "tiles.h"
#if defined(FORETELL_MATRICES)
#include "matrices.h"
#endif

namespace foretell::FORETELL_VARIANT {

template <class Number>
class Left {
 public:
  // Room for so many rows of so many numbers, which take up so many as products read them.
  void take(Parts<Wide<Number>>& parts, Index rows, Index numbers) { take(parts, rows, numbers, At::whole(numbers)); }
  void take(Parts<Wide<Number>>& parts, Index rows, Index numbers, Index whole) {
    copies_ = has_matrices || numbers % together<Number>;
    row_ = whole;
    // An odd number of lines: a matrix's rows, else a large power of two apart, would share a few sets of the caches.
    if (has_matrices) row_ = (row_ / per_line | 1) * per_line;
    memory_ = parts.template take_as<Number>(copies_ ? (rows + beyond) * row_ : 0);
    rows_ = parts.template take_as<const Factor<Number>*>(rows);
  }

  void set(Index n, const Number* row, Index count) {
    if (copies_) {
      set_part(n, 0, row, count);
      row = memory_ + n * row_;
    }
    rows_[n] = factors(row);
  }
  // Copies a part of a row, from number k on, and zeros behind as far as products read.
  void set_part(Index n, Index k, const Number* from, Index count) {
    Number* to = memory_ + n * row_ + k;
    copy(from, count, to);
    for (Index rest = count; rest < At::whole(count); ++rest) to[rest] = Number{};
  }

  // sums.to[r] = sums.from[r] + the product of row n + r, from factor k on, with a panel of so many factors; meanwhile
  // a part of what comes `next` is fetched.
  void multiply(Index n, int rows, Index k, Index depth, const Factor<Number>* panel, int vectors,
                const Sums<Wide<Number>>& sums, [[maybe_unused]] const Factor<Number>* next,
                [[maybe_unused]] Taken taken = Taken::one,
                [[maybe_unused]] const PanelStrides& apart = one_panel) const {
#if defined(FORETELL_MATRICES)
    const Index row_bytes = row_ * sizeof(Number), units = depth / matrix_rows;
    const char* first = reinterpret_cast<const char*>(factors(memory_ + n * row_) + k);
    row_product({first, row_bytes, units, 0}, rows, units, panel, vectors, sums);
#else
    const Factor<Number>* a[max_rows];
    for (int r = 0; r < rows; ++r) a[r] = rows_[n + r] + k;
    row_tile_for<Number>(rows, vectors, taken)(a, 1, depth, 0, panel, apart, sums, next);
#endif
  }

 private:
  using At = Layout<Number>;
  static constexpr Index per_line = cache_line / sizeof(Number);
  static constexpr Index beyond = has_matrices ? max_rows - 1 : 0;  // rows that are read without need

  static void copy(const Number* from, Index count, Number* to) {
    Index k = 0;
    for (; k + per_line <= count; k += per_line) __builtin_memcpy(to + k, from + k, cache_line);
    for (; k < count; ++k) to[k] = from[k];
  }

  bool copies_;
  Index row_;  // numbers
  Number* memory_;
  const Factor<Number>** rows_;
};

}  // namespace foretell::FORETELL_VARIANT
