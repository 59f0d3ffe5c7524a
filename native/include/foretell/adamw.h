// A step of an optimizer over all weights at once: clipping (Pascanu et al. 2013), AdamW (Loshchilov & Hutter 2019,
// algorithm 2) and a running average (Polyak & Juditsky 1992).  The equations are those of
// src/foretell/training/optimizer.py.
#pragma once

#include "foretell/lstm.h"

namespace foretell {

// Weights that follow each other and are treated alike.
struct WeightGroup {
  Index count = 0;
  double rate = 0, decay = 0;
};

// N weights and what belongs to each.
template <class Real>
struct AdamW {
  Real* weights = nullptr;
  Real* gradients = nullptr;  // of which zeros are left
  Real* first = nullptr;      // moment
  Real* second = nullptr;
  Real* average = nullptr;
  const WeightGroup* groups = nullptr;  // of all N, in their order
  int group_count = 0;
  Index step = 1;             // how many there are with this one
  double beta_first = 0, beta_second = 0, epsilon = 0;
  double most_norm = 0;       // that gradients are clipped to
  double share = 0;           // of the way to the weights that the average goes
};

// The result does not depend on `threads`.
template <class Real>
void adamw(const AdamW<Real>& call, int threads);

// What a step multiplies by, in one group.
template <class Real>
struct AdamWFactors {
  Real clip, keep, by_first, by_second;    // keep: what decay leaves of a weight; by_first: of a new gradient
  Real beta_second, root, epsilon, rate, share;  // root: the second moment's correction; rate: with the first's
};

// The kernels of one instruction set.
template <class Real>
struct AdamWKernels {
  double (*squares)(const Real* values, Index count);  // their sum
  void (*step)(const AdamW<Real>&, const AdamWFactors<Real>&, Index first, Index count);
};

}  // namespace foretell
