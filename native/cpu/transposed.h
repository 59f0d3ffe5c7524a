// The weights that backward multiplies with.
#pragma once

#include "layout.h"
#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

// Weights the other way round, for gradients of what they were multiplied with: [blocks of columns][K][vectors][V] in
// panels of up to four blocks, where K runs over the GH rows as the gates lie, [J][G][V].
template <class Real>
struct Transposed {
  static constexpr int V = lanes<Real>;

  // The panels of blocks [from, to) of the columns of `rows`, GH of `row_size` each; in the panels they lie `at_column`
  // on.
  static void pack(const Layout<Real>& at, const Real* rows, Index row_size, Index columns, Index at_column,
                   bool only_gates, Index from, Index to, Index member, Index members, Real* panels) {
    const Index depth = at.J * at.width;
    for (Index j = member; j < at.J; j += members) {
      for (int part = 0; part < 4; ++part) {
        const int block = only_gates ? at.gate[part] : at.block[part];
        if (block < 0) continue;
        for (int lane = 0; lane < at.units(j); ++lane) {
          const Real* row = rows + (block * at.H + j * V + lane) * row_size;
          const Index k = j * at.width + at.block[part] * V + lane;
          for (Index first = from; first < to; first += max_vectors) {
            const Index vectors = smaller(max_vectors, to - first);
            Real* line = panels + first * V * depth + k * vectors * V;
            const Index begin = larger(0, first * V - at_column);
            const Index end = smaller(columns, (first + vectors) * V - at_column);
            for (Index column = begin; column < end; ++column) line[at_column + column - first * V] = row[column];
          }
        }
      }
    }
  }
};

}  // namespace foretell::FORETELL_VARIANT
