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
  using P = Product<Number>;
  using Base::at, Base::cell, Base::computed, Base::f, Base::share, Base::V, Base::zoneout;

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

  // The gradient of the output before zoneout.  `passed`: what came through the states; then what zoneout hands
  // straight on.
  template <bool PLAIN>
  Vec<Real> unzone_h(const RowAt<Number>& row, Index j, Real* passed, int units) const {
    const Vec<Real> total = row.dy ? load(passed) + load(row.dy + j * V, units) : load(passed);
    if (PLAIN || !zoneout.of_h()) {
      store(passed, Vec<Real>{});
      return total;
    }
    const Vec<Real> keep = zoneout.keep_h(j, row.number);
    store(passed, keep * total);
    return (all(Real(1)) - keep) * total;
  }

  // A block of units: where it begins in what forward saved of all pairs, in the gradients of the chunk's pairs, and in
  // those that rows hand on.  It is held in variables of its own: a store may change members for all that the compiler
  // knows, and the less it reads again, the more rows fit the window in which a core looks ahead.
  struct Block {
    Index j, width, deep;
    const Real *gates, *fresh;
    Factor<Number>* to;
    Real *dh, *dc;
    const Real* dout;      // null without projection
    Index dh_row, dc_row;  // from row to row; the latter of dout too
  };
  template <bool PLAIN>
  Block block_at(Index j) const {
    const Index width = PLAIN ? 4 * V : at.width;
    const Real* fresh = !PLAIN && computed.fresh ? computed.fresh : computed.cells;
    return {.j = j,
            .width = width,
            .deep = PLAIN ? at.depth(width) : at.deep,
            .gates = computed.gates + j * computed.pairs * width,
            .fresh = fresh + j * computed.pairs * V,
            .to = now->gates + j * chunk_pairs * (PLAIN ? at.depth(width) : at.deep),
            .dh = dh + j * V,
            .dc = dc + j * V,
            .dout = cell.projection ? dout + j * V : nullptr,
            .dh_row = outputs * V,
            .dc_row = at.J * V};
  }

  // Of o * tanh(u): also leaves in `dh` what zoneout keeps.
  template <bool PLAIN, class Count>
  Vec<Real> output_gradient(const RowAt<Number>& row, const Block& block, Count units) const {
    if (block.dout) return load(block.dout + row.local * block.dc_row);
    return unzone_h<PLAIN>(row, block.j, block.dh + row.local * block.dh_row, units);
  }

  Factor<Number>* placed(Factor<Number>* buffer, Index j, const RowAt<Number>& row) const {
    return buffer + (j * chunk_pairs + row.place) * at.deep;
  }

  // Brings into L1 what `differentiate_cell` will read of a row: forward saved it long ago, and it has gone to L3.
  // Always inlined: GCC drops the calls of a function that does nothing but fetch.
  [[gnu::always_inline]] static void fetch_cell(const RowAt<Number>& row, const Block& block) {
    const Real* gates = block.gates + row.number * block.width;
    for (Index n = 0; n < block.width; n += cache_line / sizeof(Real)) __builtin_prefetch(gates + n);
    __builtin_prefetch(block.fresh + row.number * V);
    __builtin_prefetch(row.c_before + block.j * row.c_stride);
  }

  template <bool PLAIN, class Count>
  [[gnu::always_inline]] void differentiate_cell(const RowAt<Number>& row, const Block& block, Count units) const {
    const Vec<Real> one = all(Real(1)), dout = output_gradient<PLAIN>(row, block, units);
    const int part = PLAIN ? 3 : at.block[3];
    const Vec<Real> o = part < 0 ? one : load(block.gates + row.number * block.width + part * V);
    Vec<Real> u = load(block.fresh + row.number * V), slope = one;
    if (PLAIN || cell.output_activation) {
      u = tanh<Real>(u);
      slope = one - u * u;
    }
    differentiate_gates<PLAIN>(row, block, units, dout * u, dout * o * slope);
  }

  // From the gradients of o and, through the output alone, of the fresh cell to those of all before activation.
  template <bool PLAIN, class Count>
  [[gnu::always_inline]] void differentiate_gates(const RowAt<Number>& row, const Block& block, Count units,
                                                  Vec<Real> d_o, Vec<Real> dfresh) const {
    const Index j = block.j;
    const auto slot = [&](int part) { return PLAIN ? part : at.block[part]; };
    const bool coupled = !PLAIN && cell.coupled, recurs = !PLAIN && cell.gate_recurrence;
    const Real* memory = block.gates + row.number * block.width;
    const Vec<Real> one = all(Real(1));
    const auto value = [&](int part) { return slot(part) < 0 ? one : load(memory + slot(part) * V); };
    const Vec<Real> i = value(0), g = value(2), o = value(3);
    const Vec<Real> fg = coupled ? one - i : value(1);
    const Vec<Real> before = load(row.c_before + j * row.c_stride);
    const Vec<Real> zero{};
    const Real* p = !PLAIN && cell.peepholes ? peephole + j * 3 * V : nullptr;
    Real* cell_gradient = block.dc + row.local * block.dc_row;
    Vec<Real> dc_after = load(cell_gradient), dc_before{};
    if (!PLAIN && zoneout.of_c()) {
      const Vec<Real> keep_c = zoneout.keep_c(j, row.number);
      dc_before = keep_c * dc_after;
      dc_after = (one - keep_c) * dc_after;
    }
    dfresh += dc_after;
    if (slot(3) >= 0) {
      if (recurs) d_o += load_gate(row, j, 3);
      d_o = d_o * o * (one - o);
      if (p) dfresh = fma(load(p + 2 * V), d_o, dfresh);
    }
    Vec<Real> di = dfresh * g, df = dfresh * before, dg = dfresh * i;
    if (coupled) di -= df;
    if (recurs && at.gate[0] >= 0) di += load_gate(row, j, 0);
    if (recurs && at.gate[1] >= 0) df += load_gate(row, j, 1);
    di = slot(0) < 0 ? zero : di * i * (one - i);
    df = slot(1) < 0 ? zero : df * fg * (one - fg);
    if (PLAIN || cell.input_activation) dg *= one - g * g;
    dc_before = fma(dfresh, fg, dc_before);
    if (p) dc_before = fma(load(p), di, fma(load(p + V), df, dc_before));
    const Vec<Real> gradients[4] = {di, df, dg, d_o};
    Factor<Number>* to = block.to + row.place * block.deep;
    // `only`: padded units have no weights, but an infinity times their zeros would still be NaN.
    if constexpr (PLAIN) {
      for (int v = 0; v < 4; v += 2) P::store_vectors(to, v, only(gradients[v], units), only(gradients[v + 1], units));
    } else {
      for (int part = 0; part < 4; ++part) {
        if (slot(part) >= 0) P::store_vector(to, slot(part), only(gradients[part], units));
      }
      fill_up(to);
    }
    store(cell_gradient, only(dc_before, units));
  }

  // Block by block, so that what forward saved is read in long runs.
  template <bool PLAIN>
  void differentiate_cells(const RowAt<Number>* rows, Index count) const {
    for (Index j = share.first_block; j < share.last_block; ++j) {
      at.with_units(j, [&](auto units) { differentiate_block<PLAIN>(rows, count, j, units); });
    }
  }

  // All rows' cells in a block; what they read is fetched a few rows ahead.
  template <bool PLAIN, class Count>
  void differentiate_block(const RowAt<Number>* rows, Index count, Index j, Count units) const {
    constexpr Index ahead = 8;
    const bool is_last = j + 1 == share.last_block;
    const Block block = block_at<PLAIN>(j), after = block_at<PLAIN>(j + !is_last);
    for (Index n = 0; n < count; ++n) {
      const Index next = n + ahead;
      if (next < count) fetch_cell(rows[next], block);
      else if (!is_last) fetch_cell(rows[smaller(next - count, count - 1)], after);
      differentiate_cell<PLAIN>(rows[n], block, units);
    }
  }

  Vec<Real> load_gate(const RowAt<Number>& row, Index j, int part) const {
    return load(dgates_before + (row.local * at.gates + at.gate[part]) * at.H + j * V, at.units(j));
  }

  // Brings into L2 what `differentiate_normed` will read of a block of a row.
  [[gnu::always_inline]] void fetch_normed(const RowAt<Number>& row, Index j) const {
    const Index where = (j * computed.pairs + row.number) * at.width;
    for (const Real* part : {computed.gates, computed.normed_x, computed.normed_h}) {
      for (Index n = 0; n < at.width; n += cache_line / sizeof(Real)) __builtin_prefetch(part + where + n, 0, 2);
    }
    __builtin_prefetch(computed.normed_c + (j * computed.pairs + row.number) * V, 0, 2);
  }

  // A row, while what the next one needs is fetched.
  void differentiate_normed(const RowAt<Number>& row, const RowAt<Number>& next) {
    const Vec<Real> one = all(Real(1));
    NormSums sums;
    for (Index j = 0; j < at.J; ++j) {
      fetch_normed(next, j);
      const Block block = block_at<false>(j);
      const Vec<Real> dout = output_gradient<false>(row, block, at.units(j));
      const Vec<Real> gain = load(f.weights.norm_c + j * V, at.units(j)), normed = normed_c(row, j);
      const Vec<Real> bias = f.weights.bias_c ? load(f.weights.bias_c + j * V, at.units(j)) : Vec<Real>{};
      Vec<Real> u = fma(normed, gain, bias), slope = one;
      if (cell.output_activation) {
        u = tanh<Real>(u);
        slope = one - u * u;
      }
      const Vec<Real> o = at.block[3] < 0 ? one : load(block.gates + row.number * block.width + at.block[3] * V);
      const Vec<Real> du = only(dout * o * slope, at.units(j));
      store(now->u + (j * chunk_pairs + row.place) * V, du);
      sums.add(du * gain, normed);
      if (at.block[3] >= 0) P::store_vector(placed(now->gates, j, row), at.block[3], dout * u);  // of o, for below
    }
    const NormMeans of_c(sums, at.H, computed.spread_c[row.number]);
    for (Index j = 0; j < at.J; ++j) {
      const Vec<Real> gain = load(f.weights.norm_c + j * V, at.units(j));
      const Vec<Real> du = load(now->u + (j * chunk_pairs + row.place) * V) * gain;
      const Vec<Real> d_o = at.block[3] < 0 ? one : P::load_vector(placed(now->gates, j, row), at.block[3]);
      differentiate_gates<false>(row, block_at<false>(j), at.units(j), d_o, of_c.unnormed(du, normed_c(row, j)));
    }
    unnormalise_gates(row);
  }

 private:
  // With d the gradient of y = gain * normed: the sums over a row of gain d and of gain d normed.
  struct NormSums {
    Vec<Real> plain{}, product{};
    void add(Vec<Real> scaled, Vec<Real> normed) {
      plain += scaled;
      product = fma(scaled, normed, product);
    }
  };
  // Their means, and from gain d and normed the gradient before the norm.
  struct NormMeans {
    Vec<Real> plain, product, spread;
    NormMeans(const NormSums& sums, Index count, Real spread)
        : plain(all(sum<Real>(sums.plain) / Real(count))), product(all(sum<Real>(sums.product) / Real(count))),
          spread(all(spread)) {}
    Vec<Real> unnormed(Vec<Real> scaled, Vec<Real> normed) const {
      return (scaled - plain - normed * product) * spread;
    }
  };

  Vec<Real> normed_c(const RowAt<Number>& row, Index j) const {
    return load(computed.normed_c + (j * computed.pairs + row.number) * V);
  }

  // Before the two norms whose sum a row's gates are; with variables of its own, as `Block`.
  void unnormalise_gates(const RowAt<Number>& row) const {
    const Index H = at.H, stride = chunk_pairs * at.deep, normed_stride = computed.pairs * at.width;
    const int vectors = at.blocks;
    const Factor<Number>* d = placed(now->gates, 0, row);
    const Real *x = computed.normed_x + row.number * at.width, *h = computed.normed_h + row.number * at.width;
    const Real *x_gain = f.weights.norm_ih, *h_gain = f.weights.norm_hh;
    NormSums x_sums, h_sums;
    at.for_blocks([&](Index j, auto units) {
      for (int v = 0; v < vectors; ++v) {
        const Vec<Real> value = P::load_vector(d + j * stride, v);
        const Index gain = v * H + j * V, at_normed = j * normed_stride + v * V;
        x_sums.add(value * load(x_gain + gain, units), load(x + at_normed));
        h_sums.add(value * load(h_gain + gain, units), load(h + at_normed));
      }
    });
    const NormMeans of_x(x_sums, H * vectors, computed.spread_x[row.number]);
    const NormMeans of_h(h_sums, H * vectors, computed.spread_h[row.number]);
    Factor<Number> *to_x = placed(now->gates_x, 0, row), *to_h = placed(now->gates_h, 0, row);
    at.for_blocks([&](Index j, auto units) {
      for (int v = 0; v < vectors; ++v) {
        const Index to = j * stride, gain = v * H + j * V, at_normed = j * normed_stride + v * V;
        const Vec<Real> value = P::load_vector(d + to, v), x_value = load(x + at_normed), h_value = load(h + at_normed);
        P::store_vector(to_x + to, v, only(of_x.unnormed(value * load(x_gain + gain, units), x_value), units));
        P::store_vector(to_h + to, v, only(of_h.unnormed(value * load(h_gain + gain, units), h_value), units));
      }
      fill_up(to_x + j * stride);
      fill_up(to_h + j * stride);
    });
  }

  // Zeros behind a row of a block's gates, as far as products read.
  void fill_up(Factor<Number>* row) const {
    for (Index v = at.blocks; v * V < at.deep * together<Number>; ++v) P::store_vector(row, v, Vec<Real>{});
  }

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
