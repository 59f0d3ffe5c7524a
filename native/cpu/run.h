// What forward and backward both know of a run over a sequence.
#pragma once

#include "layout.h"
#include "noise.h"

namespace foretell::FORETELL_VARIANT {

constexpr Index chunk_bytes = 1 << 20;  // of gates, at most
constexpr Index chunk_rows = 96;        // at least
constexpr Index few_rows = 2;           // which leave the processor waiting, for weights and for each other

// A row at a step.
template <class Number>
struct RowAt {
  using Real = Wide<Number>;
  Index row, caller, step;
  Index local;            // among this member's rows
  Index number, place;    // of the pair in `Computed`, and in backward in its chunk
  bool resets;
  const Number* h_before; // [R]
  const Number* seen;     // [K], what the recurrent weights are multiplied with
  Number* y;              // [R]
  const Number* dy;       // [R], in backward; null: 0
  const Real* c_before;   // of block 0
  Index c_stride;         // from block to block
  Real* c_after;
  Index c_after_stride;
};

// The units of rows that a member has; the outputs of a projection are of all of them.
struct Units {
  Index begin, output_end, cell_end;
};

template <class Number>
class Run {
 public:
  using Real = Wide<Number>;
  static constexpr int V = lanes<Real>;

  // In training what is computed lies in memory of the caller's, for all pairs; else in `scratch`, for a chunk of them.
  Run(const Forward<Number>& f, const Team& team, const Scratch<Real>& scratch)
      : f(f), cell(f.cell), at(f.cell), pairs(f.rows, f.reverse), team(team),
        share(team, at.J, f.rows.batch, pairs.is_even),
        units{share.first_block * V, team.split == Split::rows ? at.R : smaller(at.R, share.last_block * V),
              smaller(at.H, share.last_block * V)},
        all_steps{0, f.rows.time},
        computed(cell, f.hidden_mask != nullptr, f.saved != nullptr,
                 f.saved ? f.rows.first[f.rows.time] : chunk_steps(f, team) * share.most,
                 f.saved ? f.saved : of_rows(team, scratch.shared, scratch.own)),
        zoneout(f, computed.kept, computed.pairs) {}

  // What belongs to rows: a member's own where it has rows of its own, else shared.
  template <class Memory>
  static Memory& of_rows(const Team& team, Memory& shared, Memory& own) {
    return team.split == Split::rows ? own : shared;
  }

  void take_states(Parts<Real>& parts) {
    initial_c = parts.take(at.J * share.most * V);
    start_c = parts.take(f.reset ? at.J * share.most * V : 0);
  }

  // Of this member alone: how its rows are numbered, and where h is given in another type than its products take, all
  // of it.
  void take_own_states(Parts<Real>& parts) {
    if (f.saved) pairs.take(parts);
    groups = parts.template take_as<Index>(share.most);
    places = parts.template take_as<Index>(share.most);
    constexpr bool differs = sizeof(Number) != sizeof(Real);
    initial_h = parts.template take_as<Number>(differs ? at.R * f.rows.batch : 0);
    start_h = parts.template take_as<Number>(differs && f.reset ? at.R * f.rows.batch : 0);
  }

  void load_states() {
    if (f.saved) pairs.count();
    for (Index n = 0; n < share.count; ++n) {
      groups[n] = pairs.group_of(share.row(n));
      places[n] = pairs.place_of(share.row(n));
    }
    to_blocks(f.initial.c, initial_c);
    if (f.reset) to_blocks(f.start.c, start_c);
    for (Index n = 0; n < share.count; ++n) {
      const Index from = pairs.caller(share.row(n)) * at.R;
      if (initial_h) copy(f.initial.h + from, at.R, initial_h + from);
      if (start_h) copy(f.start.h + from, at.R, start_h + from);
    }
  }

  // The number of this member's n-th row at a step.
  Index number(const Span& span, Index t, Index n) const { return pairs.begin(span, t, groups[n]) + places[n]; }

  // This member's n-th row; `number`: of the pair in `computed`.
  RowAt<Number> row_at(Index t, Index n, Index number) const {
    RowAt<Number> found;
    const Index row = share.row(n);
    found.row = row;
    found.local = n;
    found.caller = pairs.caller(row);
    found.step = t;
    found.number = number;
    const bool resets = pairs.resets(f.reset, t, row), begins = pairs.begins(t, row);
    const Index before = pairs.before(t);
    found.resets = resets;
    found.h_before = resets   ? given_h(f.start.h, start_h) + found.caller * at.R
                     : begins ? given_h(f.initial.h, initial_h) + found.caller * at.R
                              : pairs.at(f.y, before, row);
    found.y = pairs.at(f.y, t, row);
    found.seen = computed.seen ? computed.seen + found.number * at.recurrent : found.h_before;
    found.c_stride = found.c_after_stride = share.most * V;
    found.c_before = (resets ? start_c : initial_c) + n * V;
    found.c_after = initial_c + n * V;
    if (f.saved) {
      found.c_after = computed.cells + found.number * V;
      found.c_after_stride = computed.pairs * V;
      if (!resets && !begins) {
        found.c_before = computed.cells + this->number(all_steps, before, n) * V;
        found.c_stride = computed.pairs * V;
      }
    }
    return found;
  }

  // Is this a cell of all gates and activations, of which nothing else is asked?  The questions that options raise are
  // then answered when the kernel is compiled (`PLAIN`): with half the instructions a row, the chains of more rows
  // overlap.
  static bool is_plain(const Cell& c) {
    const bool whole = c.input_gate && c.forget_gate && c.output_gate && !c.coupled;
    const bool more = c.peepholes || c.gate_recurrence || c.layer_norm || c.zoneout_h > 0 || c.zoneout_c > 0;
    return whole && c.input_activation && c.output_activation && !more;
  }

  // The steps whose gates are computed together: about as many bytes of gates as of weights, which are read once for
  // all of them, for the fewer there are the nearer they stay.  Wide inputs have so many weights that reading them again
  // takes longer than gates that come from farther away.
  static Index chunk_steps(const Forward<Number>& f, const Team& team) {
    const Layout<Number> at(f.cell);
    const Index most = chunk_bytes / Index(at.J * at.width * sizeof(Real));
    const Index rows = larger(chunk_rows, smaller(at.I + at.recurrent, larger(most, at.I / 4)));
    const Index steps = larger(1, smaller(f.rows.time, rows / larger(1, f.rows.batch)));
    return team.wave.slice ? smaller(team.wave.slice, steps) : steps;
  }

  // A dense [B,H] state of this member's rows and units as blocks [J][rows][V].
  void to_blocks(const Real* dense, Real* blocks) const {
    for (Index n = 0; n < share.count; ++n) {
      const Real* from = dense ? dense + pairs.caller(share.row(n)) * at.H : nullptr;
      for (Index j = share.first_block; j < share.last_block; ++j) {
        store(blocks + (j * share.most + n) * V, from ? load(from + j * V, at.units(j)) : Vec<Real>{});
      }
    }
  }

  // A row of numbers, into another type where that is wanted.
  template <class From, class To>
  static void copy(const From* from, Index count, To* to) {
    for (Index k = 0; k < count; k += V) {
      const int there = int(smaller(V, count - k));
      store(to + k, load(from + k, there), there);
    }
  }

  const Forward<Number>& f;
  const Cell& cell;
  const Layout<Number> at;
  Pairs pairs;
  const Team& team;
  const Share share;
  const Units units;
  const Span all_steps;
  const Computed<Number> computed;
  const Zoneout<Real> zoneout;
  Real *initial_c, *start_c;    // [J][rows][V]
  Index *groups, *places;       // [rows], see `Pairs`
  Number *initial_h, *start_h;  // [B][R], or null: as they are given

 private:
  static const Number* given_h(const Real* given, const Number* copied) {
    if constexpr (sizeof(Number) == sizeof(Real)) return given;
    else return copied;
  }
};

}  // namespace foretell::FORETELL_VARIANT
