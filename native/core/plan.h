// How threads share a stack of layers, by a small model of what a step costs.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "foretell/cpu.h"
#include "foretell/lstm.h"
#include "foretell/threads.h"

namespace foretell {

// How the threads divide into teams, one for each direction or one for all, and how a team shares its work.
struct Plan {
  int teams = 1, members = 1;
  Split split = Split::rows;
};

// What a step costs in cycles, about, when each member has `rows` rows, so many of them in a tile at most, and `blocks`
// blocks of four gates: products, or the weights' way from the cache that holds them, whichever takes longer.
inline double step_cost(double rows, double tile_rows, double blocks, double depth, double panel_bytes,
                        double member_bytes) {
  constexpr double l1 = 40 << 10, of_l1 = 100, of_l2 = 45, of_l3 = 12;  // bytes; bytes a cycle
  static const double l2 = std::min(second_cache_bytes(), 1.5 * (1 << 20));
  const double from_cache = member_bytes <= l1 ? of_l1 : member_bytes <= l2 ? of_l2 : of_l3;
  const double tiles = std::ceil(rows / tile_rows);
  const double product = std::max(2 * rows / tiles, panel_bytes / std::max(from_cache, of_l2));
  const double first = std::max(product, panel_bytes / from_cache);
  const double activations = 60 * rows * blocks;
  return blocks * depth * (first + (tiles - 1) * product) + activations;
}

// What a step costs in cycles if its members have to meet: the barrier, what the others wrote from their caches, and
// the wait for the last.
inline double meeting_cost(int members) {
  constexpr double frequency = 4e9, wait = 200;  // Hz; cycles
  return 2 * frequency * meeting_seconds(members) + wait;
}

// Multiply-adds of a layer in one direction.
template <class Number>
double work_of(const Forward<Number>& layer) {
  const Cell& cell = layer.cell;
  return 4.0 * double(cell.hidden) * double(cell.outputs + cell.inputs) * double(layer.rows.first[layer.rows.time]);
}

template <class Number>
Plan choose_plan(const Forward<Number>& layer, int directions, int threads) {
  const Cell& cell = layer.cell;
  const Rows& rows = layer.rows;
  constexpr Index together = sizeof(Wide<Number>) / sizeof(Number);  // numbers of a factor
  const double depth = double(cell.outputs) / double(together), pairs = double(rows.first[rows.time]);
  if (threads <= 1 || work_of(layer) * directions < too_little) return {};
  Plan plan;
  plan.teams = directions == 2 ? 2 : 1;
  const int available = threads / plan.teams;
  const Index lanes = kernels<Number>().lanes, blocks = (cell.hidden + lanes - 1) / lanes;
  const double panel = 4.0 * double(lanes) * sizeof(Wide<Number>), weights = depth * panel * double(blocks);
  const auto cost = [&](double own_rows, double own_blocks, double own_weights) {
    return step_cost(own_rows, double(kernels<Number>().tile_rows), own_blocks, depth, panel, own_weights);
  };
  const bool sees_more = cell.gate_recurrence || layer.hidden_mask || cell.outputs % together;
  const bool needs_rows = cell.layer_norm || cell.projection || sees_more;
  constexpr double worthwhile = 0.85;  // of one thread's cost
  const int by_rows = int(std::min<Index>(available, rows.batch));
  const int by_units = needs_rows ? 1 : int(std::min<Index>(available, blocks));
  const double batch = std::max(1.0, pairs / double(rows.time));
  const double alone = cost(batch, double(blocks), weights);
  const double rows_cost = cost(std::ceil(batch / by_rows), double(blocks), weights);
  double units_cost = cost(batch, std::ceil(double(blocks) / by_units), weights / by_units);
  if (units_cost < std::min(rows_cost, worthwhile * alone)) units_cost += meeting_cost(by_units);
  if (std::min(rows_cost, units_cost) > worthwhile * alone) return plan;
  plan.split = rows_cost <= units_cost ? Split::rows : Split::units;
  plan.members = plan.split == Split::rows ? by_rows : by_units;
  return plan;
}

// The forward pass that a layer is of.
template <class Number>
const Forward<Number>& forward_of(const Forward<Number>& layer) {
  return layer;
}

template <class Number>
const Forward<Number>& forward_of(const Backward<Number>& layer) {
  return layer.forward;
}

// The steps that a layer of a wave runs before the next one follows.
inline Index slice_of(Index time) { return std::max<Index>(4, time / 32); }

// Is a stack done sooner if all of its layers run at once, each on one thread, than if threads share one after the
// other?  It is where they are too small to be shared; and where they are alike, for sharing costs something too.
template <class Number, template <class> class Pass>
bool makes_wave(const Pass<Number>* layers, int count, int threads) {
  if (threads <= 1 || count <= 1) return false;
  constexpr double near = 0.75 * (1 << 20);  // bytes of weights that stay in a core's cache beside all else
  constexpr double sharing = 32000;          // multiply-adds that one core does in what a step loses if shared, .4 us
  const double time = double(forward_of(layers[0]).rows.time);
  const int workers = std::min(count, threads);
  std::vector<double> of_worker(workers);
  double all = 0, shared = 0;
  for (int n = 0; n < count; ++n) {
    const Forward<Number>& layer = forward_of(layers[n]);
    const Cell& cell = layer.cell;
    const int members = choose_plan(layer, 1, threads).members;
    if (members > 1 && 4.0 * double(cell.hidden * (cell.inputs + cell.outputs)) * sizeof(Number) > near) return false;
    const double work = work_of(layer);
    all += work;
    shared += members > 1 ? work / members + sharing * time : work;
    of_worker[n % workers] += work;
  }
  const double before_all_run = double(workers - 1) * double(slice_of(Index(time))) / time * all / count;
  const bool is_worth_threads = all > 2 * too_little;
  return is_worth_threads && *std::ranges::max_element(of_worker) + before_all_run < shared;
}

}  // namespace foretell
