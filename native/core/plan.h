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

// Of the weights of a block for one factor of a row.
inline double panel_bytes(const ProductCost& of) { return 4.0 * double(of.lanes * of.bytes); }

// What a step costs in cycles, about, when each member has `rows` rows and `blocks` blocks of four gates: products, or
// for the first tile the weights' way from the caches, whichever takes longer.  `depth`: factors; `vector`: bytes.  Of
// weights that do not fit L2 beside all else a part stays there, for they are read to and fro.
inline double step_cost(const ProductCost& of, double rows, double blocks, double depth, double vector,
                        double member_bytes) {
  const double of_l1 = 1.6 * vector, of_l2 = 0.7 * vector, of_l3 = 12;  // bytes a cycle
  const double panel = panel_bytes(of);
  constexpr double l1 = 40 << 10;
  static const double near = 0.75 * second_cache_bytes();
  const double far = std::max(0.0, 1 - near / member_bytes);
  const double way = member_bytes <= l1 ? panel / of_l1 : panel * (far / of_l3 + (1 - far) / of_l2);
  const double tiles = std::ceil(rows / double(of.tile_rows));
  const double product = of.tile_cycles > 0 ? of.tile_cycles : 2 * rows / tiles;
  const double activations = 60 * rows * blocks;
  return blocks * depth * (std::max(product, way) + (tiles - 1) * product) + activations;
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
Plan choose_plan(const Forward<Number>& layer, const ProductCost& of, int directions, int threads) {
  const Cell& cell = layer.cell;
  const Rows& rows = layer.rows;
  const double depth = double(cell.outputs) / double(of.together), pairs = double(rows.first[rows.time]);
  if (threads <= 1 || work_of(layer) * directions < too_little) return {};
  Plan plan;
  plan.teams = directions == 2 ? 2 : 1;
  const int available = threads / plan.teams;
  const Index blocks = (cell.hidden + of.lanes - 1) / of.lanes;
  const double vector = double(of.lanes) * sizeof(Wide<Number>);
  const double weights = depth * panel_bytes(of) * double(blocks);
  const auto cost = [&](double own_rows, double own_blocks, double own_weights) {
    return step_cost(of, own_rows, own_blocks, depth, vector, own_weights);
  };
  const bool needs_rows = cell.layer_norm || cell.projection || cell.gate_recurrence || layer.hidden_mask;
  constexpr double worthwhile = 0.85;  // of one thread's cost
  constexpr double clearly = 0.95;     // of the cost by rows, whose members read nothing that another core wrote
  const int by_rows = int(std::min<Index>(available, rows.batch));
  const int by_units = needs_rows ? 1 : int(std::min<Index>(available, blocks));
  const double batch = std::max(1.0, pairs / double(rows.time));
  const double alone = cost(batch, double(blocks), weights);
  const double rows_cost = cost(std::ceil(batch / by_rows), double(blocks), weights);
  double units_cost = cost(batch, std::ceil(double(blocks) / by_units), weights / by_units);
  if (of.copies_gates) {
    constexpr double of_others = 4;  // bytes a cycle that come from another core
    const double gates = 4.0 * double(cell.hidden) / double(of.together) * double(of.bytes);
    units_cost += batch * gates * (1 - 1.0 / by_units) / of_others;
  }
  if (units_cost < std::min(clearly * rows_cost, worthwhile * alone)) units_cost += meeting_cost(by_units);
  if (std::min(rows_cost, units_cost) > worthwhile * alone) return plan;
  plan.split = units_cost < clearly * rows_cost ? Split::units : Split::rows;
  plan.members = plan.split == Split::rows ? by_rows : by_units;
  return plan;
}

// What the products of a pass take.
template <class Number>
ProductCost cost_of(const Forward<Number>&) {
  return kernels<Number>().cost;
}

template <class Number>
ProductCost cost_of(const Backward<Number>& layer) {
  return kernels<Number>().backward.cost(layer);
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
    const int members = choose_plan(layer, cost_of(layers[n]), 1, threads).members;
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
