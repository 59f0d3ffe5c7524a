// The kernels against the definition: forward, gradients, and the same bits from every crew.
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "cases.h"

namespace {

constexpr double near = 5e-8, far = 1e-3;

int asked = 0;          // threads, by the last call of foretell::parallel
bool refuses = false;   // does the system grant one thread alone?
double meeting = near;  // seconds, whatever this machine needs

}  // namespace

// The linker puts these in place of foretell::parallel(int, Work), with that behind __real_, and of meeting_seconds.
extern "C" void __real__ZN8foretell8parallelEiNS_4WorkE(int threads, foretell::Work work);
extern "C" void __wrap__ZN8foretell8parallelEiNS_4WorkE(int threads, foretell::Work work) {
  asked = threads;
  if (refuses) threads = 1;
  __real__ZN8foretell8parallelEiNS_4WorkE(threads, work);
}
extern "C" double __wrap__ZN8foretell15meeting_secondsEi(int) { return meeting; }

namespace {

// Philox's own known answers (kat_vectors of Random123), for the reference.
void philox_has_known_answers() {
  using reference::philox;
  using reference::Words;
  check(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}, "philox of zeros");
  check(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}) ==
            Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1},
        "philox of pi");
}

// |found - expected| <= tolerance * max(1, largest expected), number by number; a NaN fails.
template <class Real>
void check_close(const Named<Real>& found, const Vector& expected, double tolerance, const std::string& name) {
  double largest = 1;
  for (double value : expected) largest = std::max(largest, std::abs(value));
  bool ok = found.values.size() == expected.size();
  for (std::size_t n = 0; ok && n < expected.size(); ++n) {
    ok = std::abs(double(found.values[n]) - expected[n]) <= tolerance * largest;
  }
  check(ok, "agrees with the reference:", (found.name + ": " + name).c_str());
}

// The same on average, for numbers of few bits: the root of the mean of (found - expected)^2 is at most the tolerance
// times that of expected^2, or times 0.1.
void check_near(const Named<float>& found, const Vector& expected, double tolerance, const std::string& name) {
  double errors = 0, squares = 0;
  for (std::size_t n = 0; n < expected.size(); ++n) {
    errors += (found.values[n] - expected[n]) * (found.values[n] - expected[n]);
    squares += expected[n] * expected[n];
  }
  const double floor = 0.01 * double(expected.size());
  const bool ok = found.values.size() == expected.size() && errors <= tolerance * tolerance * std::max(floor, squares);
  check(ok, "is near the reference:", (found.name + ": " + name).c_str());
}

// compare(part, values) with what the reference gives for each part of `found`.
template <class Real, class Compare>
void compare_forward(const All<Real>& found, const reference::Answer& expected, const Compare& compare) {
  for (const Named<Real>& part : found) {
    const auto compare_part = [&](const std::string& called, const Vector& values) {
      if (part.name == called) compare(part, values);
    };
    compare_part("y", expected.y);
    for (const auto& state : state_parts<Real>) {
      compare_part(std::string("final ") + state.name, expected.final.*state.from);
    }
    for (int n = 0; n < 5; ++n) compare_part(activity_names[n], expected.activity[n]);
  }
}

double dot(const Vector& a, const Vector& b) {
  double total = 0;
  for (std::size_t n = 0; n < a.size() && n < b.size(); ++n) total += a[n] * b[n];
  return total;
}

// What dy and dfinal are the gradient of.
double loss(const Case& of) {
  const reference::Answer answer = reference::run(of.problem);
  double total = dot(answer.y, of.dy);
  for (const auto& part : state_parts<double>) total += dot(answer.final.*part.from, of.dfinal.*part.from);
  return total;
}

// The tensor's gradient along a random direction, against the differences of the loss there.
void check_gradient(Random& random, Case& of, Vector& tensor, const Named<double>& gradient) {
  constexpr double step = 2e-5, tolerance = 1e-6;  // of the sum's own terms
  const Vector place = tensor, direction = random.vector(Index(tensor.size()));
  const auto loss_at = [&](double steps) {
    for (std::size_t n = 0; n < tensor.size(); ++n) tensor[n] = place[n] + steps * step * direction[n];
    return loss(of);
  };
  const double expected = (8 * (loss_at(1) - loss_at(-1)) - (loss_at(2) - loss_at(-2))) / (12 * step);
  tensor = place;
  double size = 1e-3;
  for (std::size_t n = 0; n < place.size(); ++n) size += std::abs(direction[n] * gradient.values[n]);
  const double error = std::abs(dot(gradient.values, direction) - expected) / size;
  check(error <= tolerance, "has the gradient of the reference:",
        (gradient.name + ": " + of.name).c_str());
}

void check_gradients(const Case& of, const All<double>& gradients) {
  Case moved = of;
  Random random(of.problem.seed);
  const auto check_one = [&](const std::string& name, Vector& tensor) {
    if (tensor.empty()) return;
    const auto found = std::ranges::find(gradients, name, &Named<double>::name);
    if (check(found != gradients.end(), "has a gradient:", name.c_str())) {
      check_gradient(random, moved, tensor, *found);
    }
  };
  check_one("x", moved.problem.x);
  for (const auto& part : state_parts<double>) {
    check_one(std::string("initial ") + part.name, moved.problem.initial.*part.from);
    check_one(std::string("start ") + part.name, moved.problem.start.*part.from);
  }
  for (const auto& part : weight_parts<double>) check_one(part.name, moved.problem.weights.*part.from);
}

// Of gradients, those of features [begin, end) of x as 0.
template <class Real>
All<Real> without(All<Real> gradients, Index begin, Index end, Index features) {
  for (Named<Real>& part : gradients) {
    if (part.name != "x") continue;
    for (Index n = 0; n < Index(part.values.size()); ++n) {
      if (n % features >= begin && n % features < end) part.values[n] = 0;
    }
  }
  return gradients;
}

// Both passes with one thread; the other crews, inference, and backward for fewer gradients give the same bits.
template <class Number>
auto run_all_ways(const Case& of) {
  using Real = foretell::Wide<Number>;
  std::pair<All<Real>, All<Real>> first;
  for (const Crew& crew : crews_for<Number>(of.problem)) {
    Layer<Number> inference(of, false, crew.members == 2), training(of, true, crew.members == 1);
    Layer<Number> fewer(of, true, false), spared(of, true, false);
    training.want_gradients();
    const All<Real> outputs = run_forward(training, crew), gradients = run_backward(training, crew);
    if (crew.members == 1) first = {outputs, gradients};
    check_same(outputs, first.first, "all crews give the same forward:", of.name);
    check_same(gradients, first.second, "all crews give the same backward:", of.name);
    check_same(run_forward(inference, crew), first.first, "inference gives the same:", of.name);
    fewer.want_gradients(false);
    run_forward(fewer, crew);
    check_same(run_backward(fewer, {1, Split::rows}), first.second,
               "backward for fewer gradients, by another crew, gives the same:", of.name);
    spared.want_gradients();
    const Index features = of.problem.cell.inputs, begin = features / 4, end = begin + (features + 2) / 3;
    spared.backward.data_begin = begin;
    spared.backward.data_end = end;
    run_forward(spared, crew);
    check_same(run_backward(spared, crew), without(first.second, begin, end, features),
               "backward gives data no gradient:", of.name);
  }
  return first;
}

void check_case(const Case& of) {
  const reference::Answer expected = reference::run(of.problem);
  const auto closer_than = [&](double tolerance) {
    return [&, tolerance](const auto& part, const Vector& values) { check_close(part, values, tolerance, of.name); };
  };
  const auto [exact, exact_gradients] = run_all_ways<double>(of);
  compare_forward(exact, expected, closer_than(1e-11));
  check_gradients(of, exact_gradients);
  for (const bool matrices : {false, foretell::active().name == "amx"}) {
    takes_matrices = matrices;
    const auto [single, single_gradients] = run_all_ways<float>(of);
    compare_forward(single, expected, closer_than(1e-4));
    for (std::size_t n = 0; n < single_gradients.size(); ++n) {
      const std::string name = (matrices ? "in matrices: " : "in float: ") + of.name;
      check_close(single_gradients[n], exact_gradients[n].values, 1e-3, name);
    }
  }
  takes_matrices = false;
}

// The same in bfloat16.
void check_bfloat16_case(const Case& of) {
  const reference::Answer expected = reference::run(of.problem);
  const auto [exact, exact_gradients] = run_all_ways<double>(of);
  // Layer norm divides rounded numbers by their own small spread.
  const double tolerance = of.problem.cell.layer_norm ? 0.2 : 0.02;
  const auto [rounded, rounded_gradients] = run_all_ways<foretell::BFloat16>(of);
  compare_forward(rounded, expected, [&](const auto& part, const Vector& values) {
    check_near(part, values, tolerance, "in bfloat16: " + of.name);
  });
  for (std::size_t n = 0; n < rounded_gradients.size(); ++n) {
    check_near(rounded_gradients[n], exact_gradients[n].values, tolerance, "in bfloat16: " + of.name);
  }
}

// foretell::forward and backward, which plan for themselves, on work that wants all of the threads: the same bits.
template <class Number>
void check_plans(const Sizes& sizes, const Chosen& chosen) {
  using Real = foretell::Wide<Number>;
  Random random(1);
  Case cases[2] = {make_case(random, sizes, chosen), make_case(random, sizes, chosen)};
  cases[1].problem.reverse = true;
  for (int directions : {1, 2}) {
    std::vector<All<Real>> first;
    for (int threads : {1, 2, directions == 1 ? 3 : 4}) {
      std::deque<Layer<Number>> layers;
      std::vector<foretell::Forward<Number>> forward;
      std::vector<foretell::Backward<Number>> backward;
      for (int d = 0; d < directions; ++d) {
        layers.emplace_back(cases[d], true, false).want_gradients();
        forward.push_back(layers[d].backward.forward);
        backward.push_back(layers[d].backward);
      }
      const int wanted = threads / directions * directions;  // a team for each direction
      foretell::forward(forward.data(), 1, directions, threads);
      check(threads == 1 || asked == wanted, "forward takes the threads it may:", cases[0].name.c_str());
      foretell::backward(backward.data(), 1, directions, threads);
      check(threads == 1 || asked == wanted, "backward takes the threads it may:", cases[0].name.c_str());
      for (int d = 0; d < directions; ++d) {
        if (threads == 1) first.insert(first.end(), {layers[d].outputs(), layers[d].gradients()});
        check(layers[d].is_intact(), "a plan keeps to the outputs:", cases[d].name.c_str());
        check_same(layers[d].outputs(), first[2 * d], "any number of threads gives the same:", cases[d].name);
        check_same(layers[d].gradients(), first[2 * d + 1], "any number of threads gives the same:", cases[d].name);
      }
    }
    for (int members : {1, 2, 3}) {
      Layer<Number> inference(cases[0], false, false);
      check_same(run_forward(inference, {members, Split::rows}), first[0], "chunks give the same:", cases[0].name);
    }
  }
}

// A layer that was to be shared is run by one thread if the system grants no other.
void refused_threads_leave_one() {
  Random random(1);
  const Case one = make_case(random, {20, 9, 5, 64}, {});
  Layer<float> shared(one, true, false), alone(one, true, false);
  for (Layer<float>* layer : {&shared, &alone}) {
    layer->want_gradients();
    refuses = layer == &alone;
    foretell::forward(&layer->backward.forward, 1, 1, 2);
    foretell::backward(&layer->backward, 1, 1, 2);
    check(asked == (refuses ? 1 : 2), "one thread is asked for after two were refused");
  }
  refuses = false;
  check_same(alone.outputs(), shared.outputs(), "one thread instead of two gives the same:", one.name);
  check_same(alone.gradients(), shared.gradients(), "one thread instead of two gives the same:", one.name);
}

// Threads that need long to meet do not share the units of a row.
void threads_far_apart_do_not_meet() {
  Random random(1);
  const Case one = make_case(random, {50, 1, 5, 256}, {});
  Layer<float> layer(one, true, false);
  const foretell::Forward<float>& forward = layer.backward.forward;
  for (const double seconds : {far, near}) {
    meeting = seconds;
    foretell::forward(&forward, 1, 1, 2);
    check(asked == (seconds == near ? 2 : 1), "units are shared by threads that meet fast");
  }
}

// A stack of layers that run at once gives the bits that it gives one by one.
template <class Number>
void check_wave(const Sizes& sizes, const Chosen& chosen) {
  using Real = foretell::Wide<Number>;
  constexpr int count = 3;
  Random random(1);
  std::deque<Case> cases;
  for (int n = 0; n < count; ++n) {
    cases.push_back(make_case(random, sizes, chosen));
    cases[n].problem.lengths = cases[0].problem.lengths;
  }
  std::vector<All<Real>> first;
  for (int threads : {1, 2, 3}) {
    std::deque<Layer<Number>> layers;
    std::vector<foretell::Forward<Number>> forward;
    std::vector<foretell::Backward<Number>> backward;
    for (const Case& one : cases) {
      Layer<Number>& layer = layers.emplace_back(one, true, true);
      layer.want_gradients();
      if (!forward.empty()) {
        const foretell::Sequence<Number>&x = forward.back().y, &dx = layer.backward.dx;
        layer.backward.forward.x = {x.data, x.time, x.row};
        backward.back().dy = {dx.data, dx.time, dx.row};
      }
      forward.push_back(layer.backward.forward);
      backward.push_back(layer.backward);
    }
    foretell::forward(forward.data(), count, 1, threads);
    check(asked == threads, "each layer of a wave has a thread:", cases[0].name.c_str());
    foretell::backward(backward.data(), count, 1, threads);
    check(asked == threads, "each layer of a wave has a thread:", cases[0].name.c_str());
    for (int n = 0; n < count; ++n) {
      if (threads == 1) first.insert(first.end(), {layers[n].outputs(), layers[n].gradients()});
      check(layers[n].is_intact(), "a wave keeps to the outputs:", cases[n].name.c_str());
      check_same(layers[n].outputs(), first[2 * n], "a wave gives the same:", cases[n].name);
      check_same(layers[n].gradients(), first[2 * n + 1], "a wave gives the same:", cases[n].name);
    }
  }
}

}  // namespace

// test_lstm CASES: so many random cases.
int main(int count, char** arguments) {
  if (!is_supported()) return skipped;
  const Index cases = count > 1 ? std::atoi(arguments[1]) : 100;
  philox_has_known_answers();
  for (Index number = 0; number < cases; ++number) {
    check_case(draw_case(number));
    if (foretell::multiplies_bfloat16()) check_bfloat16_case(draw_case(number, true));
  }
  // More work than the start of a thread is worth, by the arithmetic of core/plan.h.  A hidden mask lets rows alone
  // be divided, and one row its units alone; the gates of 2070 pairs of doubles want two chunks, which members whose
  // rows end at different steps begin at different times.
  check_plans<float>({20, 9, 5, 64}, {"hidden mask", "peepholes"});
  check_plans<double>({230, 9, 5, 16}, {"hidden mask", "reset"});
  check_plans<double>({690, 9, 5, 16}, {"hidden mask", "lengths"});
  check_plans<float>({50, 1, 5, 256}, {"peepholes", "reset"});
  check_plans<double>({50, 1, 5, 256}, {});
  check_plans<float>({9, 131, 5, 16}, {"hidden mask", "reset"});
  check_plans<float>({20, 21, 35, 130}, {"lengths", "peepholes"});  // in matrices, where there is a unit for them
  check_plans<float>({12, 37, 5, 160}, {"reset", "layer norm"});
  refused_threads_leave_one();
  threads_far_apart_do_not_meet();
  // Three rows of few units: no layer is worth sharing, but the stack is worth threads; 600 steps of doubles take two
  // chunks in backward.
  check_wave<float>({300, 3, 24, 24}, {"peepholes", "reset"});
  check_wave<float>({900, 3, 24, 24}, {"packed", "zoneout of h", "drawn zoneout"});
  check_wave<double>({600, 3, 24, 24}, {"lengths", "layer norm"});
  check_wave<double>({600, 3, 24, 24}, {"reverse", "hidden mask"});
  if (foretell::multiplies_bfloat16()) {
    check_plans<foretell::BFloat16>({40, 9, 5, 64}, {"hidden mask", "peepholes"});
    check_plans<foretell::BFloat16>({100, 1, 5, 256}, {"peepholes", "reset"});
    check_wave<foretell::BFloat16>({900, 3, 24, 24}, {"peepholes", "reset"});
  }
  return failures ? 1 : 0;
}
