// The gradients of the weights: large products and sums over the pairs of a chunk, in the order of their numbers.
//
// Each is summed as its weight lies in panels, and turned back into torch's rows at the end.  A sum has one owner among
// the members of a team, and its order does not depend on who that is.
#pragma once

#include "layout.h"
#if defined(FORETELL_MATRICES)
#include "matrix_columns.h"
#endif
#include "tiles.h"
#include "transpose.h"

namespace foretell::FORETELL_VARIANT {

// Pairs in a partial sum, at most: a panel of their gradients stays in L1, or of matrices, for which sums have farther
// to go than what is multiplied, in L2.
constexpr Index product_depth = has_matrices ? 256 : 128;
constexpr Index group_columns = 384;  // columns gathered side by side,
constexpr Index panels_for_gathering = 8;  // where so many panels use them,
// And rows of more bytes lie so far apart that caches do not hold a column.
constexpr std::size_t near_rows = is_avx2 ? 1024 : 2048;

// What the steps of a chunk leave for the products after it.  Two take turns, so that one meeting a chunk is enough.
template <class Number>
struct Chunk {
  using Real = Wide<Number>;
  static constexpr int V = lanes<Real>;

  // Rows of vectors, as products take them.
  Factor<Number> *gates, *gates_x, *gates_h;  // of a, [J][pairs][G]; with layer norm, of W x and R h (else the same)
  Factor<Number>* h;                          // of h, [panels][pairs][vectors]
  Real* u;                            // of the normalised cell, [J][pairs][V]
  const Number **x, **seen, **outs;
  const Real** c_before;
  Index *c_stride, *number;  // in `computed`
  Number** dx;

  void take(Parts<Real>& parts, const Cell& cell, Index pairs) {
    const Layout<Number> at(cell);
    const auto take_factors = [&](Index count) { return parts.template take_as<Factor<Number>>(count); };
    const Index beyond = has_matrices ? matrix_rows - 1 : 0;  // rows that products read without need
    const Index gate_size = (at.J * pairs + beyond) * at.deep;
    gates = take_factors(gate_size);
    gates_x = cell.layer_norm ? take_factors(gate_size) : gates;
    gates_h = cell.layer_norm ? take_factors(gate_size) : gates;
    u = parts.take(cell.layer_norm ? at.J * pairs * V : 0);
    h = take_factors(cell.projection ? ceil_div(at.output_blocks(), max_vectors) * pairs * row_of(max_vectors) : 0);
    x = parts.template take_as<const Number*>(pairs);
    seen = parts.template take_as<const Number*>(pairs);
    outs = parts.template take_as<const Number*>(cell.projection ? pairs : 0);
    c_before = parts.template take_as<const Real*>(pairs);
    c_stride = parts.template take_as<Index>(pairs);
    number = parts.template take_as<Index>(pairs);
    dx = parts.template take_as<Number*>(pairs);
  }
  // The factors of a row of so many vectors.
  static Index row_of(Index vectors) { return Layout<Number>::depth(vectors * V); }
  // Of h, the panel that begins with block j.
  Factor<Number>* h_at(Index j, Index pairs) const { return h + j / max_vectors * pairs * row_of(max_vectors); }
};

template <class Number>
class WeightGradients {
 public:
  using Real = Wide<Number>;
  static constexpr int V = lanes<Real>;

  WeightGradients(const Cell& cell, const Parameters<Real>& wanted, const Team& team, Index chunk_pairs)
      : cell(cell), at(cell), wanted(wanted), team(team), chunk_pairs(chunk_pairs), outputs(at.output_blocks()) {}

  void take_shared(Parts<Real>& parts) {
    const Index before = parts.taken();
    input = parts.take(at.J * at.I * at.width);
    recurrent = parts.take(at.J * at.recurrent * at.width);
    bias = parts.take(at.J * at.width);
    norm_ih = parts.take(cell.layer_norm ? at.J * at.width : 0);
    norm_hh = parts.take(cell.layer_norm ? at.J * at.width : 0);
    peephole = parts.take(cell.peepholes ? at.J * 3 * V : 0);
    norm_c = parts.take(cell.layer_norm ? at.J * V : 0);
    bias_c = parts.take(cell.layer_norm ? at.J * V : 0);
    projection = parts.take(cell.projection ? outputs * at.H * V : 0);
    size = parts.taken() - before;
#if defined(FORETELL_MATRICES)
    matrices.take_shared(parts, smaller(product_depth, chunk_pairs), at.I + at.recurrent + at.H, 4);
#endif
  }

  void take_own(Parts<Real>& parts) {
    const Index pairs = smaller(product_depth, chunk_pairs);
    ones = parts.template take_as<const Number*>(chunk_pairs);
#if defined(FORETELL_MATRICES)
    matrices.take_own(parts, pairs, at.I + at.recurrent + at.H, 4);
#else
    const Index depth = at.depth(pairs);
    columns = parts.template take_as<Factor<Number>>(depth * (joins ? gathered_row : group_columns));
    column_rows = parts.template take_as<const Factor<Number>*>(depth);
    panel = parts.template take_as<Factor<Number>>(joins ? depth * max_vectors * V : 0);
#endif
  }

  // This member's share of everything to 0; the members have to meet before the first `add`.
  void clear() {
    for (Index n = size * team.member / team.members; n < size * (team.member + 1) / team.members; ++n) input[n] = 0;
    for (Index n = 0; n < chunk_pairs; ++n) ones[n] = &one;
#if !defined(FORETELL_MATRICES)
    const Index depth = at.depth(smaller(product_depth, chunk_pairs));
    for (Index n = 0; n < depth; ++n) column_rows[n] = columns + n * gathered_row;
#endif
  }

  // Adds what the `count` pairs of a chunk give.
  void add(const Chunk<Number>& now, const Computed<Number>& computed, Index count) {
    const auto of_gates = [&](const Factor<Number>* rows) {
      return Gradients{rows, chunk_pairs * at.deep, at.deep, at.J, at.blocks};
    };
    const Columns x{now.x, 0, wanted.weight_ih ? at.I : 0, input, at.I};
    const Columns h{now.seen, 0, wanted.weight_hh ? at.R : 0, recurrent, at.recurrent};
    const Columns before{now.seen, at.seen_h, wanted.weight_gate ? at.gates * at.H : 0, recurrent, at.recurrent};
    const Columns of_bias{ones, 0, 1, bias, 1};
    if (cell.layer_norm) {  // which gives each of them gradients of its own
      add_products(of_gates(now.gates_x), count, x);
      add_products(of_gates(now.gates_h), count, h);
      add_products(of_gates(now.gates), count, before, of_bias);
    } else {
      add_products(of_gates(now.gates), count, x, h, before, of_bias);
    }
    if (cell.projection && wanted.weight_hr) {
      for (Index j = 0; j < outputs; j += max_vectors) {
        const int vectors = int(smaller(max_vectors, outputs - j));
        const Gradients of_h{now.h_at(j, chunk_pairs), 0, now.row_of(vectors), 1, vectors};
        add_products(of_h, count, Columns{now.outs, 0, at.H, projection + j * at.H * V, at.H});
      }
    }
    const Index end = at.J * (team.member + 1) / team.members;
    for (Index j = at.J * team.member / team.members; j < end; ++j) add_sums(now, computed, j, count);
  }

  // The sums, turned back into torch's rows, this member's blocks of them.
  void give() const {
    const Index from_j = at.J * team.member / team.members, to_j = at.J * (team.member + 1) / team.members;
    for (Index j = from_j; j < to_j; ++j) {
      give_rows(j, input, at.I, 0, at.I, false, wanted.weight_ih);
      give_rows(j, recurrent, at.R, 0, at.recurrent, false, wanted.weight_hh);
      if (cell.gate_recurrence) {
        give_rows(j, recurrent, at.gates * at.H, at.seen_h, at.recurrent, true, wanted.weight_gate);
      }
      give_rows(j, bias, 1, 0, 1, false, wanted.bias_ih);
      give_rows(j, bias, 1, 0, 1, false, wanted.bias_hh);
      if (cell.layer_norm) {
        give_rows(j, norm_ih, 1, 0, 1, false, wanted.norm_ih);
        give_rows(j, norm_hh, 1, 0, 1, false, wanted.norm_hh);
        if (wanted.norm_c) store(wanted.norm_c + j * V, load(norm_c + j * V), at.units(j));
        if (wanted.bias_c) store(wanted.bias_c + j * V, load(bias_c + j * V), at.units(j));
      }
      for (int part = 0, slot = 0; wanted.peephole && part < 4; ++part) {
        if (part == 2) continue;
        const Real* from = peephole + (j * 3 + slot++) * V;
        if (at.gate[part] >= 0) store(wanted.peephole + at.gate[part] * at.H + j * V, load(from), at.units(j));
      }
    }
    if (!wanted.weight_hr) return;
    for (Index r = team.member; r < at.R; r += team.members) {
      const Index first = r / V / max_vectors * max_vectors, vectors = smaller(max_vectors, outputs - first);
      const Real* from = projection + first * at.H * V + (r - first * V);
      for (Index k = 0; k < at.H; ++k) wanted.weight_hr[r * at.H + k] = from[k * vectors * V];
    }
  }

 private:
  // Of sums over pairs: to[j][column + line][v] += rows[pair][column + line] gradient[j][pair][v], for some lines.
  struct Columns {
    const Number* const* rows;
    Index column, lines;
    Real* to;         // [panels][all_lines][vectors][V]
    Index all_lines;
  };
  struct Gradients {
    const Factor<Number>* rows;
    Index stride, row;  // from panel to panel, and from pair to pair
    Index panels;
    int vectors;

    const Factor<Number>* at(Index j, Index pair) const { return rows + j * stride + pair * row; }
  };

  // This member's part of the products with some gradients: some of the panels where there are enough of them, else
  // some of the lines.
  template <class... All>
  void add_products(const Gradients& gradients, Index count, const All&... columns) {
    const Index member = team.member, members = team.members, all = gradients.panels;
    const bool by_panels = all >= 2 * members;
    const Span panels = by_panels ? Span{all * member / members, all * (member + 1) / members} : Span{0, all};
    for (Index begin = 0; begin < count; begin += product_depth) {
      add_pairs({begin, smaller(begin + product_depth, count)}, gradients, panels, by_panels, columns...);
    }
  }

#if defined(FORETELL_MATRICES)
  template <class... All>
  void add_pairs(const Span& pairs, const Gradients& gradients, const Span& panels, bool all_lines,
                 const All&... columns) {
    matrices.begin(pairs.count());
    (matrices.turn(columns.rows + pairs.from, columns.column, columns.lines, all_lines), ...);
    matrices.wait();
    for (Index j = panels.from; j < panels.to; ++j) {
      matrices.set_panel(gradients.at(j, pairs.from), gradients.row, gradients.vectors);
      const Index width = gradients.vectors * V;
      (matrices.add(columns.to + (j * columns.all_lines + columns.column) * width, columns.lines, all_lines), ...);
    }
  }
#else
  template <class... All>
  void add_pairs(const Span& pairs, const Gradients& gradients, const Span& panels, bool all_lines,
                 const All&... columns) {
    const auto part_of = [&](Columns part) {
      if (all_lines) return part;
      const Index first = part.lines * team.member / team.members;
      part.lines = part.lines * (team.member + 1) / team.members - first;
      part.column += first;
      return part;
    };
    (add_columns(pairs, gradients, panels, part_of(columns)), ...);
  }

  void add_columns(const Span& pairs, const Gradients& gradients, const Span& panels, const Columns& part) const {
    const Index count = pairs.count(), depth = at.depth(count), width = gradients.vectors * V;
    const Index last_line = part.column + part.lines;
    const bool gathers = joins || (panels.count() >= panels_for_gathering && part.lines * sizeof(Real) > near_rows);
    const Number* const* a = part.rows + pairs.from;
    for (Index line = part.column; line < last_line; line += group_columns) {
      const Cut cut(smaller(line + group_columns, last_line) - line);
      if (gathers) gather(a, line, count, cut);
      for (Index j = panels.from; j < panels.to; ++j) {
        const Factor<Number>* gradient = factors_of(gradients.at(j, pairs.from), count, gradients.row, width);
        Real* to = part.to + (j * part.all_lines + line) * width;
        Index done = 0;
        for (int n = 0; n < cut.tiles; done += cut.rows(n++)) {
          const auto tile = column_tile_for<Number>(cut.rows(n), gradients.vectors);
          const Index gathered = joins ? done : n * max_rows * depth;
          if (gathers) tile(column_rows, gathered, depth, gradient, to + done * width, width);
          else if constexpr (!joins) tile(a, line + done, depth, gradient, to + done * width, width);
        }
      }
    }
  }

  // Columns from `column` on of `count` rows, which lie far apart: tile by tile as [rows][columns of the tile], or as
  // factors of two rows.
  void gather(const Number* const* a, Index column, Index count, const Cut& cut) const {
    if constexpr (joins) {
      for (Index k = 0; k < count; k += 2) {
        const Number* second = k + 1 < count ? a[k + 1] + column : nullptr;
        join_rows(a[k] + column, second, cut.count, columns + k / 2 * gathered_row);
      }
      return;
    }
    for (int part = 0; part < cut.tiles; column += cut.rows(part++)) {
      Factor<Number>* to = columns + part * max_rows * count;
      for (Index k = 0; k < count; ++k, to += max_rows) {
        for (int r = 0; r < cut.rows(part); ++r) to[r] = factors(a[k])[column + r];
      }
    }
  }

  // Rows [count][width] as the other side of a product: as they lie, or the factors of two rows each.
  const Factor<Number>* factors_of(const Factor<Number>* rows, Index count, Index row, Index width) const {
    if constexpr (joins) {
      const auto numbers = [&](Index n) {
        return n < count ? reinterpret_cast<const Number*>(rows + n * row) : nullptr;
      };
      for (Index k = 0; k < count; k += 2) join_rows(numbers(k), numbers(k + 1), width, panel + k / 2 * width);
      return panel;
    }
    return rows;
  }
#endif

  // The gradients of what is added or multiplied unit by unit: sums over the pairs of a chunk, in order.
  void add_sums(const Chunk<Number>& now, const Computed<Number>& computed, Index j, Index count) const {
    const Factor<Number>* rows = now.gates + j * chunk_pairs * at.deep;
    const auto gradient = [&](Index n, int v) { return Product<Number>::load_vector(rows + n * at.deep, v); };
    const auto add = [&](Real* to, const auto& term) {
      Vec<Real> total = load(to);
      for (Index n = 0; n < count; ++n) total = term(n, total);
      store(to, total);
    };
    for (int v = 0; v < at.blocks && cell.layer_norm; ++v) {
      const Index w = j * at.width + v * V;
      const auto d = [&](Index n) { return gradient(n, v); };
      const auto times = [&](const Real* normed) {
        const Real* of_block = normed + j * computed.pairs * at.width + v * V;
        return [d, of_block, number = now.number, width = at.width](Index n, Vec<Real> total) {
          return fma(d(n), load(of_block + number[n] * width), total);
        };
      };
      add(norm_ih + w, times(computed.normed_x));
      add(norm_hh + w, times(computed.normed_h));
    }
    if (cell.layer_norm) {
      const auto du = [&](Index n) { return load(now.u + (j * chunk_pairs + n) * V); };
      const Real* normed = computed.normed_c + j * computed.pairs * V;
      add(bias_c + j * V, [&](Index n, Vec<Real> total) { return total + du(n); });
      const auto c = [&](Index n) { return load(normed + now.number[n] * V); };
      add(norm_c + j * V, [&](Index n, Vec<Real> total) { return fma(du(n), c(n), total); });
    }
    if (!cell.peepholes) return;
    const Real* cells = (computed.fresh ? computed.fresh : computed.cells) + j * computed.pairs * V;
    for (int part = 0, slot = 0; part < 4; ++part) {
      if (part == 2) continue;
      Real* to = peephole + (j * 3 + slot++) * V;
      if (at.gate[part] < 0) continue;
      add(to, [&](Index n, Vec<Real> total) {
        const Vec<Real> c = part == 3 ? load(cells + now.number[n] * V) : load(now.c_before[n] + j * now.c_stride[n]);
        return fma(gradient(n, at.block[part]), c, total);
      });
    }
  }

  // Block j of sums [J][all_k][G][V], k from at_k on -> rows [GH,k_count], or [nH,k_count] of the gates alone.
  void give_rows(Index j, const Real* sums, Index k_count, Index at_k, Index all_k, bool only_gates, Real* to) const {
    if (!to) return;
    for (int part = 0; part < 4; ++part) {
      const int block = only_gates ? at.gate[part] : at.block[part];
      if (block < 0) continue;
      const Real* panel = sums + (j * all_k + at_k) * at.width + at.block[part] * V;
      Real* rows_of_block = to + (block * at.H + j * V) * k_count;
      for (Index k = 0; k < k_count; k += V) {
        const Index count = smaller(V, k_count - k);
        move_square(panel + k * at.width, at.width, rows_of_block + k, k_count, count, at.units(j));
      }
    }
  }

  const Cell& cell;
  const Layout<Number> at;
  const Parameters<Real>& wanted;
  const Team& team;
  const Index chunk_pairs, outputs;
  // The sums, as the packed weights lie, the first of them in front; the projection's as [panels][H][vectors][V].
  Real *input, *recurrent, *bias, *norm_ih, *norm_hh, *peephole, *norm_c, *bias_c, *projection;
  Index size = 0;
  const Number** ones;  // the input of the biases
  const Number one = number_one<Number>();
#if defined(FORETELL_MATRICES)
  MatrixColumns<Number> matrices{team};
#else
  static constexpr bool joins = together<Number> > 1;  // factors of two pairs (step, row), which are made here
  static constexpr Index gathered_row = joins ? group_columns + V : max_rows;  // not a large power of two

  Factor<Number> *columns, *panel;
  const Factor<Number>** column_rows;
#endif
};

}  // namespace foretell::FORETELL_VARIANT
