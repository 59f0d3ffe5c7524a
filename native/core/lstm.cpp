// Runs a layer: chooses how threads share it, finds memory, and calls the kernels of the active instruction set.
#include "foretell/lstm.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

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

template <class Real>
Plan choose_plan(const Forward<Real>& layer, int directions, int threads) {
  const Cell& cell = layer.cell;
  const Rows& rows = layer.rows;
  const double depth = double(cell.outputs), pairs = double(rows.first[rows.time]);
  const double work = 4.0 * double(cell.hidden) * (depth + double(cell.inputs)) * pairs * directions;
  if (threads <= 1 || work < too_little) return {};
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

// Sizes in numbers; parts begin on cache lines, since all sizes of kernels are whole ones.
template <class Real>
struct Division {
  Index packed = 0, shared = 0, own = 0;

  Index total(int directions, const Plan& plan) const {
    return directions * (packed + shared) + plan.teams * plan.members * own;
  }
  Real* packed_of(Real* memory, int direction) const { return memory + direction * (packed + shared); }
  Scratch<Real> scratch_of(Real* memory, int directions, int direction, int worker) const {
    return {packed_of(memory, direction) + packed, memory + directions * (packed + shared) + worker * own};
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
void forward(const Forward<Real>* layer, int directions, int threads) {
  const Kernels<Real>& run = kernels<Real>();
  const Plan plan = choose_plan(layer[0], directions, threads);
  const ScratchSize size = run.forward_scratch(layer[0]);
  const Division<Real> parts{run.packed_size(layer[0].cell), size.shared, size.own};
  auto* memory = reinterpret_cast<Real*>(Arena::of_thread().reserve(parts.total(directions, plan) * sizeof(Real)));
  run_teams(plan, directions, [&](int direction, const Team& team, int worker) {
    Real* packed = parts.packed_of(memory, direction);
    run.pack(layer[direction].cell, layer[direction].weights, packed, team);
    if (team.barrier) team.barrier->wait();
    run.forward(layer[direction], packed, parts.scratch_of(memory, directions, direction, worker), team);
  });
  Arena::of_thread().shrink();
}

template <class Real>
void backward(const Backward<Real>* layer, int directions, int threads) {
  const Kernels<Real>& run = kernels<Real>();
  const Plan plan = choose_plan(layer[0].forward, directions, threads);
  const ScratchSize size = run.backward_scratch(layer[0]);
  const Division<Real> parts{0, size.shared, size.own};
  auto* memory = reinterpret_cast<Real*>(Arena::of_thread().reserve(parts.total(directions, plan) * sizeof(Real)));
  run_teams(plan, directions, [&](int direction, const Team& team, int worker) {
    run.backward(layer[direction], parts.scratch_of(memory, directions, direction, worker), team);
  });
  Arena::of_thread().shrink();
}

template void forward(const Forward<float>*, int, int);
template void forward(const Forward<double>*, int, int);
template void backward(const Backward<float>*, int, int);
template void backward(const Backward<double>*, int, int);

}  // namespace foretell
