// Deals the stretches of an optimizer's step to threads.
#include "foretell/adamw.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "deal.h"

namespace foretell {
namespace {

constexpr Index stretch = 4096;  // numbers
constexpr double cost = 40;      // of one, in multiply-adds: it waits for a root, a quotient and memory

// Numbers of one group.
struct Part {
  int group;
  Index first, count;
};

template <class Real>
std::vector<Part> cut(const AdamW<Real>& call) {
  std::vector<Part> parts;
  Index first = 0;
  for (int group = 0; group < call.group_count; ++group) {
    const Index end = first + call.groups[group].count;
    for (; first < end; first += stretch) parts.push_back({group, first, std::min(stretch, end - first)});
    first = end;
  }
  return parts;
}

// What gradients of this norm are multiplied by; NaN if it is.
double clip_of(double norm, double most) {
  const double factor = most / (norm + 1e-6);
  return factor >= 1 ? 1 : factor;
}

template <class Real>
AdamWFactors<Real> factors(const AdamW<Real>& call, const WeightGroup& group, double clip) {
  const double step = double(call.step);
  const double first = 1 - std::pow(call.beta_first, step), second = 1 - std::pow(call.beta_second, step);
  return {Real(clip), Real(1 - group.rate * group.decay), Real(1 - call.beta_first), Real(1 - call.beta_second),
          Real(call.beta_second), Real(1 / std::sqrt(second)), Real(call.epsilon), Real(group.rate / first),
          Real(call.share)};
}

}  // namespace

template <class Real>
void adamw(const AdamW<Real>& call, int threads) {
  const AdamWKernels<Real>& run = *kernels<Real>().adamw;
  const std::vector<Part> parts = cut(call);
  const auto count = Index(parts.size());
  const bool is_worth_threads = double(count) * stretch * cost > 2 * too_little;
  const int workers = is_worth_threads ? int(std::clamp<Index>(threads, 1, count)) : 1;
  std::vector<double> squares(parts.size());
  deal(count, workers, [&](Index n, int) { squares[n] = run.squares(call.gradients + parts[n].first, parts[n].count); });
  double total = 0;
  for (double part : squares) total += part;
  std::vector<AdamWFactors<Real>> by;
  for (int group = 0; group < call.group_count; ++group) {
    by.push_back(factors(call, call.groups[group], clip_of(std::sqrt(total), call.most_norm)));
  }
  deal(count, workers, [&](Index n, int) { run.step(call, by[parts[n].group], parts[n].first, parts[n].count); });
}

template void adamw(const AdamW<float>&, int);
template void adamw(const AdamW<double>&, int);

}  // namespace foretell
