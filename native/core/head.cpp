// Runs the head and its loss: counts targets, deals groups of rows to threads, and adds up what they found.
#include "foretell/head.h"

#include <algorithm>
#include <vector>

#include "arena.h"
#include "deal.h"

namespace foretell {
namespace {

// The targets to learn from: for each step those known of the H rows after it.  Small whole numbers, so sums are exact.
template <class Real>
double count_targets(const HeadLoss<Real>& call) {
  const Index lanes = call.lanes;
  std::vector<Real> ahead(lanes);
  for (Index h = 1; h <= call.horizon; ++h) {
    for (Index b = 0; b < lanes; ++b) ahead[b] += call.known[h * lanes + b];
  }
  double count = 0;
  for (Index n = 0; n < call.rows; n += lanes) {
    const Real *enters = call.known + n + (call.horizon + 1) * lanes, *leaves = call.known + n + lanes;
    for (Index b = 0; b < lanes; ++b) count += double(call.learn[n + b] * ahead[b]);
    if (n + lanes == call.rows) break;
    for (Index b = 0; b < lanes; ++b) ahead[b] += enters[b] - leaves[b];
  }
  return count;
}

}  // namespace

template <class Real>
LossAndCount head_loss(const HeadLoss<Real>& call, int threads) {
  const HeadKernels<Real>& run = *kernels<Real>().head;
  const HeadSizes size = run.sizes(call);
  const int workers = int(std::clamp<Index>(threads, 1, size.groups));
  const Index numbers = size.shared + size.groups * size.partial + workers * size.own;
  auto* shared = reinterpret_cast<Real*>(Arena::of_thread().reserve(numbers * sizeof(Real)));
  Real *partials = shared + size.shared, *own = partials + size.groups * size.partial;
  const double count = count_targets(call);
  const auto scale = Real(2 / (double(call.quantiles) * std::max(count, 1.0)));
  double loss = 0;
  run.prepare(call, shared);
  deal(size.groups, workers, [&](Index group, int worker) {
    run.run(call, shared, scale, group, partials + group * size.partial, own + worker * size.own);
  });
  loss = run.finish(call, partials);
  Arena::of_thread().shrink();
  return {loss, count};
}

template LossAndCount head_loss(const HeadLoss<float>&, int);
template LossAndCount head_loss(const HeadLoss<double>&, int);

}  // namespace foretell
