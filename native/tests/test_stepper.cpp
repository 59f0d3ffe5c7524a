// A stepper against the whole sequence at once, bit for bit; and twins that go their own ways.
#include "foretell/stepper.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "cases.h"

namespace {

constexpr Index time_steps = 7;

// Two layers, the second on the outputs of the first.
struct Stack {
  Case layers[2];
  bool residual;
};

Stack make_stack(const Chosen& chosen, Index batch, Index hidden, bool residual) {
  Random random{std::uint64_t(hidden)};
  Stack stack;
  stack.residual = residual;
  stack.layers[0] = make_case(random, {time_steps, batch, 5, hidden}, chosen);
  foretell::Cell cell = stack.layers[0].problem.cell;
  cell.inputs = cell.outputs;
  stack.layers[1] = stack.layers[0];
  stack.layers[1].problem.cell = cell;
  stack.layers[1].problem.weights = draw_weights(random, cell, true);
  stack.layers[1].problem.initial = draw_state(random, stack.layers[1].problem, 0.5);
  return stack;
}

// y [T,B,R] of the last layer, and every layer's final state, from whole sequences.
template <class Number>
auto run_whole(const Stack& stack, const Vector& x) {
  using Real = foretell::Wide<Number>;
  All<Real> found;
  Vector below = x;
  for (int l : {0, 1}) {
    Case layer = stack.layers[l];
    layer.problem.x = below;
    Layer<Number> run(layer, false, false);
    All<Real> outputs = run_forward(run, {1, Split::rows});
    std::vector<Real> y = outputs.front().values;
    for (std::size_t n = 0; stack.residual && l && n < y.size(); ++n) {
      y[n] = wide(number_from<Number>(y[n] + Real(below[n])));
    }
    below.assign(y.begin(), y.end());
    outputs.front().values = y;
    for (Named<Real>& part : outputs) part.name += std::to_string(l);
    found.insert(found.end(), outputs.begin(), outputs.end());
  }
  return found;
}

// The memory of a stack's states, which a stepper changes.
template <class Real>
class States {
 public:
  explicit States(const Stack& stack) {
    for (const Case& layer : stack.layers) {
      foretell::State<Real> state;
      for (const auto& part : state_parts<Real>) {
        const Vector& from = layer.problem.initial.*part.from;
        if (from.empty()) continue;
        Guarded<Real>& memory = memory_.emplace_back(Index(from.size()), 1);
        std::copy(from.begin(), from.end(), memory.data());
        state.*part.out = memory.data();
      }
      all.push_back(state);
    }
  }
  void copy(States& other) {
    for (std::size_t n = 0; n < memory_.size(); ++n) {
      std::copy_n(other.memory_[n].data(), memory_[n].size(), memory_[n].data());
    }
  }
  // As run_whole names them.
  void give(const Stack& stack, All<Real>& found) {
    for (int l : {0, 1}) {
      for (const auto& part : state_parts<Real>) {
        const Real* data = all[l].*part.out;
        const auto size = (stack.layers[l].problem.initial.*part.from).size();
        if (data) found.push_back({std::string("final ") + part.name + std::to_string(l), {data, data + size}});
      }
    }
    for (const Guarded<Real>& memory : memory_) check(memory.is_intact(), "a step writes within the states");
  }

  std::vector<foretell::State<Real>> all;

 private:
  std::deque<Guarded<Real>> memory_;
};

// What one stepper sees and gives.
template <class Number>
struct Walk {
  std::vector<Number> x;
  std::vector<foretell::Wide<Number>> y;

  void step(foretell::Stepper<Number>& stepper, Index t) {
    Guarded<Number> out(stepper.batch() * stepper.outputs(), 1);
    stepper.step(x.data() + t * stepper.batch() * stepper.inputs(), out.data());
    check(out.is_intact(), "a step writes within its output");
    std::transform(out.data(), out.data() + out.size(), std::back_inserter(y), wide<Number>);
  }
};

template <class Number, class Real = foretell::Wide<Number>>
foretell::Stepper<Number> make_stepper(const Stack& stack, const States<Real>& states) {
  std::vector<typename foretell::Stepper<Number>::Layer> layers(2);
  std::deque<std::vector<Real>> weights;  // gone once it is made
  for (int l : {0, 1}) {
    layers[l].cell = stack.layers[l].problem.cell;
    layers[l].state = states.all[l];
    for (const auto& part : weight_parts<Real>) {
      const Vector& from = stack.layers[l].problem.weights.*part.from;
      if (!from.empty()) layers[l].weights.*part.to = weights.emplace_back(from.begin(), from.end()).data();
    }
  }
  return {layers, stack.layers[0].problem.batch, stack.residual};
}

// After three steps a twin parts, which sees the rest in another order.
template <class Number>
void check_stack(const Stack& stack) {
  using Real = foretell::Wide<Number>;
  const Vector& x = stack.layers[0].problem.x;
  Vector other_x = x;
  const auto width = std::ptrdiff_t(x.size()) / time_steps;
  std::rotate(other_x.begin() + 3 * width, other_x.begin() + 4 * width, other_x.end());

  States<Real> states(stack), other_states(stack);
  const auto numbers = [](const Vector& from) {
    std::vector<Number> to;
    std::ranges::transform(from, std::back_inserter(to), number_from<Number>);
    return to;
  };
  foretell::Stepper<Number> stepper = make_stepper<Number>(stack, states);
  Walk<Number> walk{numbers(x), {}};
  for (Index t = 0; t < 3; ++t) walk.step(stepper, t);
  other_states.copy(states);
  foretell::Stepper<Number> twin = stepper.twin(other_states.all);
  Walk<Number> other_walk{numbers(other_x), walk.y};
  for (Index t = 3; t < time_steps; ++t) {
    walk.step(stepper, t);
    other_walk.step(twin, t);
  }
  const std::string& name = stack.layers[0].name;
  All<Real> found{{"y1", walk.y}}, of_twin{{"y1", other_walk.y}};
  states.give(stack, found);
  other_states.give(stack, of_twin);
  check_same(found, run_whole<Number>(stack, x), "steps give what the sequence does:", name);
  check_same(of_twin, run_whole<Number>(stack, other_x), "a twin goes its own way:", name);
}

}  // namespace

int main() {
  if (!is_supported()) return skipped;
  const Chosen kinds[] = {{}, {"peepholes", "coupled"}, {"projection"}, {"layer norm", "no bias"},
                          {"gate recurrence"}, {"zoneout of h", "zoneout of c"},
                          {"layer norm", "gate recurrence", "projection", "peepholes"}};
  for (const Chosen& chosen : kinds) {
    for (Index hidden : {1, 7, 17, 33}) {
      for (Index batch : {1, 4}) {
        const Stack stack = make_stack(chosen, batch, hidden, hidden % 4 == 1);
        check_stack<float>(stack);
        check_stack<double>(stack);
        if (foretell::multiplies_bfloat16()) check_stack<foretell::BFloat16>(stack);
      }
    }
  }
  return failures ? 1 : 0;
}
