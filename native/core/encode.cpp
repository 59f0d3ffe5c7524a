// Deals the parts of an encoding, and of its gradients, to threads.
#include "foretell/encode.h"

#include <algorithm>

#include "arena.h"
#include "deal.h"

namespace foretell {
namespace {

int workers_for(Index parts, double work, int threads) {
  return work < too_little ? 1 : int(std::clamp<Index>(threads, 1, parts));
}

double work_of(Index rows, Index inputs, Index outputs) { return double(rows) * double(inputs) * double(outputs); }

template <class Real>
Real* reserve(Index numbers) {
  return reinterpret_cast<Real*>(Arena::of_thread().reserve(numbers * sizeof(Real)));
}

}  // namespace

template <class Real>
void encode(const Encoding<Real>& call, int threads) {
  const EncodeKernels<Real>& run = *kernels<Real>().encode;
  const Index panels = (call.rows + run.panel_rows - 1) / run.panel_rows, scratch = run.scratch(call);
  const int workers = workers_for(panels, work_of(call.rows, call.inputs.count, call.outputs), threads);
  Real* own = reserve<Real>(workers * scratch);
  deal(panels, workers, [&](Index panel, int worker) { run.run(call, panel, own + worker * scratch); });
  Arena::of_thread().shrink();
}

template <class Real>
void encode_backward(const EncodingGradient<Real>& call, int threads) {
  const EncodeKernels<Real>& run = *kernels<Real>().encode;
  const GroupSizes size = run.backward_sizes(call);
  const int workers = workers_for(size.groups, work_of(call.rows, call.inputs.count, call.outputs), threads);
  Real* partials = reserve<Real>(size.groups * size.partial + workers * size.own);
  Real* own = partials + size.groups * size.partial;
  deal(size.groups, workers, [&](Index group, int worker) {
    run.backward(call, group, partials + group * size.partial, own + worker * size.own);
  });
  run.finish(call, partials);
  Arena::of_thread().shrink();
}

template void encode(const Encoding<float>&, int);
template void encode(const Encoding<double>&, int);
template void encode_backward(const EncodingGradient<float>&, int);
template void encode_backward(const EncodingGradient<double>&, int);

}  // namespace foretell
