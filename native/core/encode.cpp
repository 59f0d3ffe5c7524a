// Deals the parts of an encoding, and of its gradients, to threads.
#include "foretell/encode.h"

#include <algorithm>

#include "arena.h"
#include "deal.h"

namespace foretell {
namespace {

// Calls each(part, the thread's scratch) for every part.
template <class Real, class Function>
void deal_with_scratch(Index parts, Index scratch, double work, int threads, const Function& each) {
  const int workers = work < too_little ? 1 : int(std::clamp<Index>(threads, 1, parts));
  auto* own = reinterpret_cast<Real*>(Arena::of_thread().reserve(workers * scratch * sizeof(Real)));
  deal(parts, workers, [&](Index part, int worker) { each(part, own + worker * scratch); });
  Arena::of_thread().shrink();
}

double work_of(Index rows, Index inputs, Index outputs) { return double(rows) * double(inputs) * double(outputs); }

}  // namespace

template <class Real>
void encode(const Encoding<Real>& call, int threads) {
  const EncodeKernels<Real>& run = *kernels<Real>().encode;
  const Index panels = (call.rows + run.panel_rows - 1) / run.panel_rows;
  deal_with_scratch<Real>(panels, run.scratch(call), work_of(call.rows, call.inputs.count, call.outputs), threads,
                          [&](Index panel, Real* own) { run.run(call, panel, own); });
}

template <class Real>
void encode_backward(const EncodingGradient<Real>& call, int threads) {
  const EncodeKernels<Real>& run = *kernels<Real>().encode;
  // Each part passes over all rows' gradients, so they are few; no sum depends on how inputs are divided.
  constexpr Index most = 128;  // inputs of a part: those of a chunk of rows stay in the cache
  const Index inputs = call.inputs.count;
  const Index parts = std::max((inputs + most - 1) / most, std::min<Index>(threads, inputs));
  const double work = work_of(call.rows, inputs, call.outputs);
  deal_with_scratch<Real>(parts, run.backward_scratch(call, inputs / parts + 1), work, threads,
                          [&](Index part, Real* own) {
                            run.backward(call, inputs * part / parts, inputs * (part + 1) / parts, own);
                          });
}

template void encode(const Encoding<float>&, int);
template void encode(const Encoding<double>&, int);
template void encode_backward(const EncodingGradient<float>&, int);
template void encode_backward(const EncodingGradient<double>&, int);

}  // namespace foretell
