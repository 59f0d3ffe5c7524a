// The gradients of a cell at a step: from those of its output and of the state after it to those of its gates and of
// the state before it.  They are what PyTorch's autograd makes of src/foretell/lstm/definition.py.
#pragma once

#include "activations.h"
#include "run.h"
#include "weight_gradients.h"

namespace foretell::FORETELL_VARIANT {

// A chunk has about so many bytes of gates' gradients, and within limits so many pairs.
constexpr Index gate_bytes = 1 << 20, least_pairs = 256, most_pairs = 1024;

template <class Number>
class CellGradients : protected Run<Number> {
 protected:
  using Base = Run<Number>;
  using Real = Wide<Number>;
  using Base::at, Base::cell, Base::computed, Base::f, Base::pairs, Base::share, Base::V, Base::zoneout;

  CellGradients(const Backward<Number>& b, const Team& team)
      : Base(b.forward, team, {}), b(b), chunk(product_steps(b.forward)), chunk_pairs(chunk * b.forward.rows.batch | 1),
        outputs(at.output_blocks()) {}

  void take_cells(Parts<Real>& shared, Parts<Real>& of_rows) {
    const Index rows = share.most;
    Base::take_states(of_rows);
    dh = of_rows.take(rows * outputs * V);
    dc = of_rows.take(rows * at.J * V);
    dgates_before = of_rows.take(cell.gate_recurrence ? rows * at.gates * at.H + V : 0);
    dout = of_rows.take(cell.projection ? rows * at.J * V : 0);
    peephole = shared.take(cell.peepholes ? at.J * 3 * V : 0);
    for (Chunk<Number>& part : chunks) part.take(shared, cell, chunk_pairs);
  }

  Vec<Real> load_dy(const RowAt<Number>& row, Index j) const {
    if (!b.dy.data) return Vec<Real>{};
    return load(pairs.at(b.dy, row.step, row.row) + j * V, int(smaller(V, at.R - j * V)));
  }

  // The gradient of the output before zoneout; what zoneout hands straight on stays in `kept`.
  template <bool PLAIN>
  Vec<Real> unzone_h(const RowAt<Number>& row, Index j, Real* kept) const {
    const Vec<Real> total = load_dy(row, j) + load(dh + (row.local * outputs + j) * V);
    if (PLAIN || !zoneout.of_h()) {
      store(kept, Vec<Real>{});
      return total;
    }
    const Vec<Real> keep = zoneout.keep_h(j, row.number);
    store(kept, keep * total);
    return (all(Real(1)) - keep) * total;
  }

  // Of o * tanh(u): also leaves in `dh` what zoneout keeps.
  template <bool PLAIN>
  Vec<Real> output_gradient(const RowAt<Number>& row, Index j) const {
    if (!PLAIN && cell.projection) return load(dout + (row.local * at.J + j) * V);
    return unzone_h<PLAIN>(row, j, dh + (row.local * outputs + j) * V);
  }

  const Real* gates(Index j, Index number) const { return computed.gates + (j * computed.pairs + number) * at.width; }
  Number* placed(Number* buffer, Index j, const RowAt<Number>& row) const {
    return buffer + (j * chunk_pairs + row.place) * at.width;
  }
  template <bool PLAIN>
  Vec<Real> fresh(Index j, const RowAt<Number>& row) const {
    return load((!PLAIN && computed.fresh ? computed.fresh : computed.cells) + (j * computed.pairs + row.number) * V);
  }

  // Brings into L1 what `differentiate_cell` will read of a row: forward saved it long ago, and it has gone to L3.
  void fetch_cell(const RowAt<Number>& row, Index j) const {
    for (int v = 0; v < at.blocks; ++v) __builtin_prefetch(gates(j, row.number) + v * V);
    __builtin_prefetch(computed.cells + (j * computed.pairs + row.number) * V);
    __builtin_prefetch(row.c_before + j * row.c_stride);
  }

  template <bool PLAIN>
  [[gnu::always_inline]] void differentiate_cell(const RowAt<Number>& row, Index j) {
    const Vec<Real> one = all(Real(1)), dout = output_gradient<PLAIN>(row, j);
    const int block = PLAIN ? 3 : at.block[3];
    const Vec<Real> o = block < 0 ? one : load(gates(j, row.number) + block * V);
    Vec<Real> u = fresh<PLAIN>(j, row), slope = one;
    if (PLAIN || cell.output_activation) {
      u = tanh<Real>(u);
      slope = one - u * u;
    }
    differentiate_gates<PLAIN>(row, j, dout * u, dout * o * slope);
  }

  // From the gradients of o and, through the output alone, of the fresh cell to those of all before activation.
  template <bool PLAIN>
  [[gnu::always_inline]] void differentiate_gates(const RowAt<Number>& row, Index j, Vec<Real> d_o, Vec<Real> dfresh) {
    const auto block = [&](int part) { return PLAIN ? part : at.block[part]; };
    const bool coupled = !PLAIN && cell.coupled, recurs = !PLAIN && cell.gate_recurrence;
    const Real* memory = gates(j, row.number);
    const Vec<Real> one = all(Real(1));
    const auto value = [&](int part) { return block(part) < 0 ? one : load(memory + block(part) * V); };
    const Vec<Real> i = value(0), g = value(2), o = value(3);
    const Vec<Real> fg = coupled ? one - i : value(1);
    const Vec<Real> before = load(row.c_before + j * row.c_stride);
    const Vec<Real> zero{};
    const Real* p = !PLAIN && cell.peepholes ? peephole + j * 3 * V : nullptr;
    Real* cell_gradient = dc + (row.local * at.J + j) * V;
    Vec<Real> dc_after = load(cell_gradient), dc_before{};
    if (!PLAIN && zoneout.of_c()) {
      const Vec<Real> keep_c = zoneout.keep_c(j, row.number);
      dc_before = keep_c * dc_after;
      dc_after = (one - keep_c) * dc_after;
    }
    dfresh += dc_after;
    if (block(3) >= 0) {
      if (recurs) d_o += load_gate(row, j, 3);
      d_o = d_o * o * (one - o);
      if (p) dfresh = fma(load(p + 2 * V), d_o, dfresh);
    }
    Vec<Real> di = dfresh * g, df = dfresh * before, dg = dfresh * i;
    if (coupled) di -= df;
    if (recurs && at.gate[0] >= 0) di += load_gate(row, j, 0);
    if (recurs && at.gate[1] >= 0) df += load_gate(row, j, 1);
    di = block(0) < 0 ? zero : di * i * (one - i);
    df = block(1) < 0 ? zero : df * fg * (one - fg);
    if (PLAIN || cell.input_activation) dg *= one - g * g;
    dc_before = fma(dfresh, fg, dc_before);
    if (p) dc_before = fma(load(p), di, fma(load(p + V), df, dc_before));
    const Vec<Real> gradients[4] = {di, df, dg, d_o};
    Number* to = placed(now->gates, j, row);
    // `only`: padded units have no weights, but an infinity times their zeros would still be NaN.
    for (int part = 0; part < 4; ++part) {
      if (block(part) >= 0) store(to + block(part) * V, only(gradients[part], at.units(j)));
    }
    store(cell_gradient, only(dc_before, at.units(j)));
  }

  Vec<Real> load_gate(const RowAt<Number>& row, Index j, int part) const {
    return load(dgates_before + (row.local * at.gates + at.gate[part]) * at.H + j * V, at.units(j));
  }

  void differentiate_normed(const RowAt<Number>& row) {
    const Vec<Real> one = all(Real(1));
    for (Index j = 0; j < at.J; ++j) {
      const Vec<Real> dout = output_gradient<false>(row, j);
      const Index where = (j * computed.pairs + row.number) * V;
      const Vec<Real> gain = load(f.weights.norm_c + j * V, at.units(j));
      const Vec<Real> bias = f.weights.bias_c ? load(f.weights.bias_c + j * V, at.units(j)) : Vec<Real>{};
      Vec<Real> u = fma(load(computed.normed_c + where), gain, bias), slope = one;
      if (cell.output_activation) {
        u = tanh<Real>(u);
        slope = one - u * u;
      }
      const Vec<Real> o = at.block[3] < 0 ? one : load(gates(j, row.number) + at.block[3] * V);
      store(now->u + (j * chunk_pairs + row.place) * V, only(dout * o * slope, at.units(j)));
      if (at.block[3] >= 0) store(placed(now->gates, j, row) + at.block[3] * V, dout * u);  // of o, for below
    }
    const Means of_c = norm_means(now->u + row.place * V, chunk_pairs * V, computed.normed_c + row.number * V,
                                  computed.pairs * V, f.weights.norm_c, 1);
    for (Index j = 0; j < at.J; ++j) {
      const Vec<Real> gain = load(f.weights.norm_c + j * V, at.units(j));
      const Vec<Real> normed = load(computed.normed_c + (j * computed.pairs + row.number) * V);
      const Vec<Real> du = load(now->u + (j * chunk_pairs + row.place) * V) * gain;
      const Vec<Real> dfresh = unnormalise(du, normed, of_c, computed.spread_c[row.number]);
      const Vec<Real> d_o = at.block[3] < 0 ? one : load(placed(now->gates, j, row) + at.block[3] * V);
      differentiate_gates<false>(row, j, d_o, dfresh);
    }
    unnormalise_gates(row, now->gates_x, computed.normed_x, f.weights.norm_ih, computed.spread_x[row.number]);
    unnormalise_gates(row, now->gates_h, computed.normed_h, f.weights.norm_hh, computed.spread_h[row.number]);
  }

  // With d the gradient of y = gain * normed: the means over a row of gain d and of gain d normed.
  struct Means {
    Real plain, normed;
  };

  template <class Gradient>
  Means norm_means(const Gradient* gradient, Index stride, const Real* normed, Index normed_stride, const Real* gain,
                   int vectors) const {
    Vec<Real> plain{}, product{};
    for (Index j = 0; j < at.J; ++j) {
      for (int v = 0; v < vectors; ++v) {
        const Vec<Real> d = load(gradient + j * stride + v * V) * load(gain + v * at.H + j * V, at.units(j));
        plain += d;
        product = fma(d, load(normed + j * normed_stride + v * V), product);
      }
    }
    const Real count = Real(at.H * vectors);
    return {sum<Real>(plain) / count, sum<Real>(product) / count};
  }

  static Vec<Real> unnormalise(Vec<Real> d, Vec<Real> normed, Means means, Real spread) {
    return (d - all(means.plain) - normed * all(means.normed)) * all(spread);
  }

  void unnormalise_gates(const RowAt<Number>& row, Number* to, const Real* normed, const Real* gain,
                         Real spread) const {
    const Number* d = now->gates + row.place * at.width;
    const Real* x = normed + row.number * at.width;
    const Means means = norm_means(d, chunk_pairs * at.width, x, computed.pairs * at.width, gain, at.blocks);
    for (Index j = 0; j < at.J; ++j) {
      for (int v = 0; v < at.blocks; ++v) {
        const Vec<Real> scaled =
            load(d + j * chunk_pairs * at.width + v * V) * load(gain + v * at.H + j * V, at.units(j));
        const Vec<Real> value = unnormalise(scaled, load(x + j * computed.pairs * at.width + v * V), means, spread);
        store(placed(to, j, row) + v * V, only(value, at.units(j)));
      }
    }
  }

 private:
  // The steps whose gradients make one product.
  static Index product_steps(const Forward<Number>& f) {
    const Layout<Number> at(f.cell);
    const Index pairs = smaller(most_pairs, larger(least_pairs, gate_bytes / Index(at.J * at.width * sizeof(Number))));
    return larger(1, smaller(f.rows.time, pairs / larger(1, f.rows.batch)));
  }

 protected:
  const Backward<Number>& b;
  const Index chunk, chunk_pairs;  // steps, pairs at most
  const Index outputs;             // blocks of h
  Chunk<Number> chunks[2];
  Chunk<Number>* now = chunks;
  // Of the state that the step before left, [rows][outputs][V], [rows][J][V], [rows][nH]; of o * tanh(c) where that is
  // projected, [rows][J][V]; the weights, [J][i f o][V].
  Real *dh, *dc, *dgates_before, *dout, *peephole;
};

}  // namespace foretell::FORETELL_VARIANT
