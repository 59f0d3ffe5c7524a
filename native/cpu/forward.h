// The forward pass of one direction, as one member of a team sees it.
//
// Time goes in chunks: first the product of a chunk's inputs with the weights, which needs no recurrence, then step by
// step the recurrent product and the cell.  A member that has rows of its own meets nobody; members that share the
// units of all rows meet once a step.
#pragma once

#include "cells.h"
#include "foretell/threads.h"
#include "left.h"

namespace foretell::FORETELL_VARIANT {

constexpr double norm_epsilon = 1e-5;  // torch's
// Rows, or rows times blocks, whose cells follow each other, at least, if there are so many: the processor waits where
// their long chains of operations begin and end, and more often the fewer rows a tile has.
constexpr Index cells_at_once = 12;

template <class Number>
class ForwardRun : Cells<Number> {
  using Base = Cells<Number>;
  using Real = Wide<Number>;
  using Base::at, Base::cell, Base::computed, Base::f, Base::gates, Base::gates_before, Base::pairs;
  using Base::share, Base::team, Base::units, Base::V, Base::weights;

 public:
  ForwardRun(const Forward<Number>& f, const Real* packed, Scratch<Real> scratch, const Team& team)
      : Base(f, packed, scratch, team), chunk(Base::chunk_steps(f, team)),
        is_plain(Base::is_plain(f.cell) && !f.activity[0]) {
    Parts<Real> shared(scratch.shared), own(scratch.own), &of_rows = Base::of_rows(team, shared, own);
    if (!f.saved) of_rows.take(computed.size);
    Base::take_states(of_rows);
    gates_before = of_rows.take(cell.gate_recurrence ? share.most * at.gates * at.H : 0);
    projected = of_rows.take(cell.projection ? share.most * at.output_blocks() * V : 0);
    Base::take_own_states(own);
    zeros = own.take(max_vectors * V);
    rows = own.template take_as<RowAt<Number>>(share.most);
    inputs.take(own, chunk * share.most, at.I);
    seen.take(own, share.most, at.recurrent, at.seen_depth * together<Number>);
    if (cell.projection) outs.take(own, share.most, at.H);
    numbers = own.template take_as<Index>(chunk * share.most);
    size = {shared.taken(), own.taken()};
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
        if (team.split == Split::units && team.barrier) team.barrier->wait(team.member);
      }
      if (team.wave.own) team.wave.own->report(done + count);
    }
    if (team.split == Split::units && team.member > 0) return;  // the first member does it for all
    const Index alive = pairs.alive(0);
    for (Index n = share.rows(alive); n < share.count; ++n) finish_empty(share.row(n));
  }

  ScratchSize size;  // of any member

 private:
  Real* normed(Real* buffer, Index j, Index number) const {
    return buffer + (j * computed.pairs + number) * at.width;
  }

  // The place of this member's n-th row at a step in `computed`.
  Index number_of(Index t, Index n) const {
    return f.saved ? Base::number(Base::all_steps, t, n) : (t - chunk_from) * share.most + n;
  }

  void load_gates() {
    const Index width = at.gates * at.H;
    for (Index n = 0; n < share.count; ++n) {
      const Real* from = f.initial.gates + pairs.caller(share.row(n)) * width;
      for (Index k = 0; k < width; ++k) gates_before[n * width + k] = from[k];
    }
  }

  // The part of the gates that needs no recurrence, for this member's rows and units in steps [from, to).
  void project_inputs(Index from, Index to) {
    Index count = 0;
    for (Index t = from; t < to; ++t) {
      for (Index n = 0; n < share.rows(pairs.alive(t)); ++n, ++count) {
        inputs.set(count, pairs.at(f.x, t, share.row(n)), at.I);
        numbers[count] = number_of(t, n);
      }
    }
    Real* target = cell.layer_norm ? computed.normed_x : computed.gates;
    const Cut cut(count);
    for (Index j = share.first_block; j < share.last_block; ++j) {
      const Factor<Number>* panel = weights.input + j * at.depth(at.I) * at.width;
      const Real* start = cell.layer_norm ? zeros : weights.bias + j * at.width;
      const Real* from_rows[max_rows];
      Real* to_rows[max_rows];
      for (int tile = 0, n = 0; tile < cut.tiles; n += cut.rows(tile++)) {
        for (int r = 0; r < cut.rows(tile); ++r) {
          from_rows[r] = start;
          to_rows[r] = normed(target, j, numbers[n + r]);
        }
        inputs.multiply(n, cut.rows(tile), 0, at.depth(at.I), panel, at.blocks, {from_rows, to_rows}, panel);
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
    for (Index n = 0; n < count; ++n) rows[n] = Base::row_at(t, n, number_of(t, n));
    for (Index n = count; n < share.count; ++n) clear(t, share.row(n));
    const bool parts = has_matrices && cell.gate_recurrence;  // each of which begins a matrix of its own
    for (Index n = 0; n < count; ++n) {
      if (computed.seen) see(rows[n]);
      seen.set(n, rows[n].seen, parts ? at.R : at.recurrent);
      if constexpr (has_matrices) {
        if (parts) seen.set_part(n, at.whole(at.R), rows[n].seen + at.seen_h, at.gates * at.H);
      }
    }
    // Few rows: two blocks at once, lest each sum wait for the one before.
    const bool are_few = !has_matrices && count <= few_rows;
    const Index pair = are_few && fit_twice(count, at.blocks) && !cell.layer_norm ? 2 : 1;
    const Index groups = ceil_div(share.last_block - share.first_block, pair);
    const Index gathered = larger(1, cells_at_once / larger(1, count * pair));  // groups: their cells follow each other
    for (Index done = 0; done < groups; done += gathered) {
      run_groups(count, pair, done, smaller(done + gathered, groups), t & 1);
    }
    if (cell.layer_norm) {
      for (Index n = 0; n < count; ++n) finish_normed(rows[n]);
    }
    if (cell.projection) project(count);
    for (Index n = 0; n < count; ++n) {
      if (f.reverse ? t == 0 : rows[n].row >= pairs.alive(t + 1)) finish(rows[n]);
    }
  }

  // All rows' products and cells of the blocks in groups [begin, end) of `pair` each, in the order of the step.
  // `turned`: to and fro.  Where a cache does not hold all weights, the next step begins with those that it still has.
  void run_groups(Index count, Index pair, Index begin, Index end, bool turned) {
    const Index blocks = share.last_block - share.first_block, groups = ceil_div(blocks, pair);
    const auto block_of = [&](Index place) {
      return share.first_block + (turned ? groups - 1 - place : place) * pair;
    };
    const Cut cut(count);
    Index ran = 0;  // rows, whose cells have been run
    for (Index place = begin; place < end; ++place) {
      const Index j = block_of(place), ahead = block_of(smaller(place + 1, groups - 1));
      const Index panels = smaller(pair, share.last_block - j);
      for (int tile = 0, n = 0; tile < cut.tiles; n += cut.rows(tile++)) {
        recur(n, cut.rows(tile), j, panels, tile, ahead);
        const Index there = n + cut.rows(tile);
        if (there < count && there - ran >= cells_at_once) {  // then there is one group alone
          run_cells(ran, there, j, j + panels);
          ran = there;
        }
      }
    }
    const Index lowest = block_of(turned ? end - 1 : begin), highest = block_of(turned ? begin : end - 1);
    run_cells(ran, count, lowest, smaller(highest + pair, share.last_block));
  }

  void run_cells(Index begin, Index end, Index first_block, Index last_block) {
    if (cell.layer_norm) return;  // which needs whole rows
    if (is_plain) Base::template run_cells<true>(rows + begin, end - begin, first_block, last_block);
    else Base::template run_cells<false>(rows + begin, end - begin, first_block, last_block);
  }

  // Beyond a row's end, this member's units of its outputs and activity.
  void clear(Index t, Index row) const {
    if (!f.rows.packed) {
      Number* y = pairs.at(f.y, t, row);
      for (Index k = units.begin; k < units.output_end; ++k) y[k] = Number{};
    }
    if (!f.activity[0]) return;
    const Index where = (t * f.rows.batch + pairs.caller(row)) * at.H;
    for (Real* part : f.activity) {
      for (Index k = units.begin; k < units.cell_end; ++k) part[where + k] = 0;
    }
  }

  // What the recurrent weights meet: h under its mask, then the gates of the step before.
  void see(const RowAt<Number>& row) const {
    Number* to = const_cast<Number*>(row.seen);
    const Real* mask = f.hidden_mask ? f.hidden_mask + row.caller * at.R : nullptr;
    for (Index k = 0; k < at.R; k += V) {
      const int there = int(smaller(V, at.R - k));
      const Vec<Real> h = load(row.h_before + k, there);
      store(to + k, mask ? h * load(mask + k, there) : h, there);
    }
    if (!cell.gate_recurrence) return;
    const Index width = at.gates * at.H;
    const Real* from = row.resets ? f.start.gates + row.caller * width : gates_before + row.local * width;
    for (Index k = at.R; k < at.seen_h; ++k) to[k] = Number{};
    Base::copy(from, width, to + at.seen_h);
  }

  // The recurrent product of a tile of rows, from row n on, and one or two blocks.
  void recur(Index n, int count, Index j, Index panels, Index number, Index ahead) {
    const Real* from[max_rows];
    Real* to[max_rows];
    Real* target = cell.layer_norm ? computed.normed_h : computed.gates;
    for (int r = 0; r < count; ++r) {
      to[r] = normed(target, j, rows[n + r].number);
      from[r] = cell.layer_norm ? zeros : to[r];
    }
    const Index depth = at.seen_depth, panel = depth * at.width, block = computed.pairs * at.width;
    const Factor<Number>* weight = weights.recurrent + j * panel;
    // Each tile fetches a part of the panel that comes next; more than that would drive out what is in use.
    const Factor<Number>* next = weights.recurrent + ahead * panel + smaller(number, at.blocks - 1) * depth * V;
    if (panels == 2) {
      return seen.multiply(n, count, 0, depth, weight, at.blocks, {from, to}, next, Taken::beside, {0, panel, block});
    }
    const Index normed_depth = cell.layer_norm ? at.depth(at.R) : depth;
    seen.multiply(n, count, 0, normed_depth, weight, at.blocks, {from, to}, next);
    if (normed_depth == depth) return;
    for (int r = 0; r < count; ++r) to[r] = gates(j, rows[n + r].number);  // what the gates add is not normalised
    weight += normed_depth * at.width;
    seen.multiply(n, count, normed_depth, depth - normed_depth, weight, at.blocks, {from, to}, next);
  }

  // Layer norm needs whole rows: of R h before the gates, of the cells before the output.
  void finish_normed(const RowAt<Number>& row) {
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
      Base::template run_gates<false>(row, j);
      const Index where = (j * computed.pairs + row.number) * V;
      store(computed.normed_c + where, load(computed.fresh + where));
    }
    computed.spread_c[row.number] = normalise(computed.normed_c + row.number * V, 1);
    for (Index j = 0; j < at.J; ++j) Base::template run_output<false>(row, j);
  }

  void project(Index count) {
    const Index outputs = at.output_blocks(), depth = at.depth(at.H);
    const Real* from[max_rows];
    Real* to[max_rows];
    const Cut cut(count);
    for (Index n = 0; n < count; ++n) outs.set(n, computed.outs + rows[n].number * at.H, at.H);
    for (Index j = 0; j < outputs; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, outputs - j));
      const Factor<Number>* panel = weights.projection + j * V * depth;
      for (int tile = 0, n = 0; tile < cut.tiles; n += cut.rows(tile++)) {
        for (int r = 0; r < cut.rows(tile); ++r) {
          from[r] = zeros;
          to[r] = projected + (rows[n + r].local * outputs + j) * V;
        }
        outs.multiply(n, cut.rows(tile), 0, depth, panel, vectors, {from, to}, panel);
      }
    }
    for (Index n = 0; n < count; ++n) {
      for (Index j = 0; j < outputs; ++j) {
        Base::put_h(rows[n], j, load(projected + (rows[n].local * outputs + j) * V), int(smaller(V, at.R - j * V)));
      }
    }
  }

  // After a row's last step, this member's units of its final state.
  void finish(const RowAt<Number>& row) const {
    const Number* h = row.y + units.begin;
    Base::copy(h, units.output_end - units.begin, f.final.h + row.caller * at.R + units.begin);
    for (Index j = share.first_block; j < share.last_block; ++j) {
      store(f.final.c + row.caller * at.H + j * V, load(row.c_after + j * row.c_after_stride), at.units(j));
    }
    if (!cell.gate_recurrence) return;
    const Index width = at.gates * at.H;
    for (Index k = 0; k < width; ++k) f.final.gates[row.caller * width + k] = gates_before[row.local * width + k];
  }

  // A row without steps keeps its state.
  void finish_empty(Index row) const {
    const Index caller = pairs.caller(row), width = at.gates * at.H;
    for (Index k = 0; k < at.R; ++k) f.final.h[caller * at.R + k] = f.initial.h[caller * at.R + k];
    for (Index k = 0; k < at.H; ++k) f.final.c[caller * at.H + k] = f.initial.c[caller * at.H + k];
    if (!cell.gate_recurrence) return;
    for (Index k = 0; k < width; ++k) f.final.gates[caller * width + k] = f.initial.gates[caller * width + k];
  }

  const Index chunk;  // steps
  const bool is_plain;
  Index chunk_from = 0;  // the first step of the chunk
  Real *projected, *zeros;
  RowAt<Number>* rows;
  Left<Number> inputs, seen, outs;  // of a chunk, and of a step
  Index* numbers;
};

}  // namespace foretell::FORETELL_VARIANT
