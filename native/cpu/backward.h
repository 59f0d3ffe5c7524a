// The backward pass of one direction, as one member of a team sees it.
//
// Time goes backward in chunks: step by step the gradients of a chunk's gates, then, all members together, what is
// made of them in large products: the gradients of the inputs and of the weights.  These sum over pairs in the order of
// their numbers, whoever does it, so their bits do not depend on the number of threads.
#pragma once

#include "cell_gradients.h"
#include "foretell/threads.h"
#include "left.h"
#include "pack.h"
#include "transposed.h"

namespace foretell::FORETELL_VARIANT {

constexpr Index deep_blocks = 16;  // unit blocks of a panel that are used on all rows while in L2; a whole chain

template <class Number>
class BackwardRun : CellGradients<Number> {
  using Base = CellGradients<Number>;
  using Real = Wide<Number>;
  using Base::at, Base::cell, Base::computed, Base::f, Base::pairs, Base::share, Base::team, Base::units, Base::V;
  using Base::b, Base::chunk, Base::chunk_pairs, Base::chunks, Base::now, Base::outputs, Base::placed;
  using Base::dc, Base::dgates_before, Base::dh, Base::dout, Base::peephole;

 public:
  BackwardRun(const Backward<Number>& b, Scratch<Real> scratch, const Team& team)
      : Base(b, team), depth(at.J * at.deep), data(b.data_end - b.data_begin), inputs(ceil_div(at.I - data, V)),
        seen_blocks(ceil_div(at.recurrent, V)), weights(cell, b.dweights, team, chunk_pairs) {
    Parts<Real> shared(scratch.shared), own(scratch.own), &of_rows = Base::of_rows(team, shared, own);
    Base::take_cells(shared, of_rows);
    has_seen = f.hidden_mask || cell.gate_recurrence;
    dseen = of_rows.take(has_seen ? share.most * seen_blocks * V : 0);
    // Layer norm stands between the gates and what they saw of h, but not of the gates.
    has_both = cell.layer_norm && cell.gate_recurrence;
    dseen_gates = of_rows.take(has_both ? share.most * seen_blocks * V : 0);
    dprojected = of_rows.template take_as<Number>(cell.projection ? share.most * outputs * V : 0);
    const auto take_factors = [&](Index count) { return shared.template take_as<Factor<Number>>(count); };
    recurrent_t = take_factors(depth * seen_blocks * V);
    input_t = take_factors(b.dx.data ? depth * inputs * V : 0);
    projection_t = take_factors(cell.projection ? at.depth(at.R) * at.J * V : 0);
    weights.take_shared(shared);
    Base::take_own_states(own);
    zeros = own.take(max_vectors * V);
    rows = own.template take_as<RowAt<Number>>(share.most);
    if (cell.projection) projected.take(own, share.most, at.R);
    if (has_matrices) gates.take(own, share.most, at.J * at.deep * together<Number>);
    tile = own.take((at.J > deep_blocks ? chunk_pairs : max_rows) * max_vectors * V);
    weights.take_own(own);
    size = {shared.taken(), own.taken()};
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
      span = {from, from + count};
      const Index slice = team.wave.slice ? team.wave.slice : count;
      for (Index ran = 0; ran < count; ran += slice) {
        const Index steps = smaller(slice, count - ran);
        const Index first = f.reverse ? from + ran : from + count - ran - steps;
        if (team.wave.before) team.wave.before->wait(done + ran + steps);
        for (Index n = 0; n < steps; ++n) step(f.reverse ? first + n : first + steps - 1 - n);
        wait();
        if (b.dx.data) differentiate_inputs({first, first + steps});
        if (team.wave.own) team.wave.own->report(done + ran + steps);
      }
      weights.add(*now, computed, pairs.all(span));
    }
    give_states();
    wait();
    weights.give();
  }

  ScratchSize size;  // of any member

 private:
  void wait() const {
    if (team.barrier) team.barrier->wait(team.member);
  }

  void prepare() {
    for (Index n = 0; n < max_vectors * V; ++n) zeros[n] = 0;
    Base::load_states();
    load_final();
    clear_start();
    const Index member = team.member, members = team.members;
    const bool by_rows = team.split == Split::rows;
    // Members that share units pack the panels of their own, else all of them together.
    const Index from = share.first_block, to = by_rows ? seen_blocks : share.last_block;
    const Index who = by_rows ? member : 0, of = by_rows ? members : 1;
    using T = Transposed<Number>;
    const Parameters<const Real>& w = f.weights;
    T::clear(recurrent_t + from * V * depth, (to - from) * V * depth, who, of);
    if (by_rows) wait();  // the padding is in the same lines
    const Index gates = at.gates * at.H;
    T::pack(at, w.weight_hh, at.R, at.R, 0, false, from, to, who, of, recurrent_t);
    if (cell.gate_recurrence) T::pack(at, w.weight_gate, gates, gates, at.seen_h, true, from, to, who, of, recurrent_t);
    if (b.dx.data) {
      T::clear(input_t, inputs * V * depth, member, members);
      wait();
      const auto pack = [&](Index first, Index columns, Index at_column) {
        T::pack(at, w.weight_ih + first, at.I, columns, at_column, false, 0, inputs, member, members, input_t);
      };
      pack(0, before_data(), 0);
      if (data) pack(b.data_end, at.I - b.data_end, b.data_begin);
    }
    if (cell.projection) T::pack_projection(at, w.weight_hr, member, members, projection_t);
    if (cell.peepholes) {
      const Share blocks(Team{team.member, team.members, nullptr, Split::units}, at.J, 0, true);
      pack_vector(at, w.peephole, nullptr, true, peephole, blocks);
    }
    weights.clear();
  }

  void load_final() {
    for (Index n = 0; n < share.count; ++n) {
      const Index caller = pairs.caller(share.row(n));
      const Index last = cell.projection ? outputs : share.last_block;
      for (Index j = cell.projection ? 0 : share.first_block; j < last; ++j) {
        const int units = int(smaller(V, at.R - j * V));
        const Real* from = b.dfinal.h ? b.dfinal.h + caller * at.R + j * V : nullptr;
        store(dh + (n * outputs + j) * V, from ? load(from, units) : Vec<Real>{});
      }
      for (Index j = share.first_block; j < share.last_block; ++j) {
        const Real* from = b.dfinal.c ? b.dfinal.c + caller * at.H + j * V : nullptr;
        store(dc + (n * at.J + j) * V, from ? load(from, at.units(j)) : Vec<Real>{});
      }
      const Index width = cell.gate_recurrence ? at.gates * at.H : 0;
      const Real* from = b.dfinal.gates ? b.dfinal.gates + caller * width : nullptr;
      for (Index k = 0; k < width; ++k) dgates_before[n * width + k] = from ? from[k] : Real(0);
    }
  }

  void note(const RowAt<Number>& row) const {
    const Index n = row.place;
    now->number[n] = row.number;
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
      rows[n] = Base::row_at(t, n, Base::number(Base::all_steps, t, n));
      rows[n].place = Base::number(span, t, n);
      rows[n].dy = b.dy.data ? pairs.at(b.dy, t, rows[n].row) : nullptr;
      if (team.split == Split::rows || team.member == 0) note(rows[n]);
    }
    if (b.dx.data && !f.rows.packed && (team.split == Split::rows || team.member == 0)) {
      for (Index n = count; n < share.count; ++n) {
        Number* dx = pairs.at(b.dx, t, share.row(n));
        for (Index k = 0; k < at.I; ++k) dx[k] = Number{};
      }
    }
    if (cell.projection) project_back(count);
    if (cell.layer_norm) {
      for (Index n = 0; n < count; ++n) Base::differentiate_normed(rows[n], rows[smaller(n + 1, count - 1)]);
    } else if (Base::is_plain(cell)) {
      Base::template differentiate_cells<true>(rows, count);
    } else {
      Base::template differentiate_cells<false>(rows, count);
    }
    if (team.split == Split::units) wait();
    recur_back(count, t & 1);
    for (Index n = 0; n < count; ++n) {
      if (has_seen) unsee(rows[n]);
      if (rows[n].resets) give_start(rows[n]);
    }
  }

  void project_back(Index count) {
    for (Index n = 0; n < count; ++n) {
      const RowAt<Number>& row = rows[n];
      for (Index j = 0; j < outputs; ++j) {
        const Index where = (row.local * outputs + j) * V;
        const int there = int(smaller(V, at.R - j * V));
        const Vec<Real> value = Base::template unzone_h<false>(row, j, dh + where, there);
        store(dprojected + where, value);
        const Index v = j % max_vectors, vectors = smaller(max_vectors, outputs - (j - v));
        Product<Number>::store_vector(now->h_at(j, chunk_pairs) + row.place * now->row_of(vectors), v, value);
      }
      projected.set(n, dprojected + row.local * outputs * V, at.R);
    }
    const Index lines = at.depth(at.R);
    const Real* from[max_rows];
    Real* to[max_rows];
    const Cut cut(count);
    for (Index j = 0; j < at.J; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, at.J - j));
      const Factor<Number>* panel = projection_t + j * V * lines;
      for (int part = 0, n = 0; part < cut.tiles; n += cut.rows(part++)) {
        for (int r = 0; r < cut.rows(part); ++r) {
          from[r] = zeros;
          to[r] = dout + (rows[n + r].local * at.J + j) * V;
        }
        projected.multiply(n, cut.rows(part), 0, lines, panel, vectors, {from, to}, panel);
      }
    }
  }

  // The gates' gradients times the recurrent weights: the gradient of what the step saw of the one before.
  // `turned`: from the last panel to the first; to and fro, as in forward.
  void recur_back(Index count, bool turned) {
    if (!has_seen) return multiply_back(count, now->gates_h, dh, outputs * V, true, turned);
    multiply_back(count, now->gates_h, dseen, seen_blocks * V, false, turned);
    if (has_both) multiply_back(count, now->gates, dseen_gates, seen_blocks * V, false, turned);
  }

  // Part of a panel of the transposed weights: from block s of the gates on, for the blocks of columns from j on.
  struct Piece {
    Index j, s, blocks;
    int vectors;
    const Factor<Number>* weights;
  };

  void multiply_back(Index count, Factor<Number>* gradient, Real* target, Index width, bool adds, bool turned) {
    const Index to_block = team.split == Split::rows ? ceil_div(width, V) : share.last_block;
#if defined(FORETELL_MATRICES)
    for (Index n = 0; n < count; ++n) {  // the rows of a matrix have to lie evenly apart
      for (Index j = 0; j < at.J; ++j) gates.set_part(n, j * at.deep, placed(gradient, j, rows[n]), at.deep);
    }
#endif
    const Real* from[max_rows];
    Real* to[max_rows];
    const Cut cut(count);
    // With few rows the weights' way from the cache takes longest: a panel then goes to and fro as well, by chains.
    // The batch decides, not this member's rows, for the order of a sum must not depend on them.
    const bool few = !has_matrices && f.rows.batch <= few_rows;
    const Index deep = few ? larger(1, chain / at.deep) : deep_blocks;
    const Index of_panel = ceil_div(at.J, deep);
    const Index pieces = ceil_div(to_block - share.first_block, max_vectors) * of_panel;
    const auto piece_at = [&](Index place) {
      const Index n = turned ? pieces - 1 - place : place;
      const Index j = share.first_block + n / of_panel * max_vectors, s = n % of_panel * deep;
      const int vectors = int(smaller(max_vectors, to_block - j));
      const Factor<Number>* weights = recurrent_t + j * V * depth + s * at.deep * vectors * V;
      return Piece{j, s, smaller(deep, at.J - s), vectors, weights};
    };
    // A few sums wait for each other: two chains of them at once.  With all vectors it is the weights that are late.
    const auto makes_two = [&](const Piece& piece, const Piece& other) {
      const bool is_next = other.j == piece.j && other.s != piece.s;
      return few && piece.vectors < max_vectors && is_next && other.blocks == piece.blocks;
    };
    for (Index place = 0, at_once; place < pieces; place += at_once) {
      const Piece piece = piece_at(place), second = piece_at(smaller(place + 1, pieces - 1));
      at_once = makes_two(piece, second) ? 2 : 1;
      const Piece ahead = piece_at(smaller(place + at_once, pieces - 1));
      [[maybe_unused]] const PanelStrides panels{(second.s - piece.s) * chunk_pairs * at.deep,
                                                 second.weights - piece.weights};
      const bool begins = place % of_panel == 0;
      for (int part = 0, n = 0; part < cut.tiles; n += cut.rows(part++)) {
        for (int r = 0; r < cut.rows(part); ++r) {
          to[r] = target + rows[n + r].local * width + piece.j * V;
          from[r] = adds || !begins ? to[r] : zeros;
        }
        const Factor<Number>* next = ahead.weights + smaller(part, ahead.vectors - 1) * V * ahead.blocks * at.deep;
#if defined(FORETELL_MATRICES)
        gates.multiply(n, cut.rows(part), piece.s * at.deep, piece.blocks * at.deep, piece.weights, piece.vectors,
                       {from, to}, next);
#else
        const Factor<Number>* a[max_rows];
        for (int r = 0; r < cut.rows(part); ++r) a[r] = placed(gradient, piece.s, rows[n + r]);
        row_tile_for<Number>(cut.rows(part), piece.vectors, at_once == 2 ? Taken::chained : Taken::one)(
            a, piece.blocks, at.deep, chunk_pairs * at.deep, piece.weights, panels, {from, to}, next);
#endif
      }
    }
  }

  void unsee(const RowAt<Number>& row) const {
    const Index offset = row.local * seen_blocks * V, width = cell.gate_recurrence ? at.gates * at.H : 0;
    const Real* mask = f.hidden_mask ? f.hidden_mask + row.caller * at.R : nullptr;
    Real* to = dh + row.local * outputs * V;
    for (Index k = 0; k < at.R; ++k) to[k] += mask ? mask[k] * dseen[offset + k] : dseen[offset + k];
    const Real* of_gates = (has_both ? dseen_gates : dseen) + offset + at.seen_h;
    for (Index k = 0; k < width; ++k) dgates_before[row.local * width + k] = of_gates[k];
  }

  static void move(Real* from, Index count, Real* to) {
    for (Index k = 0; k < count; ++k) {
      if (to) to[k] += from[k];
      from[k] = 0;
    }
  }

  // Where a sequence began from the start state, the gradient goes there.
  void give_start(const RowAt<Number>& row) const {
    const State<Real>& to = b.dstart;
    const Index h_count = units.output_end - units.begin, c_count = units.cell_end - units.begin;
    move(dh + row.local * outputs * V + units.begin, h_count, to.h ? to.h + row.caller * at.R + units.begin : nullptr);
    move(dc + row.local * at.J * V + units.begin, c_count, to.c ? to.c + row.caller * at.H + units.begin : nullptr);
    const Index width = cell.gate_recurrence ? at.gates * at.H : 0;
    if (width) move(dgates_before + row.local * width, width, to.gates ? to.gates + row.caller * width : nullptr);
  }

  // Of this member's n-th row and units: to.h[caller, k] = h(n, k), c likewise, and all gates from one row on the next.
  template <class H, class C, class Gates>
  void fill_state(const State<Real>& to, const H& h, const C& c, const Gates& gates) const {
    const Index width = cell.gate_recurrence ? at.gates * at.H : 0;
    for (Index n = 0; n < share.count; ++n) {
      const Index caller = pairs.caller(share.row(n));
      for (Index k = units.begin; to.h && k < units.output_end; ++k) to.h[caller * at.R + k] = h(n, k);
      for (Index k = units.begin; to.c && k < units.cell_end; ++k) to.c[caller * at.H + k] = c(n, k);
      for (Index k = 0; to.gates && k < width; ++k) to.gates[caller * width + k] = gates(n * width + k);
    }
  }

  void clear_start() const {
    const auto zero = [](auto...) { return Real(0); };
    fill_state(b.dstart, zero, zero, zero);
  }

  void give_states() const {
    fill_state(
        b.dinitial, [&](Index n, Index k) { return dh[n * outputs * V + k]; },
        [&](Index n, Index k) { return dc[n * at.J * V + k]; }, [&](Index k) { return dgates_before[k]; });
  }

  // At some steps of the chunk, of the pairs that fall to this member.
  void differentiate_inputs(const Span& steps) {
    if (steps.count() == span.count()) return differentiate_inputs(0, pairs.all(span));
    for (Index group = 0; group < pairs.groups(); ++group) {
      differentiate_inputs(pairs.begin(span, steps.from, group), pairs.begin(span, steps.to, group));
    }
  }

  void differentiate_inputs(Index first, Index last) {
    const Index count = last - first;
    const Index begin = first + count * team.member / team.members;
    const Index end = first + count * (team.member + 1) / team.members;
    const Real* from[max_rows];
    Real* to[max_rows];
    const Cut cut(end - begin);
    for (Index j = 0; j < inputs; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, inputs - j));
      // Sums of another type have to be turned into dx, and what lies beyond its end must not be written.
      const bool is_whole = sizeof(Number) == sizeof(Real) && (j + vectors) * V <= before_data();
      for (Index s = 0; s < at.J; s += deep_blocks) {
        const Index blocks_deep = smaller(deep_blocks, at.J - s);
        const Factor<Number>* panel = input_t + j * V * depth + s * at.deep * vectors * V;
        Index n = begin;
        for (int part = 0; part < cut.tiles; n += cut.rows(part++)) {
          Real* sums = tile + (at.J > deep_blocks ? n - begin : 0) * max_vectors * V;  // needed again only if deep
          for (int r = 0; r < cut.rows(part); ++r) {
            to[r] = sums + r * max_vectors * V;
            if constexpr (sizeof(Number) == sizeof(Real)) {
              if (is_whole) to[r] = now->dx[n + r] + j * V;
            }
            from[r] = s > 0 ? to[r] : zeros;
          }
          const Factor<Number>* next = panel + (vectors + smaller(part, vectors - 1)) * V * blocks_deep * at.deep;
          const Factor<Number>* first = now->gates_x + (s * chunk_pairs + n) * at.deep;
          multiply_pairs(first, cut.rows(part), blocks_deep, panel, vectors, {from, to}, next);
          if (is_whole || s + blocks_deep < at.J) continue;
          for (int r = 0; r < cut.rows(part); ++r) give_inputs(to[r], j, vectors, now->dx[n + r]);
        }
      }
    }
    for (Index n = begin; n < end; ++n) {
      for (Index k = b.data_begin; k < b.data_end; ++k) now->dx[n][k] = Number{};
    }
  }

  // Panels hold the features that are not data, without a gap.
  Index before_data() const { return data ? b.data_begin : at.I; }

  // The product of pairs that follow each other, over so many blocks of their gates.
  void multiply_pairs(const Factor<Number>* first, int count, Index blocks, const Factor<Number>* panel, int vectors,
                      const Sums<Real>& sums, [[maybe_unused]] const Factor<Number>* next) const {
#if defined(FORETELL_MATRICES)
    const Index row_bytes = at.deep * sizeof(Factor<Number>), units = at.deep / matrix_rows;
    const MatrixRows a{reinterpret_cast<const char*>(first), row_bytes, units, chunk_pairs * row_bytes};
    row_product<Number>(a, count, blocks * units, panel, vectors, sums);
#else
    const Factor<Number>* a[max_rows];
    for (int r = 0; r < count; ++r) a[r] = first + r * at.deep;
    row_tile_for<Number>(count, vectors)(a, blocks, at.deep, chunk_pairs * at.deep, panel, one_panel, sums, next);
#endif
  }

  // Panel j of a row's gradient, as far as it has features.
  void give_inputs(const Real* sums, Index j, int vectors, Number* dx) const {
    for (Index first = j * V; first < smaller((j + vectors) * V, at.I - data); first += V, sums += V) {
      const Index last = smaller(first + V, at.I - data), border = smaller(last, larger(first, before_data()));
      const int before = int(border - first), after = int(last - border);
      store(dx + first, load(sums), before);
      if (after) store(dx + border + data, load(sums + before, after), after);
    }
  }

  const Index depth;  // factors in a row of gates, padding included
  const Index data;   // features without a gradient
  const Index inputs, seen_blocks;
  WeightGradients<Number> weights;
  bool has_seen, has_both;
  Real *dseen, *dseen_gates, *zeros, *tile;
  Number* dprojected;
  Factor<Number> *recurrent_t, *input_t, *projection_t;
  RowAt<Number>* rows;
  Left<Number> projected, gates;  // of a step
  Span span{};  // of the chunk
};

}  // namespace foretell::FORETELL_VARIANT
