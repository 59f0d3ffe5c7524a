// How weights, gates and cells lie in memory.
//
// The H units come in J blocks of as many as a vector has lanes (V), the last one padded with zero weights, so that a
// block's G rows of weights are G vectors side by side: [J][K][G][V].  What is computed for a pair (step, row) lies
// likewise, [J][pairs][G][V] for the gates and [J][pairs][V] for the cells: a tile's outputs are then contiguous, and
// a block's gradients are already the right-hand matrix of the weights' gradient.
#pragma once

#include "factors.h"

namespace foretell::FORETELL_VARIANT {

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
inline Index smaller(Index a, Index b) { return a < b ? a : b; }
inline Index larger(Index a, Index b) { return a > b ? a : b; }

// Hands out parts of a buffer, each on a cache line of its own; with a null buffer it counts.
template <class Real>
class Parts {
 public:
  explicit Parts(Real* buffer = nullptr) : buffer_(buffer) {}

  Real* take(Index count) {
    if (!count) return nullptr;
    Real* part = buffer_ ? buffer_ + taken_ : nullptr;
    taken_ += ceil_div(count * sizeof(Real), cache_line) * (cache_line / sizeof(Real));
    return part;
  }
  template <class Other>
  Other* take_as(Index count) {
    return reinterpret_cast<Other*>(take(ceil_div(count * sizeof(Other), sizeof(Real))));
  }
  Index taken() const { return taken_; }

 private:
  Real* buffer_;
  Index taken_ = 0;
};

// The sizes of a cell in blocks.  A row that products read has whole factors, and as many as they take at once: what
// fills the last is 0.
template <class Number>
struct Layout {
  static constexpr int V = lanes<Wide<Number>>;
  Index I, H, R, J;
  int tail;            // units in the last block
  int blocks = 0;      // G
  int gates = 0;       // n
  int block[4], gate[4];  // of i, f, g, o: which block of rows, which gate; -1 if none
  Index width, deep;      // of a unit block's rows: G * V numbers, so many factors
  Index seen_h;           // where in what a step sees of the one before the gates begin, behind h in whole words,
  Index recurrent;        // and numbers of it, with or without gates; on every CPU the same, for forward saves them
  Index seen_depth;       // factors of it as products read them

  explicit Layout(const Cell& cell) : I(cell.inputs), H(cell.hidden), R(cell.outputs), J(ceil_div(H, V)) {
    tail = int(H - (J - 1) * V);
    const bool there[4] = {cell.input_gate, cell.forget_gate && !cell.coupled, true, cell.output_gate};
    for (int part = 0; part < 4; ++part) {
      block[part] = there[part] ? blocks++ : -1;
      gate[part] = there[part] && part != 2 ? gates++ : -1;
    }
    width = blocks * V;
    deep = depth(width);
    constexpr Index of_word = sizeof(Wide<Number>) / sizeof(Number);
    seen_h = ceil_div(R, of_word) * of_word;
    recurrent = cell.gate_recurrence ? seen_h + gates * H : R;
    seen_depth = depth(R) + (cell.gate_recurrence ? depth(gates * H) : 0);
  }
  // The factors of so many numbers as products read them, and the numbers of these.
  static Index depth(Index numbers) {
    constexpr Index unit = Product<Number>::unit;
    return ceil_div(ceil_div(numbers, together<Number>), unit) * unit;
  }
  static Index whole(Index numbers) { return depth(numbers) * together<Number>; }
  int units(Index j) const { return j == J - 1 ? tail : V; }
  struct FullVector {
    constexpr operator int() const { return V; }
  };
  // use(the units in a block): if they fill a vector, the compiler knows it.
  template <class Function>
  void with_units(Index j, const Function& use) const {
    if (units(j) == V) use(FullVector{});
    else use(tail);
  }
  // each(block, the units in it), likewise.
  template <class Function>
  void for_blocks(const Function& each) const {
    for (Index j = 0; j < J; ++j) with_units(j, [&](auto units) __attribute__((always_inline)) { each(j, units); });
  }
  Index output_blocks() const { return ceil_div(R, V); }
};

// The weights, ready for forward: input and recurrent panels [J][K][G][V] of factors, what is added and multiplied.
template <class Number>
struct Packed {
  using Real = Wide<Number>;
  const Factor<Number> *input, *recurrent, *projection;
  const Real *bias, *norm_ih, *norm_hh, *peephole, *norm_c, *bias_c;
  Index size;

  Packed(const Cell& cell, const Real* buffer) {
    const Layout<Number> at(cell);
    Parts<const Real> parts(buffer);
    const auto take_factors = [&](Index count) { return parts.template take_as<const Factor<Number>>(count); };
    input = take_factors(at.J * at.depth(at.I) * at.width);
    recurrent = take_factors(at.J * at.seen_depth * at.width);
    bias = parts.take(at.J * at.width);
    norm_ih = parts.take(cell.layer_norm ? at.J * at.width : 0);
    norm_hh = parts.take(cell.layer_norm ? at.J * at.width : 0);
    peephole = parts.take(cell.peepholes ? at.J * 3 * at.V : 0);  // [J][i f o][V]
    norm_c = parts.take(cell.layer_norm ? at.J * at.V : 0);
    bias_c = parts.take(cell.layer_norm ? at.J * at.V : 0);
    projection = take_factors(cell.projection ? at.output_blocks() * at.V * at.depth(at.H) : 0);  // [panels][H][..][V]
    size = parts.taken();
  }
};

// What forward computes for every pair (step, row); with it alone backward can start.
template <class Number>
struct Computed {
  using Real = Wide<Number>;
  Real *gates, *cells, *fresh, *normed_x, *normed_h, *normed_c, *spread_x, *spread_h, *spread_c;
  Number *seen, *outs;
  std::int8_t* kept;  // zoneout's masks
  Index pairs, size;

  // `saves`: for backward, which wants the cells of every step; else these stay in a state [J][B][V].  Blocks lie an
  // odd number of pairs apart, lest all of a row's share a few sets of the caches.
  Computed(const Cell& cell, bool has_mask, bool saves, Index all, Real* buffer) : pairs(all | 1) {
    const Layout<Number> at(cell);
    const bool norm = cell.layer_norm;
    Parts<Real> parts(buffer);
    gates = parts.take(at.J * pairs * at.width);                                      // after activation
    cells = parts.take(saves ? at.J * pairs * at.V : 0);                              // c
    fresh = parts.take(norm || cell.zoneout_c > 0 ? at.J * pairs * at.V : 0);  // c~
    seen = parts.template take_as<Number>(sees_more(cell, has_mask) ? pairs * at.recurrent : 0);  // [pairs][K]
    outs = parts.template take_as<Number>(cell.projection ? pairs * at.H : 0);        // [pairs][H], before W_hr
    normed_x = parts.take(norm ? at.J * pairs * at.width : 0);                        // W x, then normalised
    normed_h = parts.take(norm ? at.J * pairs * at.width : 0);                        // R h, the same
    normed_c = parts.take(norm ? at.J * pairs * at.V : 0);
    spread_x = parts.take(norm ? pairs : 0);                                          // 1 / standard deviation
    spread_h = parts.take(norm ? pairs : 0);
    spread_c = parts.take(norm ? pairs : 0);
    const bool draws = cell.draws && (cell.zoneout_h > 0 || cell.zoneout_c > 0);
    kept = parts.template take_as<std::int8_t>(draws ? at.J * pairs * 2 * at.V : 0);
    size = parts.taken();
  }

  // Do the recurrent weights see something else than h as it lies: h under its mask, or gates?
  static bool sees_more(const Cell& cell, bool has_mask) { return has_mask || cell.gate_recurrence; }
};

// Steps, or what else is counted, from one to before another.
struct Span {
  Index from, to;
  Index count() const { return to - from; }
};

// Which pairs are alive, where they lie in the caller's sequences, and how those of a span are numbered: group by group
// of rows, and within a group step by step.  Members with rows of their own then write far apart: a line that two cores
// write, or fetch because they write the one before, goes to and fro between them.  A group's rows belong to one member
// if the number of members is a power of 2; but groups depend on the batch alone, lest sums in this order depend on the
// members.
class Pairs {
 public:
  Pairs(const Rows& rows, bool reverse)
      : is_even(rows.first[rows.time] == rows.time * rows.batch), rows_(rows), reverse_(reverse) {
    constexpr Index group_rows = 8;    // at least, where there are more than two groups; fewer rows are one
    const int most = is_even ? 4 : 1;  // doublings; of rows dealt in turn more would make short runs of their pairs
    if (rows.batch < group_rows) return;
    for (doublings_ = 1; doublings_ < most && (group_rows << (doublings_ + 1)) <= rows.batch;) ++doublings_;
  }

  // What is to be counted once where rows differ in length, before pairs are numbered.
  template <class Real>
  void take(Parts<Real>& parts) {
    counted_ = parts.template take_as<Index>(is_even ? 0 : (rows_.time + 1) * groups());
  }
  void count() {
    if (is_even) return;
    Index* now = counted_;
    for (Index g = 0; g < groups(); ++g) now[g] = 0;
    for (Index t = 0; t < rows_.time; ++t, now += groups()) {
      const Index whole = alive(t) >> doublings_, rest = alive(t) & (groups() - 1);
      for (Index g = 0; g < groups(); ++g) now[groups() + g] = now[g] + whole * g + smaller(rest, g);
    }
  }

  Index groups() const { return Index(1) << doublings_; }
  // The group of a row, and its place there.  As `Share` has it: neighbours, or rows dealt in turn.
  Index group_of(Index row) const {
    return is_even ? ((row + 1) * groups() - 1) / rows_.batch : row & (groups() - 1);
  }
  Index place_of(Index row) const { return is_even ? row - first_row(group_of(row)) : row >> doublings_; }
  // The number of a group's first pair at a step.
  Index begin(const Span& span, Index t, Index group) const {
    const Index others = before(group, span.to) - before(group, span.from);
    return others + before(group + 1, t) - before(group, t) - before(group + 1, span.from) + before(group, span.from);
  }
  Index all(const Span& span) const { return begin(span, span.to, groups() - 1); }
  Index alive(Index t) const { return t < 0 || t >= rows_.time ? 0 : rows_.first[t + 1] - rows_.first[t]; }
  Index caller(Index row) const { return rows_.order ? rows_.order[row] : row; }
  Index before(Index t) const { return reverse_ ? t + 1 : t - 1; }
  // Is this the first step that the row runs?
  bool begins(Index t, Index row) const { return reverse_ ? row >= alive(t + 1) : t == 0; }

  // Does a new sequence begin for this row, as seen in the direction of the run?  A reset at t is a border between
  // t - 1 and t, which a reader from the end meets at t - 1.
  bool resets(const std::uint8_t* reset, Index t, Index row) const {
    if (!reset) return false;
    if (!reverse_) return reset[t * rows_.batch + caller(row)];
    return row < alive(t + 1) && reset[(t + 1) * rows_.batch + caller(row)];
  }
  template <class Number>
  Number* at(const Sequence<Number>& sequence, Index t, Index row) const {
    if (rows_.packed) return sequence.data + (rows_.first[t] + row) * sequence.row;
    return sequence.data + t * sequence.time + caller(row) * sequence.row;
  }

  const bool is_even;  // have all rows all steps?

 private:
  Index first_row(Index group) const { return (rows_.batch * group) >> doublings_; }
  // The pairs of the groups before this one at the steps before t.
  Index before(Index group, Index t) const {
    if (is_even) return first_row(group) * t;
    return group == groups() ? rows_.first[t] : counted_[(t << doublings_) + group];
  }

  const Rows& rows_;
  bool reverse_;
  int doublings_ = 0;  // of one group
  Index* counted_ = nullptr;  // [T+1][groups], see `before`
};

// The part of the work that one member of a team does.
struct Share {
  Index first_row, row_step, rows_of, first_block, last_block;
  Index count, most;  // of its rows, and of those of any member
  bool even;

  Share(const Team& team, Index blocks, Index batch, bool even) : even(even) {
    const bool by_rows = team.split == Split::rows;
    const Index member = team.member, members = team.members;
    // Uneven rows are dealt in turn, so that at every step each member has as many alive as the others.
    first_row = !by_rows ? 0 : even ? batch * member / members : member;
    row_step = by_rows && !even ? members : 1;
    rows_of = !by_rows ? batch : even ? batch * (member + 1) / members : batch;
    first_block = by_rows ? 0 : blocks * member / members;
    last_block = by_rows ? blocks : blocks * (member + 1) / members;
    count = rows(batch);
    most = by_rows ? ceil_div(batch, members) : batch;
  }
  // How many of its rows are among the first `alive`.
  Index rows(Index alive) const {
    const Index end = smaller(alive, rows_of);
    return end > first_row ? ceil_div(end - first_row, row_step) : 0;
  }
  Index row(Index n) const { return first_row + n * row_step; }
};

}  // namespace foretell::FORETELL_VARIANT
