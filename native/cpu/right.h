// The right side of a product: a panel of up to four vectors of factors.
#pragma once

#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

// [K][vectors][V]; of matrices, which are K's 16 factors of one vector, [K / 16][pieces][vectors][16][V].
template <class Number>
struct Panel {
  using Real = Wide<Number>;
  static constexpr Index V = lanes<Real>, unit = Product<Number>::unit;
  Factor<Number>* to;
  int vectors;

  // The first `count` of a vector of factors, which lie in one piece, at k, from a column on.
  void put(Index k, Index column, Vec<Real> factors, int count) const { store(place(k, column, 0), factors, count); }
  // Those of two rows' numbers.
#if defined(FORETELL_MATRICES)
  void put(Index k, Index column, Vec<Real> first, Vec<Real> second, int count) const {
    put_pieces(k, column, split<Number>(first), split<Number>(second), count);
  }
  template <class These>
  void put_pieces(Index k, Index column, const These& first, const These& second, int count) const {
    FORETELL_UNROLL for (int p = 0; p < pieces<Number>; ++p) {
      store(place(k, column, p), (Vec<float>)join(first.of[p], second.of[p]), count);
    }
  }
#else
  void put(Index k, Index column, Vec<Real> first, Vec<Real> second, int count) const {
    put(k, column, Product<Number>::of_rows(first, second), count);
  }
#endif
  // How many factors can be put at once from a column on.
  static Index room(Index column) { return unit == 1 ? V : V - column % V; }

 private:
  Real* place(Index k, Index column, int piece) const {
    const Index line = ((k / unit * pieces<Number> + piece) * vectors + column / V) * unit + k % unit;
    return reinterpret_cast<Real*>(to) + line * V + column % V;
  }
};

}  // namespace foretell::FORETELL_VARIANT
