// What a forecaster says at every step and what that costs, in one pass: the head, its linear skips and the pinball
// loss of all quantiles, with all gradients; nothing of the size of the quantiles ever reaches memory.
//
// Sizes: N rows (pairs of step and lane), B lanes, T = N / B steps, H horizon, Q quantiles (odd), U hidden outputs, K
// inputs of a skip.  The equations are those of src/foretell/networks/head_loss.py.
#pragma once

#include "foretell/inputs.h"

namespace foretell {

// A linear map of inputs of its own, added to the medians.
template <class Real>
struct Skip {
  const Real* weight = nullptr;                         // [H,K]
  Inputs<Real> inputs;                                  // [K,N]
  Real* gradient = nullptr;                             // [H,K]
};

template <class Real>
struct HeadLoss {
  Index rows = 0, lanes = 0, horizon = 0, quantiles = 0, hidden = 0;  // N, B, H, Q, U
  const Real* values = nullptr;         // [T+H,B]  the truth, not scaled; row t is step t itself
  const Real* known = nullptr;          // [T+H,B]  1 where there is a value to learn from, else 0
  const Real* learn = nullptr;          // [N]  1 at the steps to learn from, else 0
  const Real* spread = nullptr;         // [N]  the scale of a step
  const Real* probabilities = nullptr;  // [Q]  rising, the median in the middle
  const Real* outputs = nullptr;        // [N,U]  of the LSTM
  const Real* weight = nullptr;         // [HQ,U]  of the medians, then of each median's raw distances
  const Real* bias = nullptr;           // [HQ]
  const Real* beside = nullptr;         // [H,N]  what else is added to the medians; or null
  const Skip<Real>* skips = nullptr;
  int skip_count = 0;
  std::uint64_t seed = 0;               // of the outputs that are dropped:
  int least = 0;                        // those whose random byte is below this, at most 255; 0: none

  Real* d_outputs = nullptr;            // [N,U]  null: no gradients are wanted
  Real* d_weight = nullptr;             // [HQ,U]
  Real* d_bias = nullptr;               // [HQ]
  Real* d_beside = nullptr;             // [H,N]  null if `beside` is

  bool wants_gradients() const { return d_outputs; }
};

// The mean over all targets and quantiles, doubled, and the number of targets.
struct LossAndCount {
  double loss, count;
};

template <class Real>
LossAndCount head_loss(const HeadLoss<Real>& call, int threads);

struct HeadSizes : GroupSizes {
  Index shared;  // what all threads read
};

// The kernels of one instruction set; buffers are aligned to 64 bytes.
template <class Real>
struct HeadKernels {
  HeadSizes (*sizes)(const HeadLoss<Real>&);
  void (*prepare)(const HeadLoss<Real>&, Real* shared);
  // Does a group; `scale` takes the sum over targets and quantiles to the loss.
  void (*run)(const HeadLoss<Real>&, const Real* shared, Real scale, Index group, Real* partial, Real* own);
  double (*finish)(const HeadLoss<Real>&, Real* partials);  // the loss
};

}  // namespace foretell
