// The backward pass of one direction, as one member of a team sees it.
//
// Time goes backward in chunks: step by step the gradients of a chunk's gates, then, all members together, what is
// made of them in large products: the gradients of the inputs and of the weights.  These sum over pairs in the order of
// their numbers, whoever does it, so their bits do not depend on the number of threads.
#pragma once

#include "forward.h"
#include "pack.h"

namespace foretell::FORETELL_VARIANT {

constexpr Index backward_rows = 256;  // pairs in a chunk, about: the depth of the large products
constexpr Index deep_blocks = 16;     // unit blocks of a panel that are used on all rows while in L2; a whole chain
constexpr Index group_columns = 96;   // columns gathered side by side for a product with gates

// Weights the other way round, for gradients of what they were multiplied with: [blocks of columns][K][vectors][V] in
// panels of up to four blocks, where K runs over the GH rows as the gates lie, [J][G][V].
template <class Real>
struct Transposed {
  static constexpr int V = lanes<Real>;

  // The panels of blocks [from, to) of the columns of `rows` [GH, columns], which lie `at_column` on in the panels.
  static void pack(const Layout<Real>& at, const Real* rows, Index columns, Index at_column, bool only_gates,
                   Index from, Index to, Index member, Index members, Real* panels) {
    const Index depth = at.J * at.width;
    for (Index j = member; j < at.J; j += members) {
      for (int part = 0; part < 4; ++part) {
        const int block = only_gates ? at.gate[part] : at.block[part];
        if (block < 0) continue;
        for (int lane = 0; lane < at.units(j); ++lane) {
          const Real* row = rows + (block * at.H + j * V + lane) * columns;
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

template <class Real>
class BackwardRun : Run<Real> {
  using Base = Run<Real>;
  using Base::at, Base::cell, Base::f, Base::pairs, Base::share, Base::team, Base::V;

 public:
  BackwardRun(const Backward<Real>& b, Scratch<Real> scratch, const Team& team)
      : Base(b.forward, team), b(b), chunk(chunk_steps(b.forward)), chunk_pairs(chunk * b.forward.rows.batch),
        depth(at.J * at.width), inputs(ceil_div(at.I, V)), outputs(at.output_blocks()),
        seen_blocks(ceil_div(at.recurrent, V)), panels(ceil_div(outputs, max_vectors)),
        computed(cell, f.hidden_mask != nullptr, true, f.rows.first[f.rows.time], f.saved),
        zoneout(f, computed.kept, computed.pairs) {
    const Index batch = f.rows.batch;
    Parts<Real> shared(scratch.shared), own(scratch.own);
    initial_c = shared.take(at.J * batch * V);
    start_c = shared.take(f.reset ? at.J * batch * V : 0);
    dh = shared.take(batch * outputs * V);
    dc = shared.take(batch * at.J * V);
    has_seen = f.hidden_mask || cell.gate_recurrence;
    dseen = shared.take(has_seen ? batch * seen_blocks * V : 0);
    // Layer norm stands between the gates and what they saw of h, but not of the gates.
    has_both = cell.layer_norm && cell.gate_recurrence;
    dseen_gates = shared.take(has_both ? batch * seen_blocks * V : 0);
    dgates_before = shared.take(cell.gate_recurrence ? batch * at.gates * at.H + V : 0);
    dout = shared.take(cell.projection ? batch * at.J * V : 0);
    direct = shared.take(cell.projection ? batch * outputs * V : 0);
    peephole = shared.take(cell.peepholes ? at.J * 3 * V : 0);
    recurrent_t = shared.take(depth * seen_blocks * V);
    input_t = shared.take(b.dx.data ? depth * inputs * V : 0);
    projection_t = shared.take(cell.projection ? at.R * at.J * V : 0);
    for (Chunk& part : chunks) part.take(shared, *this);
    sums.take(shared, *this);
    size.shared = shared.taken();
    zeros = own.take(max_vectors * V);
    rows = own.template take_as<RowAt<Real>>(batch);
    tile = own.take(chunk_pairs * max_vectors * V);
    columns = own.take(group_columns * chunk_pairs);
    column_rows = own.template take_as<const Real*>(chunk_pairs);
    size.own = own.taken();
  }

  void run() {
    prepare();
    wait();
    const Index time = f.rows.time;
    int parity = 0;
    for (Index done = 0; done < time; done += chunk, parity ^= 1) {
      const Index count = smaller(chunk, time - done);
      const Index from = f.reverse ? done : time - done - count;
      now = &chunks[parity];
      base = pairs.first(from);
      for (Index n = 0; n < count; ++n) step(f.reverse ? from + n : from + count - 1 - n);
      wait();
      const Index number = pairs.first(from + count) - base;
      if (b.dx.data) differentiate_inputs(number);
      differentiate_weights(number);
    }
    give_states();
    wait();
    give_weights();
  }

  ScratchSize size;

 private:
  // What the steps of a chunk leave for the products after it.  Two take turns, so that one meeting a chunk is enough.
  struct Chunk {
    Real *gates, *gates_x, *gates_h;  // of a; with layer norm, of W x and R h (else the same)
    Real *u, *h;                      // of the normalised cell [J][pairs][V]; of h, [panels][pairs][vectors][V]
    const Real **x, **seen, **outs, **c_before;
    Index* c_stride;
    Real** dx;

    void take(Parts<Real>& parts, const BackwardRun& run) {
      const Index gate_size = run.at.J * run.chunk_pairs * run.at.width;
      const bool norm = run.cell.layer_norm;
      gates = parts.take(gate_size);
      gates_x = norm ? parts.take(gate_size) : gates;
      gates_h = norm ? parts.take(gate_size) : gates;
      u = parts.take(norm ? run.at.J * run.chunk_pairs * V : 0);
      h = parts.take(run.cell.projection ? run.outputs * run.chunk_pairs * V : 0);
      x = parts.template take_as<const Real*>(run.chunk_pairs);
      seen = parts.template take_as<const Real*>(run.chunk_pairs);
      outs = parts.template take_as<const Real*>(run.cell.projection ? run.chunk_pairs : 0);
      c_before = parts.template take_as<const Real*>(run.chunk_pairs);
      c_stride = parts.template take_as<Index>(run.chunk_pairs);
      dx = parts.template take_as<Real*>(run.chunk_pairs);
    }
  };

  // The gradients of the weights, as the packed weights lie; the projection's as [panels][H][vectors][V].
  struct WeightSums {
    Real *input, *recurrent, *bias, *norm_ih, *norm_hh, *peephole, *norm_c, *bias_c, *projection;
    Real* begin;
    Index count;

    void take(Parts<Real>& parts, const BackwardRun& run) {
      const Layout<Real>& at = run.at;
      const Index before = parts.taken();
      begin = input = parts.take(at.J * at.I * at.width);
      recurrent = parts.take(at.J * at.recurrent * at.width);
      bias = parts.take(at.J * at.width);
      norm_ih = parts.take(run.cell.layer_norm ? at.J * at.width : 0);
      norm_hh = parts.take(run.cell.layer_norm ? at.J * at.width : 0);
      peephole = parts.take(run.cell.peepholes ? at.J * 3 * V : 0);
      norm_c = parts.take(run.cell.layer_norm ? at.J * V : 0);
      bias_c = parts.take(run.cell.layer_norm ? at.J * V : 0);
      projection = parts.take(run.cell.projection ? run.outputs * at.H * V : 0);
      count = parts.taken() - before;
    }
  };

  static Index chunk_steps(const Forward<Real>& f) {
    return larger(1, smaller(f.rows.time, backward_rows / larger(1, f.rows.batch)));
  }

  void wait() const {
    if (team.barrier) team.barrier->wait();
  }

  void prepare() {
    for (Index n = 0; n < max_vectors * V; ++n) zeros[n] = 0;
    for (Index n = 0; n < chunk_pairs; ++n) column_rows[n] = columns + n * max_rows;
    Base::to_blocks(f.initial.c, initial_c);
    if (f.reset) Base::to_blocks(f.start.c, start_c);
    load_final();
    const Index member = team.member, members = team.members;
    const bool by_rows = team.split == Split::rows;
    // Members that share units pack the panels of their own, else all of them together.
    const Index from = share.first_block, to = by_rows ? seen_blocks : share.last_block;
    const Index who = by_rows ? member : 0, of = by_rows ? members : 1;
    using T = Transposed<Real>;
    const Parameters<const Real>& w = f.weights;
    clear_padding(recurrent_t + from * V * depth, (to - from) * V * depth, who, of);
    if (by_rows) wait();  // the padding is in the same lines
    T::pack(at, w.weight_hh, at.R, 0, false, from, to, who, of, recurrent_t);
    if (cell.gate_recurrence) T::pack(at, w.weight_gate, at.gates * at.H, at.R, true, from, to, who, of, recurrent_t);
    if (b.dx.data) {
      clear_padding(input_t, inputs * V * depth, member, members);
      wait();
      T::pack(at, w.weight_ih, at.I, 0, false, 0, inputs, member, members, input_t);
    }
    if (cell.projection) pack_projection();
    if (cell.peepholes) {
      const Share blocks(Team{team.member, team.members, nullptr, Split::units}, at.J, 0, true);
      pack_vector<Real>(at, w.peephole, nullptr, true, peephole, blocks);
    }
    for (Index n = sums.count * member / members; n < sums.count * (member + 1) / members; ++n) sums.begin[n] = 0;
  }

  static void clear_padding(Real* memory, Index count, Index who, Index of) {
    for (Index n = count * who / of; n < count * (who + 1) / of; ++n) memory[n] = 0;
  }

  // W_hr [R,H] as panels [J][R][vectors][V], for the gradient of what it projects.
  void pack_projection() const {
    for (Index r = team.member; r < at.R; r += team.members) {
      for (Index j = 0; j < at.J; ++j) {
        const Index first = j / max_vectors * max_vectors, vectors = smaller(max_vectors, at.J - first);
        Real* to = projection_t + first * V * at.R + r * vectors * V + (j - first) * V;
        store(to, load(f.weights.weight_hr + r * at.H + j * V, at.units(j)));
      }
    }
  }

  void load_final() {
    for (Index n = 0; n < share.rows(f.rows.batch); ++n) {
      const Index row = share.row(n), caller = pairs.caller(row);
      const Index last = cell.projection ? outputs : share.last_block;
      for (Index j = cell.projection ? 0 : share.first_block; j < last; ++j) {
        const int units = int(smaller(V, at.R - j * V));
        const Real* from = b.dfinal.h ? b.dfinal.h + caller * at.R + j * V : nullptr;
        store(dh + (row * outputs + j) * V, from ? load(from, units) : Vec<Real>{});
      }
      for (Index j = share.first_block; j < share.last_block; ++j) {
        const Real* from = b.dfinal.c ? b.dfinal.c + caller * at.H + j * V : nullptr;
        store(dc + (row * at.J + j) * V, from ? load(from, at.units(j)) : Vec<Real>{});
      }
      const Index width = cell.gate_recurrence ? at.gates * at.H : 0;
      const Real* from = b.dfinal.gates ? b.dfinal.gates + caller * width : nullptr;
      for (Index k = 0; k < width; ++k) dgates_before[row * width + k] = from ? from[k] : Real(0);
    }
  }

  RowAt<Real> row_at(Index t, Index row) const {
    RowAt<Real> found;
    found.row = row;
    found.caller = pairs.caller(row);
    found.step = t;
    found.number = pairs.first(t) + row;
    found.resets = pairs.resets(f.reset, t, row);
    const bool begins = pairs.begins(t, row);
    const Index before = pairs.before(t);
    found.h_before = found.resets ? f.start.h + found.caller * at.R
                     : begins     ? f.initial.h + found.caller * at.R
                                  : pairs.at(f.y, before, row);
    found.seen = computed.seen ? computed.seen + found.number * at.recurrent : found.h_before;
    const bool carried = !found.resets && !begins;
    found.c_before = carried ? computed.cells + (pairs.first(before) + row) * V
                             : (found.resets ? start_c : initial_c) + row * V;
    found.c_stride = (carried ? computed.pairs : f.rows.batch) * V;
    found.c_after = computed.cells + found.number * V;
    found.c_after_stride = computed.pairs * V;
    return found;
  }

  void note(const RowAt<Real>& row) const {
    const Index n = row.number - base;
    now->x[n] = pairs.at(f.x, row.step, row.row);
    now->seen[n] = row.seen;
    now->c_before[n] = row.c_before;
    now->c_stride[n] = row.c_stride;
    if (cell.projection) now->outs[n] = computed.outs + row.number * at.H;
    if (b.dx.data) now->dx[n] = pairs.at(b.dx, row.step, row.row);
  }

  void step(Index t) {
    const Index count = share.rows(pairs.alive(t));
    for (Index n = 0; n < count; ++n) {
      rows[n] = row_at(t, share.row(n));
      if (team.split == Split::rows || team.member == 0) note(rows[n]);
    }
    if (cell.projection) project_back(count);
    for (Index n = 0; n < count; ++n) {
      if (cell.layer_norm) differentiate_normed(rows[n]);
      else for (Index j = share.first_block; j < share.last_block; ++j) differentiate_cell(rows[n], j);
    }
    if (team.split == Split::units) wait();
    recur_back(count);
    for (Index n = 0; n < count; ++n) {
      if (has_seen) unsee(rows[n]);
      if (rows[n].resets) give_start(rows[n]);
    }
  }

  Vec<Real> load_dy(const RowAt<Real>& row, Index j) const {
    if (!b.dy.data) return Vec<Real>{};
    return load(pairs.at(b.dy, row.step, row.row) + j * V, int(smaller(V, at.R - j * V)));
  }

  // The gradient of the output before zoneout; what zoneout hands straight on stays in `kept`.
  Vec<Real> unzone_h(const RowAt<Real>& row, Index j, Real* kept) const {
    const Vec<Real> total = load_dy(row, j) + load(dh + (row.row * outputs + j) * V);
    if (!zoneout.of_h()) {
      store(kept, Vec<Real>{});
      return total;
    }
    const Vec<Real> keep = zoneout.keep_h(j, row.number);
    store(kept, keep * total);
    return (all(Real(1)) - keep) * total;
  }

  void project_back(Index count) {
    for (Index n = 0; n < count; ++n) {
      const RowAt<Real>& row = rows[n];
      for (Index j = 0; j < outputs; ++j) {
        const Vec<Real> value = unzone_h(row, j, direct + (row.row * outputs + j) * V);
        store(dh + (row.row * outputs + j) * V, value);
        const Index first = j / max_vectors * max_vectors, vectors = smaller(max_vectors, outputs - first);
        store(now->h + (first * chunk_pairs + (row.number - base) * vectors + (j - first)) * V, value);
      }
    }
    const Real* a[max_rows];
    const Real* from[max_rows];
    Real* to[max_rows];
    const Cut cut(count);
    for (Index j = 0; j < at.J; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, at.J - j));
      for (int part = 0, n = 0; part < cut.tiles; n += cut.rows(part++)) {
        for (int r = 0; r < cut.rows(part); ++r) {
          a[r] = dh + rows[n + r].row * outputs * V;
          from[r] = zeros;
          to[r] = dout + (rows[n + r].row * at.J + j) * V;
        }
        row_tile_for<Real>(cut.rows(part), vectors, 1)(a, 1, at.R, 0, projection_t + j * V * at.R, 0, {from, to, V, 0},
                                              projection_t + j * V * at.R);
      }
    }
    for (Index n = 0; n < count; ++n) {
      for (Index j = 0; j < outputs; ++j) {
        const Index where = (rows[n].row * outputs + j) * V;
        store(dh + where, load(direct + where));
      }
    }
  }

  // Of o * tanh(u): also leaves in `dh` what zoneout keeps.
  Vec<Real> output_gradient(const RowAt<Real>& row, Index j) const {
    if (cell.projection) return load(dout + (row.row * at.J + j) * V);
    return unzone_h(row, j, dh + (row.row * outputs + j) * V);
  }

  const Real* gates(Index j, Index number) const { return computed.gates + (j * computed.pairs + number) * at.width; }
  Real* placed(Real* buffer, Index j, const RowAt<Real>& row) const {
    return buffer + (j * chunk_pairs + row.number - base) * at.width;
  }
  Vec<Real> fresh(Index j, const RowAt<Real>& row) const {
    return load((computed.fresh ? computed.fresh : computed.cells) + (j * computed.pairs + row.number) * V);
  }

  void differentiate_cell(const RowAt<Real>& row, Index j) {
    const Vec<Real> one = all(Real(1)), dout = output_gradient(row, j);
    const Vec<Real> o = at.block[3] < 0 ? one : load(gates(j, row.number) + at.block[3] * V);
    Vec<Real> u = fresh(j, row), slope = one;
    if (cell.output_activation) {
      u = tanh<Real>(u);
      slope = one - u * u;
    }
    differentiate_gates(row, j, dout * u, dout * o * slope);
  }

  // From the gradients of o and, through the output alone, of the fresh cell to those of all before activation.
  void differentiate_gates(const RowAt<Real>& row, Index j, Vec<Real> d_o, Vec<Real> dfresh) {
    const Real* memory = gates(j, row.number);
    const Vec<Real> one = all(Real(1));
    const auto value = [&](int part) { return at.block[part] < 0 ? one : load(memory + at.block[part] * V); };
    const Vec<Real> i = value(0), g = value(2), o = value(3);
    const Vec<Real> fg = cell.coupled ? one - i : value(1);
    const Vec<Real> before = load(row.c_before + j * row.c_stride);
    const Vec<Real> zero{};
    const Real* p = cell.peepholes ? peephole + j * 3 * V : nullptr;
    Real* cell_gradient = dc + (row.row * at.J + j) * V;
    Vec<Real> dc_after = load(cell_gradient), dc_before{};
    if (zoneout.of_c()) {
      const Vec<Real> keep_c = zoneout.keep_c(j, row.number);
      dc_before = keep_c * dc_after;
      dc_after = (one - keep_c) * dc_after;
    }
    dfresh += dc_after;
    if (at.block[3] >= 0) {
      if (cell.gate_recurrence) d_o += load_gate(row, j, 3);
      d_o = d_o * o * (one - o);
      if (p) dfresh = fma(load(p + 2 * V), d_o, dfresh);
    }
    Vec<Real> di = dfresh * g, df = dfresh * before, dg = dfresh * i;
    if (cell.coupled) di -= df;
    if (cell.gate_recurrence && at.gate[0] >= 0) di += load_gate(row, j, 0);
    if (cell.gate_recurrence && at.gate[1] >= 0) df += load_gate(row, j, 1);
    di = at.block[0] < 0 ? zero : di * i * (one - i);
    df = at.block[1] < 0 ? zero : df * fg * (one - fg);
    if (cell.input_activation) dg *= one - g * g;
    dc_before = fma(dfresh, fg, dc_before);
    if (p) dc_before = fma(load(p), di, fma(load(p + V), df, dc_before));
    const Vec<Real> gradients[4] = {di, df, dg, d_o};
    Real* to = placed(now->gates, j, row);
    for (int part = 0; part < 4; ++part) {
      if (at.block[part] >= 0) store(to + at.block[part] * V, only(gradients[part], at.units(j)));
    }
    store(cell_gradient, only(dc_before, at.units(j)));
  }

  // Padded units have no weights, but an infinity times their zeros would still be NaN.
  static Vec<Real> only(Vec<Real> value, int count) {
    if (count == V) return value;
    for (int lane = count; lane < V; ++lane) value[lane] = 0;
    return value;
  }

  Vec<Real> load_gate(const RowAt<Real>& row, Index j, int part) const {
    return load(dgates_before + (row.row * at.gates + at.gate[part]) * at.H + j * V, at.units(j));
  }

  void differentiate_normed(const RowAt<Real>& row) {
    const Index local = row.number - base;
    const Vec<Real> one = all(Real(1));
    for (Index j = 0; j < at.J; ++j) {
      const Vec<Real> dout = output_gradient(row, j);
      const Index where = (j * computed.pairs + row.number) * V;
      const Vec<Real> gain = load(f.weights.norm_c + j * V, at.units(j));
      const Vec<Real> bias = f.weights.bias_c ? load(f.weights.bias_c + j * V, at.units(j)) : Vec<Real>{};
      Vec<Real> u = fma(load(computed.normed_c + where), gain, bias), slope = one;
      if (cell.output_activation) {
        u = tanh<Real>(u);
        slope = one - u * u;
      }
      const Vec<Real> o = at.block[3] < 0 ? one : load(gates(j, row.number) + at.block[3] * V);
      store(now->u + (j * chunk_pairs + local) * V, only(dout * o * slope, at.units(j)));
      if (at.block[3] >= 0) store(placed(now->gates, j, row) + at.block[3] * V, dout * u);  // of o, for below
    }
    const Means of_c = norm_means(now->u + local * V, chunk_pairs * V, computed.normed_c + row.number * V,
                                  computed.pairs * V, f.weights.norm_c, 1);
    for (Index j = 0; j < at.J; ++j) {
      const Vec<Real> gain = load(f.weights.norm_c + j * V, at.units(j));
      const Vec<Real> normed = load(computed.normed_c + (j * computed.pairs + row.number) * V);
      const Vec<Real> du = load(now->u + (j * chunk_pairs + local) * V) * gain;
      const Vec<Real> dfresh = unnormalise(du, normed, of_c, computed.spread_c[row.number]);
      const Vec<Real> d_o = at.block[3] < 0 ? one : load(placed(now->gates, j, row) + at.block[3] * V);
      differentiate_gates(row, j, d_o, dfresh);
    }
    unnormalise_gates(row, now->gates_x, computed.normed_x, f.weights.norm_ih, computed.spread_x[row.number]);
    unnormalise_gates(row, now->gates_h, computed.normed_h, f.weights.norm_hh, computed.spread_h[row.number]);
  }

  // With d the gradient of y = gain * normed: the means over a row of gain d and of gain d normed.
  struct Means {
    Real plain, normed;
  };

  Means norm_means(const Real* gradient, Index stride, const Real* normed, Index normed_stride, const Real* gain,
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

  void unnormalise_gates(const RowAt<Real>& row, Real* to, const Real* normed, const Real* gain, Real spread) const {
    const Real* d = now->gates + (row.number - base) * at.width;
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

  // The gates' gradients times the recurrent weights: the gradient of what the step saw of the one before.
  void recur_back(Index count) {
    if (!has_seen) return multiply_back(count, now->gates_h, dh, outputs * V, true);
    multiply_back(count, now->gates_h, dseen, seen_blocks * V, false);
    if (has_both) multiply_back(count, now->gates, dseen_gates, seen_blocks * V, false);
  }

  void multiply_back(Index count, Real* gradient, Real* target, Index width, bool adds) {
    const Index to_block = team.split == Split::rows ? ceil_div(width, V) : share.last_block;
    const Real* a[max_rows];
    const Real* from[max_rows];
    Real* to[max_rows];
    const Cut cut(count);
    for (Index j = share.first_block; j < to_block; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, to_block - j));
      for (Index s = 0; s < at.J; s += deep_blocks) {
        const Index blocks_deep = smaller(deep_blocks, at.J - s);
        const Real* panel = recurrent_t + j * V * depth + s * at.width * vectors * V;
        for (int part = 0, n = 0; part < cut.tiles; n += cut.rows(part++)) {
          for (int r = 0; r < cut.rows(part); ++r) {
            a[r] = placed(gradient, s, rows[n + r]);
            to[r] = target + rows[n + r].row * width + j * V;
            from[r] = adds || s > 0 ? to[r] : zeros;
          }
          row_tile_for<Real>(cut.rows(part), vectors, 1)(a, blocks_deep, at.width,
                                                         chunk_pairs * at.width, panel, 0, {from, to, V, 0},
                                                         panel + (vectors * V + part * V) * blocks_deep * at.width);
        }
      }
    }
  }

  void unsee(const RowAt<Real>& row) const {
    const Index offset = row.row * seen_blocks * V, width = cell.gate_recurrence ? at.gates * at.H : 0;
    const Real* mask = f.hidden_mask ? f.hidden_mask + row.caller * at.R : nullptr;
    Real* to = dh + row.row * outputs * V;
    for (Index k = 0; k < at.R; ++k) to[k] += mask ? mask[k] * dseen[offset + k] : dseen[offset + k];
    const Real* of_gates = (has_both ? dseen_gates : dseen) + offset + at.R;
    for (Index k = 0; k < width; ++k) dgates_before[row.row * width + k] = of_gates[k];
  }

  static void move(Real* from, Index count, Real* to) {
    for (Index k = 0; k < count; ++k) {
      if (to) to[k] += from[k];
      from[k] = 0;
    }
  }

  // Where a sequence began from the start state, the gradient goes there.
  void give_start(const RowAt<Real>& row) const {
    const State<Real>& to = b.dstart;
    const bool by_rows = team.split == Split::rows;
    const Index begin = share.first_block * V;
    const Index h_end = by_rows ? at.R : smaller(at.R, share.last_block * V), c_end = smaller(at.H, share.last_block * V);
    move(dh + row.row * outputs * V + begin, h_end - begin, to.h ? to.h + row.caller * at.R + begin : nullptr);
    move(dc + row.row * at.J * V + begin, c_end - begin, to.c ? to.c + row.caller * at.H + begin : nullptr);
    const Index width = cell.gate_recurrence ? at.gates * at.H : 0;
    if (width) move(dgates_before + row.row * width, width, to.gates ? to.gates + row.caller * width : nullptr);
  }

  void give_states() const {
    for (Index n = 0; n < share.rows(f.rows.batch); ++n) {
      const Index row = share.row(n), caller = pairs.caller(row), width = at.gates * at.H;
      const bool by_rows = team.split == Split::rows;
      const Index begin = share.first_block * V, end = share.last_block * V;
      const State<Real>& to = b.dinitial;
      for (Index k = begin; to.h && k < (by_rows ? at.R : smaller(at.R, end)); ++k) {
        to.h[caller * at.R + k] = dh[row * outputs * V + k];
      }
      for (Index k = begin; to.c && k < smaller(at.H, end); ++k) to.c[caller * at.H + k] = dc[row * at.J * V + k];
      for (Index k = 0; to.gates && k < width; ++k) to.gates[caller * width + k] = dgates_before[row * width + k];
    }
  }

  void differentiate_inputs(Index count) {
    const Index begin = count * team.member / team.members, end = count * (team.member + 1) / team.members;
    const Real* a[max_rows];
    const Real* from[max_rows];
    Real* to[max_rows];
    const Cut cut(end - begin);
    for (Index j = 0; j < inputs; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, inputs - j));
      for (Index s = 0; s < at.J; s += deep_blocks) {
        const Index blocks_deep = smaller(deep_blocks, at.J - s);
        const Real* panel = input_t + j * V * depth + s * at.width * vectors * V;
        Index n = begin;
        for (int part = 0; part < cut.tiles; n += cut.rows(part++)) {
          for (int r = 0; r < cut.rows(part); ++r) {
            a[r] = now->gates_x + (s * chunk_pairs + n + r) * at.width;
            to[r] = tile + (n + r - begin) * max_vectors * V;
            from[r] = s > 0 ? to[r] : zeros;
          }
          row_tile_for<Real>(cut.rows(part), vectors, 1)(a, blocks_deep, at.width,
                                                         chunk_pairs * at.width, panel, 0, {from, to, V, 0},
                                                         panel + (vectors * V + part * V) * blocks_deep * at.width);
        }
      }
      for (Index n = begin; n < end; ++n) {
        for (int v = 0; v < vectors; ++v) {
          const Real* from_tile = tile + ((n - begin) * max_vectors + v) * V;
          store(now->dx[n] + (j + v) * V, load(from_tile), int(smaller(V, at.I - (j + v) * V)));
        }
      }
    }
  }

  void differentiate_weights(Index count) {
    const Parameters<Real>& to = b.dweights;
    const Index gate_stride = chunk_pairs * at.width;
    if (to.weight_ih) {
      add_products({now->x, 0, at.I, count, now->gates_x, gate_stride, at.J, at.blocks, 0, sums.input, at.I});
    }
    if (to.weight_hh || to.weight_gate) {
      const Index of_h = has_both ? at.R : at.recurrent;  // with layer norm, the gates' own weights see other gradients
      const Index lines = at.recurrent;
      add_products({now->seen, 0, of_h, count, now->gates_h, gate_stride, at.J, at.blocks, 0, sums.recurrent, lines});
      if (has_both) {
        add_products(
            {now->seen, at.R, lines - at.R, count, now->gates, gate_stride, at.J, at.blocks, at.R, sums.recurrent, lines});
      }
    }
    if (cell.projection && to.weight_hr) {
      for (Index panel = 0; panel < outputs; panel += max_vectors) {
        const int vectors = int(smaller(max_vectors, outputs - panel));
        const Real* gradient = now->h + panel * chunk_pairs * V;
        add_products({now->outs, 0, at.H, count, gradient, 0, 1, vectors, 0, sums.projection + panel * at.H * V, at.H});
      }
    }
    const Index end = at.J * (team.member + 1) / team.members;
    for (Index j = at.J * team.member / team.members; j < end; ++j) add_sums(j, count);
  }

  // to[j][at_line + line][v] += sum over pairs of a[pair][column + line] b[j][pair][v]
  struct Products {
    const Real* const* a;
    Index column, lines, count;
    const Real* b;
    Index b_stride, panels;
    int vectors;
    Index at_line;
    Real* to;
    Index to_lines;
  };

  // This member's part: some of the panels where there are enough of them, else some of the lines.
  void add_products(const Products& product) const {
    const Index member = team.member, members = team.members;
    const bool by_panels = product.panels >= 2 * members;
    const Index lines = product.lines, panels_of = product.panels;
    const Index first_line = by_panels ? 0 : lines * member / members;
    const Index last_line = by_panels ? lines : lines * (member + 1) / members;
    const Index first_panel = by_panels ? panels_of * member / members : 0;
    const Index last_panel = by_panels ? panels_of * (member + 1) / members : panels_of;
    constexpr Index worth_gathering = 8;  // panels
    for (Index line = first_line; line < last_line; line += group_columns) {
      const Index end = smaller(line + group_columns, last_line);
      const Cut cut(end - line);
      const bool gathers = last_panel - first_panel >= worth_gathering;
      if (gathers) gather(product, line, cut);
      const Index tile_size = max_rows * product.count;
      for (Index j = first_panel; j < last_panel; ++j) {
        Index done = 0;
        for (int part = 0; part < cut.tiles; done += cut.rows(part++)) {
          const Index width = product.vectors * V;
          Real* to = product.to + (j * product.to_lines + product.at_line + line + done) * width;
          const auto tile_of = column_tile_for<Real>(cut.rows(part), product.vectors);
          const Real* gradient = product.b + j * product.b_stride;
          if (gathers) tile_of(column_rows, part * tile_size, product.count, gradient, to, width);
          else tile_of(product.a, product.column + line + done, product.count, gradient, to, width);
        }
      }
    }
  }

  // Columns of rows that lie far apart, tile by tile as [pairs][columns of the tile].
  void gather(const Products& product, Index line, const Cut& cut) const {
    Index done = 0;
    for (int part = 0; part < cut.tiles; done += cut.rows(part++)) {
      Real* to = columns + part * max_rows * product.count;
      for (Index k = 0; k < product.count; ++k, to += max_rows) {
        const Real* from = product.a[k] + product.column + line + done;
        for (int r = 0; r < cut.rows(part); ++r) to[r] = from[r];
      }
    }
  }

  // The gradients of what is added or multiplied unit by unit: sums over the pairs of a chunk, in order.
  void add_sums(Index j, Index count) const {
    const Real* gradient = now->gates + j * chunk_pairs * at.width;
    const auto add = [&](Real* to, const auto& term) {
      Vec<Real> total = load(to);
      for (Index n = 0; n < count; ++n) total = term(n, total);
      store(to, total);
    };
    for (int v = 0; v < at.blocks; ++v) {
      const Index w = j * at.width + v * V;
      const auto d = [&](Index n) { return load(gradient + n * at.width + v * V); };
      add(sums.bias + w, [&](Index n, Vec<Real> total) { return total + d(n); });
      if (!cell.layer_norm) continue;
      const Index where = (j * computed.pairs + base) * at.width + v * V;
      const auto times = [&](const Real* normed) {
        return [d, normed, where, width = at.width](Index n, Vec<Real> total) { return fma(d(n), load(normed + where + n * width), total);
        };
      };
      add(sums.norm_ih + w, times(computed.normed_x));
      add(sums.norm_hh + w, times(computed.normed_h));
    }
    if (cell.layer_norm) {
      const auto du = [&](Index n) { return load(now->u + (j * chunk_pairs + n) * V); };
      const Real* normed = computed.normed_c + (j * computed.pairs + base) * V;
      add(sums.bias_c + j * V, [&](Index n, Vec<Real> total) { return total + du(n); });
      add(sums.norm_c + j * V, [&](Index n, Vec<Real> total) { return fma(du(n), load(normed + n * V), total); });
    }
    if (!cell.peepholes) return;
    const Real* cells = (computed.fresh ? computed.fresh : computed.cells) + (j * computed.pairs + base) * V;
    for (int part = 0, slot = 0; part < 4; ++part) {
      if (part == 2) continue;
      Real* to = sums.peephole + (j * 3 + slot++) * V;
      if (at.gate[part] < 0) continue;
      add(to, [&](Index n, Vec<Real> total) {
        const Vec<Real> c = part == 3 ? load(cells + n * V) : load(now->c_before[n] + j * now->c_stride[n]);
        return fma(load(gradient + n * at.width + at.block[part] * V), c, total);
      });
    }
  }

  // The sums, turned back into torch's rows, this member's blocks of them.
  void give_weights() const {
    const Parameters<Real>& to = b.dweights;
    const Index from_j = at.J * team.member / team.members, to_j = at.J * (team.member + 1) / team.members;
    for (Index j = from_j; j < to_j; ++j) {
      give_rows(j, sums.input, at.I, 0, at.I, false, to.weight_ih);
      give_rows(j, sums.recurrent, at.R, 0, at.recurrent, false, to.weight_hh);
      if (cell.gate_recurrence) {
        give_rows(j, sums.recurrent, at.gates * at.H, at.R, at.recurrent, true, to.weight_gate);
      }
      give_rows(j, sums.bias, 1, 0, 1, false, to.bias_ih);
      give_rows(j, sums.bias, 1, 0, 1, false, to.bias_hh);
      if (cell.layer_norm) {
        give_rows(j, sums.norm_ih, 1, 0, 1, false, to.norm_ih);
        give_rows(j, sums.norm_hh, 1, 0, 1, false, to.norm_hh);
        if (to.norm_c) store(to.norm_c + j * V, load(sums.norm_c + j * V), at.units(j));
        if (to.bias_c) store(to.bias_c + j * V, load(sums.bias_c + j * V), at.units(j));
      }
      for (int part = 0, slot = 0; to.peephole && part < 4; ++part) {
        if (part == 2) continue;
        const Real* from = sums.peephole + (j * 3 + slot++) * V;
        if (at.gate[part] >= 0) store(to.peephole + at.gate[part] * at.H + j * V, load(from), at.units(j));
      }
    }
    if (!to.weight_hr) return;
    for (Index r = team.member; r < at.R; r += team.members) {
      const Index first = r / V / max_vectors * max_vectors, vectors = smaller(max_vectors, outputs - first);
      const Real* from = sums.projection + first * at.H * V + (r - first * V);
      for (Index k = 0; k < at.H; ++k) to.weight_hr[r * at.H + k] = from[k * vectors * V];
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
      for (Index begin = 0; begin < k_count; begin += V) {  // square by square, which a cache holds
        const Index end = smaller(begin + V, k_count);
        for (int lane = 0; lane < at.units(j); ++lane) {
          for (Index k = begin; k < end; ++k) rows_of_block[lane * k_count + k] = panel[k * at.width + lane];
        }
      }
    }
  }

  const Backward<Real>& b;
  const Index chunk, chunk_pairs;  // steps, pairs at most
  const Index depth;               // numbers in a row of gates, padding included
  const Index inputs, outputs, seen_blocks, panels;
  const Computed<Real> computed;
  const Zoneout<Real> zoneout;
  Chunk chunks[2];
  Chunk* now = chunks;
  WeightSums sums;
  Index base = 0;  // the number of the chunk's first pair
  bool has_seen, has_both;
  Real *initial_c, *start_c, *dh, *dc, *dseen, *dseen_gates, *dgates_before, *dout, *direct;
  Real *peephole, *recurrent_t, *input_t, *projection_t, *zeros, *tile, *columns;
  const Real** column_rows;
  RowAt<Real>* rows;
};

}  // namespace foretell::FORETELL_VARIANT
