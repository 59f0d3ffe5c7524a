// Random cases: sizes around those of a vector, options alone and together.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "layers.h"

// The same numbers everywhere (splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  Index below(Index end) { return Index(bits() % std::uint64_t(end)); }
  bool one_in(Index n) { return below(n) == 0; }

  // Numbers in [middle - size, middle + size), exact in float.
  Vector vector(Index count, double size = 1, double middle = 0) {
    Vector values(count);
    for (double& value : values) value = float(middle + size * (double(below(1 << 20)) / (1 << 19) - 1));
    return values;
  }

 private:
  std::uint64_t state_;
};

struct Sizes {
  Index time, batch, inputs, hidden;
};

constexpr std::string_view option_names[] = {
    "peepholes", "coupled", "no input gate", "no forget gate", "no output gate", "no input activation",
    "no output activation", "no bias", "reset", "lengths", "packed", "rows first", "reverse", "zoneout of h",
    "zoneout of c", "drawn zoneout", "no dy", "no dfinal",
    // No crew divides the units of what follows.
    "projection", "hidden mask", "layer norm", "gate recurrence"};
constexpr Index options_in_all = std::size(option_names), options_of_units = options_in_all - 4;

using Chosen = std::set<std::string_view>;

inline foretell::Cell make_cell(Random& random, const Sizes& sizes, const Chosen& chosen) {
  const auto has = [&](std::string_view name) { return chosen.contains(name); };
  foretell::Cell cell;
  cell.inputs = sizes.inputs;
  cell.hidden = cell.outputs = sizes.hidden;
  cell.coupled = has("coupled");
  cell.input_gate = cell.coupled || !has("no input gate");
  cell.forget_gate = cell.coupled || !has("no forget gate");
  cell.output_gate = !has("no output gate");
  cell.input_activation = !has("no input activation");
  cell.output_activation = !has("no output activation");
  const bool has_gates = reference::Blocks(cell).gates > 0;
  cell.peepholes = has("peepholes") && has_gates;
  cell.gate_recurrence = has("gate recurrence") && has_gates;
  cell.layer_norm = has("layer norm");
  cell.projection = has("projection");
  if (cell.projection) cell.outputs = 1 + random.below(sizes.hidden);
  if (has("zoneout of h")) cell.zoneout_h = 0.3;
  if (has("zoneout of c")) cell.zoneout_c = 0.4;
  cell.draws = has("drawn zoneout");
  return cell;
}

inline reference::Weights draw_weights(Random& random, const foretell::Cell& cell, bool has_bias) {
  const reference::Blocks at(cell);
  const Index H = cell.hidden, rows = at.blocks * H, gates = at.gates * H;
  const double size = 1.5 / std::sqrt(double(H));
  reference::Weights w;
  w.weight_ih = random.vector(rows * cell.inputs);
  w.weight_hh = random.vector(rows * cell.outputs, size);
  if (has_bias) w.bias_ih = random.vector(rows, 0.5);
  if (has_bias) w.bias_hh = random.vector(rows, 0.5);
  if (cell.projection) w.weight_hr = random.vector(cell.outputs * H, size);
  if (cell.peepholes) w.peephole = random.vector(gates);
  if (cell.gate_recurrence) w.weight_gate = random.vector(gates * gates, size);
  if (!cell.layer_norm) return w;
  w.norm_ih = random.vector(rows, 0.5, 1);
  w.norm_hh = random.vector(rows, 0.5, 1);
  w.norm_c = random.vector(H, 0.5, 1);
  if (has_bias) w.bias_c = random.vector(H, 0.5);
  return w;
}

inline reference::State draw_state(Random& random, const reference::Problem& p, double middle = 0) {
  const Index gates = p.cell.gate_recurrence ? reference::Blocks(p.cell).gates : 0;
  return {random.vector(p.batch * p.cell.outputs), random.vector(p.batch * p.cell.hidden),
          random.vector(p.batch * gates * p.cell.hidden, 0.5, middle)};
}

inline std::vector<Index> draw_lengths(Random& random, const Sizes& sizes, const Chosen& chosen) {
  std::vector<Index> lengths(sizes.batch, sizes.time);
  const bool packed = chosen.contains("packed");
  if (!packed && !chosen.contains("lengths")) return lengths;
  for (Index& length : lengths) length = packed ? 1 + random.below(sizes.time) : random.below(sizes.time + 1);
  if (packed) std::ranges::sort(lengths, std::greater());
  return lengths;
}

inline Case make_case(Random& random, const Sizes& sizes, const Chosen& chosen) {
  const auto has = [&](std::string_view name) { return chosen.contains(name); };
  Case made;
  reference::Problem& p = made.problem;
  p.time = sizes.time;
  p.batch = sizes.batch;
  p.cell = make_cell(random, sizes, chosen);
  p.lengths = draw_lengths(random, sizes, chosen);
  p.reverse = has("reverse");
  p.seed = random.bits();
  p.sequence = random.below(4);
  p.first_step = random.below(1000);
  if (p.cell.draws && p.seed % 2) {  // turned around
    Random own(p.seed);
    for (Index b = 0; b < p.batch; ++b) p.ends.push_back(p.first_step + own.below(2 * p.time));
  }
  p.x = random.vector(p.time * p.batch * p.cell.inputs);
  p.weights = draw_weights(random, p.cell, !has("no bias"));
  p.initial = draw_state(random, p, 0.5);
  if (has("hidden mask")) p.hidden_mask = random.vector(p.batch * p.cell.outputs);
  if (has("reset")) {
    p.start = draw_state(random, p, 0.5);
    for (Index n = 0; n < p.time * p.batch; ++n) p.reset.push_back(random.one_in(3));
  }
  made.order = has("packed") ? Order::packed : has("rows first") ? Order::rows_first : Order::steps_first;
  if (!has("no dy")) made.dy = random.vector(p.time * p.batch * p.cell.outputs);
  if (!has("no dfinal")) made.dfinal = draw_state(random, p);
  for (const auto& [letter, size] : {std::pair{'T', p.time}, {'B', p.batch}, {'I', p.cell.inputs},
                                     {'H', p.cell.hidden}, {'R', p.cell.outputs}}) {
    made.name += letter + std::to_string(size) + ' ';
  }
  for (std::string_view name : chosen) made.name += std::string(name) + ", ";
  return made;
}

// Case `number` of a series: first each option alone, then several together; every sixth longer than a chunk of
// backward, and of the others every seventh wider than a partial sum of a product, and every eighth of so many rows that
// they make more than two groups.  `has_few_bits`: for bfloat16, whose rounding some of them would magnify until
// nothing is left to compare.
inline Case draw_case(Index number, bool has_few_bits = false) {
  Random random{std::uint64_t(number)};
  constexpr Index hidden[] = {33, 17, 7, 16, 3, 1};
  const bool is_long = number % 6 == 5;
  const Index usual = hidden[is_long ? 2 : number % 5 + (number / 5) % 2];
  const bool is_tall = number % 8 == 3 && !is_long;
  Sizes sizes{is_long ? 115 + random.below(5) : 3 + random.below(4),
              is_long ? 9 : is_tall ? 32 + random.below(40) : 1 + random.below(9), 1 + random.below(9),
              number % 7 == 6 && !is_long ? 100 : usual};
  Chosen chosen;
  if (number < options_in_all) chosen.insert(option_names[number]);
  else {
    const Index among = number % 2 ? options_in_all : options_of_units;
    for (Index n = 0; n < among; ++n) {
      if (random.one_in(3)) chosen.insert(option_names[n]);
    }
  }
  if (is_long) {  // many steps without bounds, or that normalise next to nothing, would magnify every rounding
    chosen.erase("no input activation");
    if (chosen.contains("layer norm")) chosen.erase("projection");
    if (has_few_bits && chosen.contains("layer norm") && chosen.contains("no forget gate")) {
      chosen.erase("layer norm");
      chosen.erase("no forget gate");
    }
  }
  // The norm of a single input hardly depends on it: what gradient is left is rounding.
  if (has_few_bits && chosen.contains("layer norm")) sizes.inputs = std::max<Index>(2, sizes.inputs);
  return make_case(random, sizes, chosen);
}
