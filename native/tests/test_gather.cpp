// Rows gathered for lanes against a plain loop, by one thread and by several.
#include "foretell/gather.h"

#include <algorithm>
#include <vector>

#include "cases.h"
#include "check.h"

namespace {

using foretell::Gathered;
using foretell::Lanes;

constexpr Index rows = 300, time_steps = 200, width = 5, lead = -20;
constexpr float limit = .5F;

struct Problem {
  std::vector<Index> first, begin, end, track, until;
  std::vector<float> table, factor;
};

Problem make(Index lanes) {
  Random random{std::uint64_t(lanes)};
  Problem p;
  for (Index b = 0; b < lanes; ++b) {
    p.begin.push_back(random.below(rows));
    p.end.push_back(p.begin[b] + 1 + random.below(rows - p.begin[b]));
    p.first.push_back(random.below(rows));
    p.track.push_back(rows * random.below(2));
    p.until.push_back(random.below(2 * rows) - rows / 2);
  }
  for (double value : random.vector(2 * rows * width)) p.table.push_back(float(value));
  for (double value : random.vector(2 * rows)) p.factor.push_back(float(value));
  return p;
}

// One number, and a row of numbers with their factor, each of its steps beside the other's.
std::vector<float> gathered(const Problem& p, int threads) {
  const auto lanes = Index(p.first.size());
  std::vector<float> to(time_steps * lanes * (1 + width), -9);
  Gathered number;
  number.table = reinterpret_cast<const std::byte*>(p.table.data());
  number.width = sizeof(float);
  number.of_tracks = true;
  number.until = p.until.data();
  number.lead = lead;
  number.time = time_steps;
  number.to = reinterpret_cast<std::byte*>(to.data());
  number.lane = Index(sizeof(float)) * (1 + width);
  number.step = lanes * number.lane;
  Gathered row = number;
  row.width = width * sizeof(float);
  row.of_tracks = false;
  row.factor = p.factor.data();
  row.limit = limit;
  row.to += sizeof(float);
  const Gathered parts[] = {number, row};
  foretell::gather(parts, 2, {lanes, p.first.data(), p.begin.data(), p.end.data(), p.track.data()}, threads);
  return to;
}

void compare(const Problem& p, const std::vector<float>& found) {
  const float* at = found.data();
  for (Index t = 0; t < time_steps; ++t) {
    for (std::size_t b = 0; b < p.first.size(); ++b) {
      const Index asked = p.first[b] + lead + t, row = std::clamp(asked, p.begin[b], p.end[b] - 1);
      const Index of_track = row + p.track[b];
      check(*at++ == (asked >= p.until[b] ? 0 : p.table[of_track]), "a number is that of its row");
      for (Index f = 0; f < width; ++f) {
        const float product = p.table[row * width + f] * p.factor[of_track];
        check(*at++ == (asked >= p.until[b] ? 0 : std::clamp(product, -limit, limit)), "a row is multiplied");
      }
    }
  }
}

}  // namespace

int main() {
  for (Index lanes : {1, 7, 64}) {
    const Problem p = make(lanes);
    const std::vector<float> found = gathered(p, 1);
    compare(p, found);
    for (int threads : {2, 3}) check(gathered(p, threads) == found, "any number of threads gives the same");
  }
  return failures ? 1 : 0;
}
