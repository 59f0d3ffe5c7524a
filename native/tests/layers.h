// A problem as the kernels take it, in memory that shows what they touch; and runs of it on threads of the test's own.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <deque>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "foretell/lstm.h"
#include "foretell/threads.h"
#include "reference.h"

#if defined(__x86_64__)
namespace foretell::amx {
extern const BackwardPass<float> float_backward;
}
#endif

using foretell::Index;
using foretell::Split;
using reference::Vector;

// Large layers of floats have a backward pass in matrices, where there is a unit for them: have all, so that small
// cases test it?
inline bool takes_matrices = false;

template <class Number>
const foretell::BackwardPass<Number>& backward_pass() {
#if defined(__x86_64__)
  if constexpr (sizeof(Number) == sizeof(float)) {
    if (takes_matrices) return foretell::amx::float_backward;
  }
#endif
  return foretell::kernels<Number>().backward;
}

// A NaN that no arithmetic makes: memory that nobody wrote.
template <class Number>
Number poison() {
  if constexpr (sizeof(Number) == 2) return Number{0x7FED};
  else if constexpr (sizeof(Number) == 4) return std::bit_cast<float>(std::uint32_t(0x7FC0DEAD));
  else return std::bit_cast<double>(std::uint64_t(0x7FF8DEADDEADDEAD));
}

template <class Number>
bool is_poison(Number value) {
  const Number pattern = poison<Number>();
  return std::memcmp(&value, &pattern, sizeof(Number)) == 0;
}

// A number of a case, to the nearest or the even one of two; and back.
template <class Number>
Number number_from(double value) {
  if constexpr (sizeof(Number) > 2) return Number(value);
  else {
    const auto bits = std::bit_cast<std::uint32_t>(float(value));
    const std::uint32_t half = 0x8000, rest = bits % (2 * half), first = bits / (2 * half);
    return {std::uint16_t(first + (rest > half || (rest == half && first % 2)))};
  }
}
template <class Number>
foretell::Wide<Number> wide(Number number) {
  if constexpr (sizeof(Number) > 2) return number;
  else return std::bit_cast<float>(std::uint32_t(number.bits) << 16);
}

// Poisoned memory between two borders that nobody may touch.  It begins `shift` numbers after a multiple of 64 bytes.
template <class Real>
class Guarded {
 public:
  explicit Guarded(Index count, Index shift = 0) : count_(count), all_(count + 3 * border, poison<Real>()) {
    const auto address = reinterpret_cast<std::uintptr_t>(all_.data());
    begin_ = border + Index((64 - address % 64) % 64 / sizeof(Real)) + shift;
  }
  Guarded(const Guarded&) = delete;

  Real* data() { return all_.data() + begin_; }
  Index size() const { return count_; }
  bool is_intact() const {
    const auto end = all_.begin() + begin_ + count_;
    return std::all_of(all_.begin(), all_.begin() + begin_, is_poison<Real>) &&
           std::all_of(end, all_.end(), is_poison<Real>);
  }

 private:
  static constexpr Index border = 128 / sizeof(Real);
  Index count_, begin_;
  std::vector<Real> all_;
};

// How x and y lie in memory.
enum class Order { steps_first, rows_first, packed };

struct Case {
  std::string name;
  reference::Problem problem;
  Order order = Order::steps_first;
  Vector dy;                // [T,B,R], or empty
  reference::State dfinal;  // parts may be empty
};

// A tensor of the problem's sizes, however it lay.
template <class Real>
struct Named {
  std::string name;
  std::vector<Real> values;
};
template <class Real>
using All = std::vector<Named<Real>>;

template <class Real>
struct WeightPart {
  const char* name;
  Vector reference::Weights::*from;
  const Real* foretell::Parameters<const Real>::*to;
  Real* foretell::Parameters<Real>::*gradient;
};

template <class Real>
struct StatePart {
  const char* name;
  Vector reference::State::*from;
  const Real* foretell::State<const Real>::*in;
  Real* foretell::State<Real>::*out;
};

#define FORETELL_WEIGHT(name)                                                   \
  WeightPart<Real> {                                                            \
    #name, &reference::Weights::name, &foretell::Parameters<const Real>::name, &foretell::Parameters<Real>::name \
  }
template <class Real>
constexpr WeightPart<Real> weight_parts[] = {
    FORETELL_WEIGHT(weight_ih), FORETELL_WEIGHT(weight_hh), FORETELL_WEIGHT(bias_ih),     FORETELL_WEIGHT(bias_hh),
    FORETELL_WEIGHT(weight_hr), FORETELL_WEIGHT(peephole),  FORETELL_WEIGHT(weight_gate), FORETELL_WEIGHT(norm_ih),
    FORETELL_WEIGHT(norm_hh),   FORETELL_WEIGHT(norm_c),    FORETELL_WEIGHT(bias_c)};
#undef FORETELL_WEIGHT

template <class Real>
constexpr StatePart<Real> state_parts[] = {
    {"h", &reference::State::h, &foretell::State<const Real>::h, &foretell::State<Real>::h},
    {"c", &reference::State::c, &foretell::State<const Real>::c, &foretell::State<Real>::c},
    {"gates", &reference::State::gates, &foretell::State<const Real>::gates, &foretell::State<Real>::gates}};

constexpr const char* activity_names[5] = {"i", "f", "g", "o", "cells"};

// A case's sequences as Number and all else as what its sums are, each where no vector is aligned and with nothing
// behind it, and room for its outputs.
template <class Number>
class Layer {
 public:
  using Real = foretell::Wide<Number>;

  // `saves`: for backward.
  Layer(const Case& from, bool saves, bool records) : from_(from), p(from.problem), cell(p.cell) {
    sort_rows();
    foretell::Forward<Number>& f = backward.forward;
    f.cell = cell;
    f.rows = {p.time, p.batch, first_.data(), order_.data(), from.order == Order::packed};
    if (f.rows.packed || std::ranges::is_sorted(order_)) f.rows.order = nullptr;
    f.reverse = p.reverse;
    f.reset = p.reset.empty() ? nullptr : p.reset.data();
    f.seed = p.seed;
    f.sequence = p.sequence;
    f.first_step = p.first_step;
    f.ends = p.ends.empty() ? nullptr : p.ends.data();
    f.x = take_sequence(p.x, cell.inputs);
    for (const auto& part : weight_parts<Real>) f.weights.*part.to = take(p.weights.*part.from);
    f.hidden_mask = take(p.hidden_mask);
    take_state(p.initial, f.initial);
    take_state(p.start, f.start);
    f.y = make_sequence(cell.outputs);
    for (const auto& part : state_parts<Real>) f.final.*part.out = make(p.initial.*part.from);
    if (saves) f.saved = make(foretell::kernels<Number>().saved_size(f), 0);
    for (int part = 0; records && part < 5; ++part) f.activity[part] = make(p.time * p.batch * cell.hidden);
  }

  // Asks backward for all gradients, or for some.
  void want_gradients(bool all = true) {
    if (!from_.dy.empty()) backward.dy = take_sequence(from_.dy, cell.outputs);
    take_state(from_.dfinal, backward.dfinal);
    if (all) backward.dx = make_sequence(cell.inputs);
    for (const auto& part : state_parts<Real>) {
      backward.dinitial.*part.out = make(p.initial.*part.from);
      backward.dstart.*part.out = make(p.start.*part.from);
    }
    int number = 0;
    for (const auto& part : weight_parts<Real>) {
      if (all || number++ % 2) backward.dweights.*part.gradient = make(p.weights.*part.from);
    }
  }

  All<Real> outputs() {
    foretell::Forward<Number>& f = backward.forward;
    All<Real> found{{"y", gather(f.y, cell.outputs)}};
    for (const auto& part : state_parts<Real>) add(std::string("final ") + part.name, f.final.*part.out, found);
    for (int part = 0; part < 5; ++part) add(activity_names[part], f.activity[part], found);
    return found;
  }

  All<Real> gradients() {
    All<Real> found;
    if (backward.dx.data) found.push_back({"x", gather(backward.dx, cell.inputs)});
    for (const auto& part : state_parts<Real>) {
      add(std::string("initial ") + part.name, backward.dinitial.*part.out, found);
      add(std::string("start ") + part.name, backward.dstart.*part.out, found);
    }
    for (const auto& part : weight_parts<Real>) add(part.name, backward.dweights.*part.gradient, found);
    return found;
  }

  bool is_intact() const {
    const auto is_intact = [](const auto& memory) { return memory.is_intact(); };
    return std::ranges::all_of(made_, is_intact) && std::ranges::all_of(made_sequences_, is_intact);
  }
  const std::string& name() const { return from_.name; }

  foretell::Backward<Number> backward;

 private:
  static constexpr Index gap = 2;  // numbers between the features of one step and row and those of the next

  void sort_rows() {
    order_.resize(p.batch);
    std::iota(order_.begin(), order_.end(), 0);
    std::ranges::stable_sort(order_, [&](Index a, Index b) { return p.lengths[a] > p.lengths[b]; });
    first_.assign(1, 0);
    for (Index t = 0; t < p.time; ++t) {
      first_.push_back(first_.back() + std::ranges::count_if(p.lengths, [&](Index length) { return length > t; }));
    }
  }

  template <class Data>
  foretell::Sequence<Data> lay_out(Data* data, Index width) const {
    const Index row = width + gap;
    if (from_.order == Order::packed) return {data, 0, row};
    if (from_.order == Order::rows_first) return {data, row, p.time * row};
    return {data, p.batch * row, row};
  }
  template <class Data>
  Index place(const foretell::Sequence<Data>& sequence, Index t, Index b) const {
    return from_.order == Order::packed ? (first_[t] + b) * sequence.row : t * sequence.time + b * sequence.row;
  }
  Index sequence_size(Index width) const {  // with nothing behind the last features
    return (from_.order == Order::packed ? first_.back() : p.time * p.batch) * (width + gap) - gap;
  }
  template <class Function>
  void for_each_pair(const Function& function) const {
    for (Index t = 0; t < p.time; ++t) {
      for (Index b = 0; b < p.batch; ++b) {
        if (t < p.lengths[b]) function(t, b);
      }
    }
  }

  const Real* take(const Vector& values) {
    if (values.empty()) return nullptr;
    std::vector<Real>& kept = taken_.emplace_back(1, Real(0));
    kept.insert(kept.end(), values.begin(), values.end());
    return kept.data() + 1;
  }
  void take_state(const reference::State& from, foretell::State<const Real>& to) {
    for (const auto& part : state_parts<Real>) to.*part.in = take(from.*part.from);
  }
  foretell::Sequence<const Number> take_sequence(const Vector& values, Index width) {
    const Index size = std::max<Index>(sequence_size(width), 1);
    std::vector<Number>& kept = taken_sequences_.emplace_back(size, poison<Number>());
    const auto sequence = lay_out<const Number>(kept.data(), width);
    for_each_pair([&](Index t, Index b) {
      for (Index k = 0; k < width; ++k) {
        kept[place(sequence, t, b) + k] = number_from<Number>(values[(t * p.batch + b) * width + k]);
      }
    });
    return sequence;
  }

  Real* make(Index count, Index shift = 1) { return count ? made_.emplace_back(count, shift).data() : nullptr; }
  Real* make(const Vector& like) { return make(Index(like.size())); }
  foretell::Sequence<Number> make_sequence(Index width) {
    return lay_out(made_sequences_.emplace_back(std::max<Index>(sequence_size(width), 1), 1).data(), width);
  }

  // [T,B,width], what lies beyond a row's length too, where packed rows have nothing; checks that nothing else was
  // written.
  std::vector<Real> gather(const foretell::Sequence<Number>& sequence, Index width) {
    std::vector<Number> rest(sequence.data, sequence.data + std::max<Index>(sequence_size(width), 1));
    std::vector<Real> found(p.time * p.batch * width);
    for (Index n = 0; n < p.time * p.batch; ++n) {
      const Index t = n / p.batch, b = n % p.batch;
      if (from_.order == Order::packed && t >= p.lengths[b]) continue;
      for (Index k = 0; k < width; ++k) {
        found[n * width + k] = wide(std::exchange(rest[place(sequence, t, b) + k], poison<Number>()));
      }
    }
    const bool rest_is_untouched = std::ranges::all_of(rest, is_poison<Number>);
    check(rest_is_untouched, "a sequence is written in its features alone:", name().c_str());
    return found;
  }
  void add(std::string called, Real* data, All<Real>& found) {
    if (!data) return;
    const auto memory = std::ranges::find_if(made_, [&](Guarded<Real>& made) { return made.data() == data; });
    found.push_back({std::move(called), std::vector<Real>(data, data + memory->size())});
  }

  const Case& from_;
  const reference::Problem& p;
  const foretell::Cell& cell;
  std::vector<Index> first_, order_;
  std::deque<std::vector<Real>> taken_;
  std::deque<std::vector<Number>> taken_sequences_;
  std::deque<Guarded<Real>> made_;
  std::deque<Guarded<Number>> made_sequences_;
};

// How many threads share a direction, and how.
struct Crew {
  int members;
  Split split;
};

// The crews that a plan could choose for this cell: one thread, then others.
template <class Number>
std::vector<Crew> crews_for(const reference::Problem& p) {
  std::vector<Crew> crews{{1, Split::rows}};
  const Index lanes = foretell::kernels<Number>().cost.lanes;
  const bool sees_more = p.cell.gate_recurrence || !p.hidden_mask.empty();
  const bool whole_rows = p.cell.layer_norm || p.cell.projection || sees_more;
  for (int members : {2, 3}) {
    if (members <= p.batch) crews.push_back({members, Split::rows});
    if (members <= (p.cell.hidden + lanes - 1) / lanes && !whole_rows) crews.push_back({members, Split::units});
  }
  return crews;
}

// Calls work(team, scratch) on every thread of a crew, and checks the borders of all memory afterwards.
template <class Real, class Function>
void run_crew(const Crew& crew, foretell::ScratchSize size, const std::string& name, const Function& work) {
  Guarded<Real> shared(size.shared);
  std::deque<Guarded<Real>> own;
  for (int member = 0; member < crew.members; ++member) own.emplace_back(size.own);
  foretell::Barrier barrier(crew.members);
  std::atomic<int> refused = 0;
  foretell::parallel(crew.members, [&](int member, int granted) {
    refused += granted != crew.members;
    if (refused) return;
    const foretell::Team team{member, crew.members, crew.members > 1 ? &barrier : nullptr, crew.split};
    work(team, foretell::Scratch<Real>{shared.data(), own[member].data()});
  });
  check(!refused, "the system grants the threads of a crew:", name.c_str());
  check(shared.is_intact(), "nobody writes beside the shared scratch memory:", name.c_str());
  for (const Guarded<Real>& part : own) {
    check(part.is_intact(), "nobody writes beside the scratch memory of a thread:", name.c_str());
  }
}

template <class Number>
All<foretell::Wide<Number>> run_forward(Layer<Number>& layer, const Crew& crew) {
  const foretell::Kernels<Number>& run = foretell::kernels<Number>();
  const foretell::Forward<Number>& f = layer.backward.forward;
  Guarded<foretell::Wide<Number>> packed(run.packed_size(f.cell));
  const auto work = [&](const foretell::Team& team, auto scratch) {
    run.pack(f.cell, f.weights, packed.data(), team);
    if (team.barrier) team.barrier->wait(team.member);
    run.forward(f, packed.data(), scratch, team);
  };
  run_crew<foretell::Wide<Number>>(crew, run.forward_scratch(f, {0, crew.members, nullptr, crew.split}), layer.name(), work);
  check(packed.is_intact() && layer.is_intact(), "forward writes within its outputs:", layer.name().c_str());
  return layer.outputs();
}

// After run_forward on a layer that saves.
template <class Number>
All<foretell::Wide<Number>> run_backward(Layer<Number>& layer, const Crew& crew) {
  const foretell::BackwardPass<Number>& pass = backward_pass<Number>();
  const foretell::Backward<Number>& b = layer.backward;
  run_crew<foretell::Wide<Number>>(crew, pass.scratch(b, {0, crew.members, nullptr, crew.split}), layer.name(),
                 [&](const foretell::Team& team, auto scratch) { pass.run(b, scratch, team); });
  check(layer.is_intact(), "backward writes within its outputs:", layer.name().c_str());
  return layer.gradients();
}

// Those of `found` that `expected` has too must have the same bits.
template <class Real>
void check_same(const All<Real>& found, const All<Real>& expected, const char* what, const std::string& name) {
  for (const Named<Real>& part : found) {
    const auto other = std::ranges::find(expected, part.name, &Named<Real>::name);
    if (other == expected.end()) continue;
    const std::size_t bytes = part.values.size() * sizeof(Real);
    check(part.values.size() == other->values.size() &&
              (bytes == 0 || std::memcmp(part.values.data(), other->values.data(), bytes) == 0),
          what, (part.name + ": " + name).c_str());
  }
}
