// The right side of a product: a panel of up to four vectors of factors.
#pragma once

#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

// [K][vectors][V]; of matrices, which are K's 16 factors of one vector, [K / 16][vectors][16][V].
template <class Number>
struct Panel {
  using Real = Wide<Number>;
  static constexpr Index V = lanes<Real>, unit = Product<Number>::unit;
  Factor<Number>* to;
  int vectors;

  Factor<Number>* at(Index k, Index column) const {
    return to + (k / unit * vectors + column / V) * unit * V + k % unit * V + column % V;
  }
  // The first `count` of a vector of factors, at k, from a column on.
  void put(Index k, Index column, Vec<Real> factors, int count) const {
    store(reinterpret_cast<Real*>(at(k, column)), factors, count);
  }
  // How many factors can be put at once from a column on.
  static Index room(Index column) { return unit == 1 ? V : V - column % V; }
};

}  // namespace foretell::FORETELL_VARIANT
