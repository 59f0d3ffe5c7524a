// The forward pass of one direction, as one member of a team sees it.
//
// Time goes in chunks: first the product of a chunk's inputs with the weights, which needs no recurrence, then step by
// step the recurrent product and the cell.  A member that has rows of its own meets nobody; members that share the
// units of all rows meet once a step.
#pragma once

#include "activations.h"
#include "foretell/threads.h"
#include "run.h"
#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

constexpr double norm_epsilon = 1e-5;  // torch's

template <class Real>
class ForwardRun : Run<Real> {
  using Base = Run<Real>;
  using Base::at, Base::cell, Base::computed, Base::f, Base::initial_c, Base::only, Base::pairs, Base::share;
  using Base::team, Base::units, Base::V, Base::zoneout;

 public:
  ForwardRun(const Forward<Real>& f, const Real* packed, Scratch<Real> scratch, const Team& team)
      : Base(f, team, scratch.shared), weights(f.cell, packed), chunk(Base::chunk_steps(f, team)),
        is_plain(Base::is_plain(f.cell) && !f.activity[0]) {
    const Index batch = f.rows.batch;
    Parts<Real> shared(scratch.shared), own(scratch.own);
    if (!f.saved) shared.take(computed.size);
    Base::take_states(shared);
    gates_before = shared.take(cell.gate_recurrence ? batch * at.gates * at.H : 0);
    projected = shared.take(cell.projection ? batch * at.output_blocks() * V : 0);
    size.shared = shared.taken();
    zeros = own.take(max_vectors * V);
    rows = own.template take_as<RowAt<Real>>(batch);
    inputs = own.template take_as<const Real*>(chunk * batch);
    numbers = own.template take_as<Index>(chunk * batch);
    size.own = own.taken();
  }

  void run() {
    for (Index n = 0; n < max_vectors * V; ++n) zeros[n] = 0;
    Base::load_states();
    if (cell.gate_recurrence) load_gates();
    const Index time = f.rows.time;
    for (Index done = 0; done < time; done += chunk) {
      const Index count = smaller(chunk, time - done);
      const Index from = f.reverse ? time - done - count : done;
      chunk_from = from;
      if (team.wave.before) team.wave.before->wait(done + count);
      project_inputs(from, from + count);
      for (Index n = 0; n < count; ++n) {
        step(f.reverse ? from + count - 1 - n : from + n);
        if (team.split == Split::units && team.barrier) team.barrier->wait();
      }
      if (team.wave.own) team.wave.own->report(done + count);
    }
    if (team.split == Split::units && team.member > 0) return;  // the first member does it for all
    const Index alive = pairs.alive(0);
    for (Index n = share.rows(alive); n < share.rows(f.rows.batch); ++n) finish_empty(share.row(n));
  }

  ScratchSize size;

 private:
  Real* gates(Index j, Index number) const { return computed.gates + (j * computed.pairs + number) * at.width; }
  Real* normed(Real* buffer, Index j, Index number) const {
    return buffer + (j * computed.pairs + number) * at.width;
  }

  // The place of a pair in `computed`.  Where this holds one chunk alone, each row keeps to a column of its own:
  // members do not wait for each other, so that their chunks differ, and with them the rows that are alive.
  Index number_of(Index t, Index row) const {
    return f.saved ? pairs.first(t) + row : (t - chunk_from) * f.rows.batch + row;
  }

  void load_gates() {
    const Index width = at.gates * at.H;
    for (Index n = 0; n < share.rows(f.rows.batch); ++n) {
      const Index row = share.row(n);
      const Real* from = f.initial.gates + pairs.caller(row) * width;
      for (Index k = 0; k < width; ++k) gates_before[row * width + k] = from[k];
    }
  }

  // The part of the gates that needs no recurrence, for this member's rows and units in steps [from, to).
  void project_inputs(Index from, Index to) {
    Index count = 0;
    for (Index t = from; t < to; ++t) {
      for (Index n = 0; n < share.rows(pairs.alive(t)); ++n, ++count) {
        inputs[count] = pairs.at(f.x, t, share.row(n));
        numbers[count] = number_of(t, share.row(n));
      }
    }
    Real* target = cell.layer_norm ? computed.normed_x : computed.gates;
    const Cut cut(count);
    for (Index j = share.first_block; j < share.last_block; ++j) {
      const Real* panel = weights.input + j * at.I * at.width;
      const Real* start = cell.layer_norm ? zeros : weights.bias + j * at.width;
      const Real* from_rows[max_rows];
      Real* to_rows[max_rows];
      for (int tile = 0, n = 0; tile < cut.tiles; n += cut.rows(tile++)) {
        for (int r = 0; r < cut.rows(tile); ++r) {
          from_rows[r] = start;
          to_rows[r] = normed(target, j, numbers[n + r]);
        }
        row_tile_for<Real>(cut.rows(tile), at.blocks, 1)(inputs + n, 1, at.I, 0, panel, 0, {from_rows, to_rows, V, 0},
                                                         panel);
      }
    }
    if (!cell.layer_norm) return;
    for (Index n = 0; n < count; ++n) {
      computed.spread_x[numbers[n]] = normalise(normed(target, 0, numbers[n]), at.blocks);
    }
  }

  // A row [J][vectors][V] becomes (row - mean) / deviation over its G H (or H) numbers; returns 1 / deviation.
  Real normalise(Real* row, int vectors) const {
    const Index stride = computed.pairs * vectors * V;
    const Real count = Real(at.H * vectors);
    Vec<Real> total{}, squares{};
    for (Index j = 0; j < at.J; ++j) {
      for (int v = 0; v < vectors; ++v) total += load(row + j * stride + v * V);  // the padding is 0
    }
    const Vec<Real> mean = all(sum<Real>(total) / count);
    for (Index j = 0; j < at.J; ++j) {
      for (int v = 0; v < vectors; ++v) {
        Real* part = row + j * stride + v * V;
        const Vec<Real> centred = only(load(part) - mean, at.units(j));
        store(part, centred);
        squares = fma(centred, centred, squares);
      }
    }
    const Real spread = 1 / Real(__builtin_sqrt(double(sum<Real>(squares) / count) + norm_epsilon));
    for (Index j = 0; j < at.J; ++j) {
      for (int v = 0; v < vectors; ++v) {
        Real* part = row + j * stride + v * V;
        store(part, load(part) * spread);
      }
    }
    return spread;
  }

  void step(Index t) {
    const Index count = share.rows(pairs.alive(t));
    for (Index n = 0; n < count; ++n) rows[n] = Base::row_at(t, share.row(n), number_of(t, share.row(n)));
    for (Index n = count; n < share.rows(f.rows.batch); ++n) clear(t, share.row(n));
    if (computed.seen) {
      for (Index n = 0; n < count; ++n) see(rows[n]);
    }
    const Cut cut(count);
    // Few rows: two blocks at once, lest each sum wait for the one before.
    const Index pair = count <= few_rows && !cell.layer_norm ? 2 : 1;
    const Index groups = ceil_div(share.last_block - share.first_block, pair);
    // To and fro: where a cache does not hold all weights, the next step begins with those that it still has.
    const bool turned = t & 1;
    for (Index done = 0; done < groups; ++done) {
      const Index j = share.first_block + (turned ? groups - 1 - done : done) * pair;
      const int panels = int(smaller(pair, share.last_block - j));
      const Index ahead = turned ? larger(j - pair, share.first_block) : smaller(j + pair, share.last_block - 1);
      for (int tile = 0, n = 0; tile < cut.tiles; n += cut.rows(tile++)) {
        recur(rows + n, cut.rows(tile), j, panels, tile, ahead);
      }
    }
    if (cell.layer_norm) {
      for (Index n = 0; n < count; ++n) finish_normed(rows[n]);
    }
    if (cell.projection) project(count);
    for (Index n = 0; n < count; ++n) {
      if (f.reverse ? t == 0 : rows[n].row >= pairs.alive(t + 1)) finish(rows[n]);
    }
  }

  // Beyond a row's end, this member's units of its outputs and activity.
  void clear(Index t, Index row) const {
    if (!f.rows.packed) {
      Real* y = pairs.at(f.y, t, row);
      for (Index k = units.begin; k < units.output_end; ++k) y[k] = 0;
    }
    if (!f.activity[0]) return;
    const Index where = (t * f.rows.batch + pairs.caller(row)) * at.H;
    for (Real* part : f.activity) {
      for (Index k = units.begin; k < units.cell_end; ++k) part[where + k] = 0;
    }
  }

  // What the recurrent weights meet: h under its mask, then the gates of the step before.
  void see(const RowAt<Real>& row) const {
    Real* to = const_cast<Real*>(row.seen);
    const Real* mask = f.hidden_mask ? f.hidden_mask + row.caller * at.R : nullptr;
    for (Index k = 0; k < at.R; ++k) to[k] = mask ? row.h_before[k] * mask[k] : row.h_before[k];
    if (!cell.gate_recurrence) return;
    const Index width = at.gates * at.H;
    const Real* from = row.resets ? f.start.gates + row.caller * width : gates_before + row.row * width;
    for (Index k = 0; k < width; ++k) to[at.R + k] = from[k];
  }

  // The recurrent product of a tile of rows and one or two blocks, and what follows from it.
  void recur(const RowAt<Real>* tile, int count, Index j, int panels, Index number, Index ahead) {
    const Real* a[max_rows];
    const Real* from[max_rows];
    Real* to[max_rows];
    Real* target = cell.layer_norm ? computed.normed_h : computed.gates;
    for (int r = 0; r < count; ++r) {
      a[r] = tile[r].seen;
      to[r] = normed(target, j, tile[r].number);
      from[r] = cell.layer_norm ? zeros : to[r];
    }
    const Index panel = at.recurrent * at.width, block = computed.pairs * at.width;
    const Real* weight = weights.recurrent + j * panel;
    // Each tile fetches a part of the panel that comes next; more than that would drive out what is in use.
    const Real* next = weights.recurrent + ahead * panel + smaller(number, at.blocks - 1) * at.recurrent * V;
    if (!cell.layer_norm) {
      row_tile_for<Real>(count, at.blocks, panels)(a, 1, at.recurrent, 0, weight, panel, {from, to, V, block}, next);
      return is_plain ? run_cells<true>(tile, count, j, panels) : run_cells<false>(tile, count, j, panels);
    }
    row_tile_for<Real>(count, at.blocks, 1)(a, 1, at.R, 0, weight, 0, {from, to, V, 0}, next);
    if (!cell.gate_recurrence) return;
    for (int r = 0; r < count; ++r) {  // what the gates add is not normalised
      a[r] += at.R;
      to[r] = gates(j, tile[r].number);
    }
    row_tile_for<Real>(count, at.blocks, 1)(a, 1, at.recurrent - at.R, 0, weight + at.R * at.width, 0,
                                            {from, to, V, 0}, next);
  }

  // What follows from the recurrent product.  First all gates, then all outputs: no row waits for another's long chain
  // of operations.
  template <bool PLAIN>
  void run_cells(const RowAt<Real>* tile, int count, Index j, int panels) {
    for (int r = 0; r < count; ++r) {
      for (int p = 0; p < panels; ++p) run_gates<PLAIN>(tile[r], j + p);
    }
    for (int r = 0; r < count; ++r) {
      for (int p = 0; p < panels; ++p) run_output<PLAIN>(tile[r], j + p);
    }
  }

  // Gates before activation -> gates and cell of one row's block of units.
  template <bool PLAIN>
  void run_gates(const RowAt<Real>& row, Index j) {
    const auto block = [&](int part) { return PLAIN ? part : at.block[part]; };
    const bool peepholes = !PLAIN && cell.peepholes;
    Real* memory = gates(j, row.number);
    const Vec<Real> one = all(Real(1));
    Vec<Real> a[4];
    for (int part = 0; part < 4; ++part) a[part] = block(part) < 0 ? one : load(memory + block(part) * V);
    const Vec<Real> before = load(row.c_before + j * row.c_stride);
    const Real* p = weights.peephole + j * 3 * V;
    Vec<Real> i = one, fg = one, o = one;
    if (block(0) >= 0) i = sigmoid<Real>(peepholes ? fma(load(p), before, a[0]) : a[0]);
    if (!PLAIN && cell.coupled) fg = one - i;
    if (block(1) >= 0) fg = sigmoid<Real>(peepholes ? fma(load(p + V), before, a[1]) : a[1]);
    const Vec<Real> g = PLAIN || cell.input_activation ? tanh<Real>(a[2]) : a[2];
    const Vec<Real> fresh = fma(fg, before, i * g);
    if (block(3) >= 0) o = sigmoid<Real>(peepholes ? fma(load(p + 2 * V), fresh, a[3]) : a[3]);
    const Vec<Real> values[4] = {i, fg, g, o};
    for (int part = 0; part < 4; ++part) {
      if (block(part) >= 0) store(memory + block(part) * V, values[part]);
    }
    if constexpr (PLAIN) return store(row.c_after + j * row.c_after_stride, fresh);
    Vec<Real> c = fresh;
    if (computed.fresh) store(computed.fresh + (j * computed.pairs + row.number) * V, fresh);
    zoneout.draw(j, row.number, row.caller, row.step);
    if (zoneout.of_c()) c = mix(zoneout.keep_c(j, row.number), before, fresh);
    store(row.c_after + j * row.c_after_stride, c);
    if (cell.gate_recurrence) keep_gates(row, j, values);
    if (f.activity[0]) record(row, j, i, fg, g, o, c);
  }

  // o * tanh(u), and h of it unless there is a projection yet to come.
  template <bool PLAIN>
  void run_output(const RowAt<Real>& row, Index j) {
    if constexpr (PLAIN) {
      const Vec<Real> u = tanh<Real>(load(row.c_after + j * row.c_after_stride));
      const Vec<Real> o = load(gates(j, row.number) + 3 * V);
      return store(pairs.at(f.y, row.step, row.row) + j * V, u * o, at.units(j));
    }
    const Index where = (j * computed.pairs + row.number) * V;
    Vec<Real> u;
    if (cell.layer_norm) {
      u = fma(load(computed.normed_c + where), load(weights.norm_c + j * V), load(weights.bias_c + j * V));
    } else {
      u = load(computed.fresh ? computed.fresh + where : row.c_after + j * row.c_after_stride);
    }
    if (cell.output_activation) u = tanh<Real>(u);
    if (at.block[3] >= 0) u = u * load(gates(j, row.number) + at.block[3] * V);
    if (cell.projection) store(computed.outs + row.number * at.H + j * V, u, at.units(j));
    else put_h(row, j, u, at.units(j));
  }

  static Vec<Real> mix(Vec<Real> keep, Vec<Real> old, Vec<Real> fresh) {
    return fma(keep, old, (all(Real(1)) - keep) * fresh);
  }

  void put_h(const RowAt<Real>& row, Index j, Vec<Real> out, int units) const {
    if (zoneout.of_h()) out = mix(zoneout.keep_h(j, row.number), load(row.h_before + j * V, units), out);
    store(pairs.at(f.y, row.step, row.row) + j * V, out, units);
  }

  void keep_gates(const RowAt<Real>& row, Index j, const Vec<Real>* values) {
    for (int part = 0; part < 4; ++part) {
      if (at.gate[part] < 0) continue;
      Real* to = gates_before + (row.row * at.gates + at.gate[part]) * at.H + j * V;
      store(to, values[part], at.units(j));
    }
  }

  void record(const RowAt<Real>& row, Index j, Vec<Real> i, Vec<Real> fg, Vec<Real> g, Vec<Real> o, Vec<Real> c) const {
    const Vec<Real> values[5] = {i, fg, g, o, c};
    const Index where = (row.step * f.rows.batch + row.caller) * at.H + j * V;
    for (int part = 0; part < 5; ++part) store(f.activity[part] + where, values[part], at.units(j));
  }

  // Layer norm needs whole rows: of R h before the gates, of the cells before the output.
  void finish_normed(const RowAt<Real>& row) {
    computed.spread_h[row.number] = normalise(normed(computed.normed_h, 0, row.number), at.blocks);
    for (Index j = 0; j < at.J; ++j) {
      const Real* x = normed(computed.normed_x, j, row.number);
      const Real* h = normed(computed.normed_h, j, row.number);
      Real* to = gates(j, row.number);
      for (int v = 0; v < at.blocks; ++v) {
        const Index w = j * at.width + v * V;
        const Vec<Real> a = fma(load(x + v * V), load(weights.norm_ih + w), load(weights.bias + w));
        const Vec<Real> total = fma(load(h + v * V), load(weights.norm_hh + w), a);
        store(to + v * V, cell.gate_recurrence ? load(to + v * V) + total : total);
      }
      run_gates<false>(row, j);
      const Index where = (j * computed.pairs + row.number) * V;
      store(computed.normed_c + where, load(computed.fresh + where));
    }
    computed.spread_c[row.number] = normalise(computed.normed_c + row.number * V, 1);
    for (Index j = 0; j < at.J; ++j) run_output<false>(row, j);
  }

  void project(Index count) {
    const Index outputs = at.output_blocks();
    const Real* a[max_rows];
    const Real* from[max_rows];
    Real* to[max_rows];
    const Cut cut(count);
    for (Index j = 0; j < outputs; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, outputs - j));
      for (int tile = 0, n = 0; tile < cut.tiles; n += cut.rows(tile++)) {
        for (int r = 0; r < cut.rows(tile); ++r) {
          a[r] = computed.outs + rows[n + r].number * at.H;
          from[r] = zeros;
          to[r] = projected + (rows[n + r].row * outputs + j) * V;
        }
        row_tile_for<Real>(cut.rows(tile), vectors, 1)(a, 1, at.H, 0, weights.projection + j * V * at.H, 0,
                                                       {from, to, V, 0}, weights.projection + j * V * at.H);
      }
    }
    for (Index n = 0; n < count; ++n) {
      for (Index j = 0; j < outputs; ++j) {
        put_h(rows[n], j, load(projected + (rows[n].row * outputs + j) * V), int(smaller(V, at.R - j * V)));
      }
    }
  }

  // After a row's last step, this member's units of its final state.
  void finish(const RowAt<Real>& row) const {
    const Real* h = pairs.at(f.y, row.step, row.row);
    for (Index k = units.begin; k < units.output_end; ++k) f.final.h[row.caller * at.R + k] = h[k];
    for (Index j = share.first_block; j < share.last_block; ++j) {
      store(f.final.c + row.caller * at.H + j * V, load(row.c_after + j * row.c_after_stride), at.units(j));
    }
    if (!cell.gate_recurrence) return;
    const Index width = at.gates * at.H;
    for (Index k = 0; k < width; ++k) f.final.gates[row.caller * width + k] = gates_before[row.row * width + k];
  }

  // A row without steps keeps its state.
  void finish_empty(Index row) const {
    const Index caller = pairs.caller(row), width = at.gates * at.H;
    for (Index k = 0; k < at.R; ++k) f.final.h[caller * at.R + k] = f.initial.h[caller * at.R + k];
    for (Index k = 0; k < at.H; ++k) f.final.c[caller * at.H + k] = f.initial.c[caller * at.H + k];
    if (!cell.gate_recurrence) return;
    for (Index k = 0; k < width; ++k) f.final.gates[caller * width + k] = f.initial.gates[caller * width + k];
  }

  const Packed<Real> weights;
  const Index chunk;  // steps
  const bool is_plain;
  Index chunk_from = 0;  // the first step of the chunk
  Real *gates_before, *projected, *zeros;
  RowAt<Real>* rows;
  const Real** inputs;
  Index* numbers;
};

}  // namespace foretell::FORETELL_VARIANT
