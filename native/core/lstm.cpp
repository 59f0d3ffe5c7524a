// Runs a stack of layers: chooses how threads share it, finds memory, and calls the kernels of the active instruction
// set.
#include "foretell/lstm.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "arena.h"
#include "foretell/cpu.h"
#include "foretell/threads.h"

namespace foretell {

#define FORETELL_DECLARE(variant)             \
  namespace variant {                         \
  extern const Kernels<float> float_kernels;  \
  extern const Kernels<double> double_kernels; \
  }
FORETELL_DECLARE(baseline)
#if defined(__x86_64__)
FORETELL_DECLARE(avx512)
FORETELL_DECLARE(avx2)
#elif defined(__aarch64__)
FORETELL_DECLARE(neon)
#endif

namespace {

using Both = std::pair<const Kernels<float>*, const Kernels<double>*>;

Both find_kernels(std::string_view variant) {
#if defined(__x86_64__)
  if (variant == "avx512") return {&avx512::float_kernels, &avx512::double_kernels};
  if (variant == "avx2") return {&avx2::float_kernels, &avx2::double_kernels};
#elif defined(__aarch64__)
  if (variant == "neon") return {&neon::float_kernels, &neon::double_kernels};
#endif
  return {&baseline::float_kernels, &baseline::double_kernels};
}

const Both& active_kernels() {
  static const Both found = find_kernels(active().name);
  return found;
}

// How the threads divide into teams, one for each direction or one for all, and how a team shares its work.
struct Plan {
  int teams = 1, members = 1;
  Split split = Split::rows;
};

// What a step costs in cycles, about, when each member has `rows` rows and `blocks` blocks of four gates: products, or
// the weights' way from the cache that holds them, whichever takes longer.
double step_cost(double rows, double blocks, double depth, double panel_bytes, double member_bytes) {
  constexpr double l1 = 40 << 10, l2 = 1.5 * (1 << 20), of_l1 = 100, of_l2 = 45, of_l3 = 12;  // bytes; bytes a cycle
  const double from_cache = member_bytes <= l1 ? of_l1 : member_bytes <= l2 ? of_l2 : of_l3;
  const double tiles = std::ceil(rows / 6);
  const double product = std::max(2 * rows / tiles, panel_bytes / std::max(from_cache, of_l2));
  const double first = std::max(product, panel_bytes / from_cache);
  const double activations = 60 * rows * blocks;
  return blocks * depth * (first + (tiles - 1) * product) + activations;
}

// Multiply-adds of a layer in one direction.
template <class Real>
double work_of(const Forward<Real>& layer) {
  const Cell& cell = layer.cell;
  return 4.0 * double(cell.hidden) * double(cell.outputs + cell.inputs) * double(layer.rows.first[layer.rows.time]);
}

template <class Real>
Plan choose_plan(const Forward<Real>& layer, int directions, int threads) {
  const Cell& cell = layer.cell;
  const Rows& rows = layer.rows;
  const double depth = double(cell.outputs), pairs = double(rows.first[rows.time]);
  if (threads <= 1 || work_of(layer) * directions < too_little) return {};
  Plan plan;
  plan.teams = directions == 2 ? 2 : 1;
  const int available = threads / plan.teams;
  const Index lanes = kernels<Real>().lanes, blocks = (cell.hidden + lanes - 1) / lanes;
  const double panel = 4.0 * double(lanes) * sizeof(Real), weights = depth * panel * double(blocks);
  const bool needs_rows = cell.layer_norm || cell.projection || cell.gate_recurrence || layer.hidden_mask;
  constexpr double meeting = 1300, worthwhile = 0.8;  // cycles; of one thread's cost
  const int by_rows = int(std::min<Index>(available, rows.batch));
  const int by_units = needs_rows ? 1 : int(std::min<Index>(available, blocks));
  const double batch = std::max(1.0, pairs / double(rows.time));
  const double alone = step_cost(batch, double(blocks), depth, panel, weights);
  const double rows_cost = step_cost(std::ceil(batch / by_rows), double(blocks), depth, panel, weights);
  const double units_cost =
      step_cost(batch, std::ceil(double(blocks) / by_units), depth, panel, weights / by_units) + meeting;
  if (std::min(rows_cost, units_cost) > worthwhile * alone) return plan;
  plan.split = rows_cost <= units_cost ? Split::rows : Split::units;
  plan.members = plan.split == Split::rows ? by_rows : by_units;
  return plan;
}

// Sizes in numbers; parts begin on cache lines, since all sizes of kernels are whole ones.  `runs`: directions of a
// layer, or layers of a wave.
template <class Real>
struct Division {
  Index packed = 0, shared = 0, own = 0;

  void fit(Index packed_size, const ScratchSize& size) {
    packed = std::max(packed, packed_size);
    shared = std::max(shared, size.shared);
    own = std::max(own, size.own);
  }
  Real* reserve(int runs, int workers) const {
    const Index numbers = runs * (packed + shared) + workers * own;
    return reinterpret_cast<Real*>(Arena::of_thread().reserve(numbers * sizeof(Real)));
  }
  Real* packed_of(Real* memory, int run) const { return memory + run * (packed + shared); }
  Scratch<Real> scratch_of(Real* memory, int runs, int run, int worker) const {
    return {packed_of(memory, run) + packed, memory + runs * (packed + shared) + worker * own};
  }
};

// Calls work(direction, team, worker) on every thread for its directions.
template <class Function>
void run_teams(const Plan& plan, int directions, const Function& work) {
  Barrier barriers[2] = {Barrier(plan.members), Barrier(plan.members)};
  const int workers = plan.teams * plan.members;
  parallel(workers, [&](int worker, int granted) {
    const bool alone = granted == 1;
    const int teams = alone ? 1 : plan.teams, members = alone ? 1 : plan.members, own = worker / members;
    Barrier* barrier = members > 1 ? &barriers[own] : nullptr;
    const Team team{worker % members, members, barrier, plan.split};
    for (int direction = own; direction < directions; direction += teams) work(direction, team, worker);
  });
}

// The two passes alike: which forward pass a layer is of, what memory it needs, and what it does there.
template <class Real>
const Forward<Real>& forward_of(const Forward<Real>& layer) {
  return layer;
}

template <class Real>
const Forward<Real>& forward_of(const Backward<Real>& layer) {
  return layer.forward;
}

template <class Real>
void measure(const Forward<Real>& layer, Division<Real>& parts) {
  parts.fit(kernels<Real>().packed_size(layer.cell), kernels<Real>().forward_scratch(layer));
}

template <class Real>
void measure(const Backward<Real>& layer, Division<Real>& parts) {
  parts.fit(0, kernels<Real>().backward_scratch(layer));
}

template <class Real>
void run_as_member(const Forward<Real>& layer, Real* packed, Scratch<Real> scratch, const Team& team) {
  kernels<Real>().pack(layer.cell, layer.weights, packed, team);
  if (team.barrier) team.barrier->wait();
  kernels<Real>().forward(layer, packed, scratch, team);
}

template <class Real>
void run_as_member(const Backward<Real>& layer, Real*, Scratch<Real> scratch, const Team& team) {
  kernels<Real>().backward(layer, scratch, team);
}

// One layer on as many threads as are worth it.
template <class Real, template <class> class Pass>
void run_layer(const Pass<Real>* layer, int directions, int threads) {
  const Plan plan = choose_plan(forward_of(layer[0]), directions, threads);
  Division<Real> parts;
  measure(layer[0], parts);
  Real* memory = parts.reserve(directions, plan.teams * plan.members);
  run_teams(plan, directions, [&](int direction, const Team& team, int worker) {
    run_as_member(layer[direction], parts.packed_of(memory, direction),
                  parts.scratch_of(memory, directions, direction, worker), team);
  });
}

// The steps that a layer of a wave runs before the next one follows.
Index slice_of(Index time) { return std::max<Index>(4, time / 32); }

// Is a stack done sooner if all of its layers run at once, each on one thread, than if threads share one after the
// other?  It is where they are too small to be shared; and where they are alike, for sharing costs something too.
template <class Real, template <class> class Pass>
bool makes_wave(const Pass<Real>* layers, int count, int threads) {
  if (threads <= 1 || count <= 1) return false;
  constexpr double near = 0.75 * (1 << 20), sharing = 32000;  // bytes of weights; multiply-adds a step; both measured
  const double time = double(forward_of(layers[0]).rows.time);
  const int workers = std::min(count, threads);
  std::vector<double> of_worker(workers);
  double all = 0, shared = 0;
  for (int n = 0; n < count; ++n) {
    const Forward<Real>& layer = forward_of(layers[n]);
    const Cell& cell = layer.cell;
    const int members = choose_plan(layer, 1, threads).members;
    if (members > 1 && 4.0 * double(cell.hidden * (cell.inputs + cell.outputs)) * sizeof(Real) > near) return false;
    const double work = work_of(layer);
    all += work;
    shared += members > 1 ? work / members + sharing * time : work;
    of_worker[n % workers] += work;
  }
  const double before_all_run = double(workers - 1) * double(slice_of(Index(time))) / time * all / count;
  return all > 2 * too_little && *std::ranges::max_element(of_worker) + before_all_run < shared;
}

// All layers at once, each on one thread and a few steps behind the one it reads from; `at(n)`: the n-th to begin.
template <class Real, template <class> class Pass, class Order>
void run_wave(const Pass<Real>* layers, int count, int threads, const Order& at) {
  const Index slice = slice_of(forward_of(layers[0]).rows.time);
  const int workers = std::min(count, threads);
  Division<Real> parts;
  for (int n = 0; n < count; ++n) measure(layers[n], parts);
  Real* memory = parts.reserve(count, workers);
  std::vector<Progress> progress(count);
  parallel(workers, [&](int worker, int granted) {
    for (int n = worker; n < count; n += granted) {
      const Wave wave{slice, n > 0 ? &progress[n - 1] : nullptr, &progress[n]};
      run_as_member(layers[at(n)], parts.packed_of(memory, n), parts.scratch_of(memory, count, n, worker),
                    Team{0, 1, nullptr, Split::rows, wave});
    }
  });
}

template <class Real, template <class> class Pass, class Order>
void run_stack(const Pass<Real>* layers, int count, int directions, int threads, const Order& at) {
  if (directions == 1 && makes_wave(layers, count, threads)) {
    run_wave(layers, count, threads, at);
  } else {
    for (int n = 0; n < count; ++n) run_layer(layers + at(n) * directions, directions, threads);
  }
  Arena::of_thread().shrink();
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return *active_kernels().first;
}

template <>
const Kernels<double>& kernels<double>() {
  return *active_kernels().second;
}

template <class Real>
void forward(const Forward<Real>* layers, int count, int directions, int threads) {
  run_stack(layers, count, directions, threads, [](int n) { return n; });
}

template <class Real>
void backward(const Backward<Real>* layers, int count, int directions, int threads) {
  run_stack(layers, count, directions, threads, [=](int n) { return count - 1 - n; });
}

template void forward(const Forward<float>*, int, int, int);
template void forward(const Forward<double>*, int, int, int);
template void backward(const Backward<float>*, int, int, int);
template void backward(const Backward<double>*, int, int, int);

}  // namespace foretell
