// How a matrix lies that products read in panels.
#pragma once

#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

// Columns as panels of up to four vectors, [panels][rows][vectors][V].
template <class Real>
struct Panels {
  static constexpr int V = lanes<Real>;
  Index blocks, rows;  // vectors

  int vectors(Index block) const { return int(smaller(max_vectors, blocks - block)); }  // of the panel it begins
  Index panel(Index block) const { return block * V * rows; }
  Index at(Index row, Index block) const {
    const Index first = block / max_vectors * max_vectors;
    return panel(first) + (row * vectors(first) + block - first) * V;
  }
  Index size() const { return blocks * rows * V; }
};

}  // namespace foretell::FORETELL_VARIANT
