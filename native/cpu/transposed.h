// The weights that backward multiplies with.
#pragma once

#include "layout.h"
#include "right.h"

namespace foretell::FORETELL_VARIANT {

// Weights the other way round, for gradients of what they were multiplied with: [blocks of columns][K][vectors][V] in
// panels of up to four blocks, where K runs over the factors of the GH rows as the gates lie, [J][G][V].
template <class Number>
struct Transposed {
  using Real = Wide<Number>;
  static constexpr int V = lanes<Real>;

  // A member's part of some panels to 0: padding stays so.
  static void clear(Factor<Number>* panels, Index count, Index member, Index members) {
    for (Index n = count * member / members; n < count * (member + 1) / members; ++n) panels[n] = Factor<Number>{};
  }

  // The panels of blocks [from, to) of the columns of `rows`, GH of `row_size` each; in the panels they lie `at_column`
  // on.
  static void pack(const Layout<Number>& at, const Real* rows, Index row_size, Index columns, Index at_column,
                   bool only_gates, Index from, Index to, Index member, Index members, Factor<Number>* panels) {
    const Index depth = at.J * at.deep;
    for (Index j = member; j < at.J; j += members) {
      for (int part = 0; part < 4; ++part) {
        const int block = only_gates ? at.gate[part] : at.block[part];
        if (block < 0) continue;
        for (Index lane = 0; lane < at.units(j); lane += together<Number>) {
          const Real* row = rows + (block * at.H + j * V + lane) * row_size;
          const Index k = j * at.deep + (at.block[part] * V + lane) / together<Number>;
          const Index there = smaller(together<Number>, at.units(j) - lane);
          for (Index first = from; first < to; first += max_vectors) {
            const Panel<Number> panel{panels + first * V * depth, int(smaller(max_vectors, to - first))};
            put_row(row, there, row_size, columns, panel, k, at_column - first * V);
          }
        }
      }
    }
  }

  // W_hr [R,H] as panels [J][R][vectors][V].
  static void pack_projection(const Layout<Number>& at, const Real* weight_hr, Index member, Index members,
                              Factor<Number>* panels) {
    const Index lines = at.depth(at.R);
    for (Index r = member; r < lines; r += members) {
      const Index from = r * together<Number>, there = smaller(together<Number>, at.R - from);
      for (Index j = 0; j < at.J; ++j) {
        const Index first = j / max_vectors * max_vectors, column = (j - first) * V;
        const Panel<Number> panel{panels + first * V * lines, int(smaller(max_vectors, at.J - first))};
        panel.put(r, column, Vec<Real>{}, Vec<Real>{}, V);
        if (there > 0) put_row(weight_hr + from * at.H + j * V, there, at.H, at.units(j), panel, r, column);
      }
    }
  }

  // The factors of a row's columns and, as far as they are `there`, the next ones', as those of a panel at k; `at`: of
  // the first, and those beside the panel are left out.
  static void put_row(const Real* row, Index there, Index row_size, Index columns, const Panel<Number>& panel, Index k,
                      Index at) {
    const Index end = smaller(columns, panel.vectors * V - at);
    for (Index column = larger(0, -at), taken; column < end; column += taken) {
      taken = smaller(panel.room(at + column), end - column);
      const Vec<Real> second = there > 1 ? load(row + row_size + column, int(taken)) : Vec<Real>{};
      panel.put(k, at + column, load(row + column, int(taken)), second, int(taken));
    }
  }
};

}  // namespace foretell::FORETELL_VARIANT
