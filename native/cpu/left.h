// The left side of a product over the whole depth of its rows: where they lie, or copied as products read them.
#pragma once

#include "layout.h"
#include "tiles.h"
#if defined(FORETELL_MATRICES)
#include "matrices.h"
#endif

namespace foretell::FORETELL_VARIANT {

#if defined(FORETELL_MATRICES)

// Rows of factors, each a copy.
template <class Number>
class Left {
 public:
  // Room for so many rows of so many numbers, which take up so many as products read them.
  void take(Parts<Wide<Number>>& parts, Index rows, Index numbers) { take(parts, rows, numbers, At::whole(numbers)); }
  void take(Parts<Wide<Number>>& parts, Index rows, Index, Index whole) {
    // An odd number of lines: a matrix's rows, else a large power of two apart, would share a few sets of the caches.
    row_ = (whole / together<Number> * Index(sizeof(Factor<Number>)) / cache_line | 1) * cache_line;
    memory_ = parts.template take_as<char>((rows + matrix_rows - 1) * row_);  // some are read without need
  }

  void set(Index n, const Number* row, Index count) { set_part(n, 0, row, count); }
  // A part of a row, from number k on, and zeros behind as far as products read.
  void set_part(Index n, Index k, const Number* from, Index count) {
    constexpr Index V = lanes<float>;
    const auto part = [&](Index first) { return pieces_of(from + first, larger(0, smaller(V, count - first))); };
    for (Index done = 0; done < count; done += 2 * V) {
      store_pieces<Number>(row(n), (k + done) / V, part(done), part(done + V));
    }
  }
  // The same of factors, whole matrices of them.
  void set_part(Index n, Index k, const Factor<Number>* from, Index count) {
    constexpr Index of_line = cache_line / sizeof(Pair);
    const Index lines = count / of_line * pieces<Number>;
    auto* to = reinterpret_cast<float*>(row(n) + k);
    const auto* line = reinterpret_cast<const float*>(from);
    for (Index l = 0; l < lines * lanes<float>; l += lanes<float>) store(to + l, load(line + l));  // few: no call
  }

  // sums.to[r] = sums.from[r] + the product of row n + r, from factor k on, with a panel of so many factors.
  void multiply(Index n, int rows, Index k, Index depth, const Factor<Number>* panel, int vectors,
                const Sums<float>& sums, const Factor<Number>*, Taken = Taken::one,
                const PanelStrides& = one_panel) const {
    const Index units = depth / matrix_rows;
    row_product<Number>({reinterpret_cast<const char*>(row(n) + k), row_, units, 0}, rows, units, panel, vectors, sums);
  }

 private:
  using At = Layout<Number>;

  Factor<Number>* row(Index n) const { return reinterpret_cast<Factor<Number>*>(memory_ + n * row_); }

  Index row_;  // bytes
  char* memory_;
};

#else

template <class Number>
class Left {
 public:
  // Room for so many rows of so many numbers, which take up so many as products read them.
  void take(Parts<Wide<Number>>& parts, Index rows, Index numbers) { take(parts, rows, numbers, At::whole(numbers)); }
  void take(Parts<Wide<Number>>& parts, Index rows, Index numbers, Index whole) {
    copies_ = numbers % together<Number>;
    row_ = whole;
    memory_ = parts.template take_as<Number>(copies_ ? rows * row_ : 0);
    rows_ = parts.template take_as<const Factor<Number>*>(rows);
  }

  void set(Index n, const Number* row, Index count) {
    if (copies_) {
      Number* to = memory_ + n * row_;
      for (Index k = 0; k < At::whole(count); ++k) to[k] = k < count ? row[k] : Number{};
      row = to;
    }
    rows_[n] = factors(row);
  }

  // sums.to[r] = sums.from[r] + the product of row n + r, from factor k on, with a panel of so many factors; meanwhile
  // a part of what comes `next` is fetched.
  void multiply(Index n, int rows, Index k, Index depth, const Factor<Number>* panel, int vectors,
                const Sums<Wide<Number>>& sums, const Factor<Number>* next, Taken taken = Taken::one,
                const PanelStrides& apart = one_panel) const {
    const Factor<Number>* a[max_rows];
    for (int r = 0; r < rows; ++r) a[r] = rows_[n + r] + k;
    row_tile_for<Number>(rows, vectors, taken)(a, 1, depth, 0, panel, apart, sums, next);
  }

 private:
  using At = Layout<Number>;

  bool copies_;
  Index row_;  // numbers
  Number* memory_;
  const Factor<Number>** rows_;
};

#endif

}  // namespace foretell::FORETELL_VARIANT
