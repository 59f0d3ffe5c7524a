// A stretch of an optimizer's step, each number read and written once.
#pragma once

#include "foretell/adamw.h"
#include "simd.h"

namespace foretell::FORETELL_VARIANT {

// Calls each(at, lanes) for the vectors of [begin, begin + count), the last perhaps not whole.
template <class Real, class Function>
inline void each_vector(Index begin, Index count, const Function& each) {
  constexpr int V = lanes<Real>;
  const Index end = begin + count;
  for (; begin + V <= end; begin += V) each(begin, V);
  if (begin < end) each(begin, int(end - begin));
}

template <class Real>
double sum_of_squares(const Real* values, Index count) {
  Vec<Real> total{};
  each_vector<Real>(0, count, [&](Index at, int present) {
    const Vec<Real> value = load(values + at, present);
    total = fma(value, value, total);
  });
  return double(sum<Real>(total));
}

template <class Real>
void step_weights(const AdamW<Real>& call, const AdamWFactors<Real>& by, Index first, Index count) {
  const Vec<Real> clip = all(by.clip), keep = all(by.keep), by_first = all(by.by_first), by_second = all(by.by_second);
  const Vec<Real> beta_second = all(by.beta_second), root = all(by.root), epsilon = all(by.epsilon);
  const Vec<Real> rate = all(-by.rate), share = all(by.share);
  each_vector<Real>(first, count, [&](Index at, int present) {
    const Vec<Real> gradient = clip * load(call.gradients + at, present);
    const Vec<Real> before = load(call.first + at, present), average = load(call.average + at, present);
    const Vec<Real> mean = fma(by_first, gradient - before, before);
    const Vec<Real> square = fma(by_second * gradient, gradient, beta_second * load(call.second + at, present));
    const Vec<Real> change = mean / fma(square_root(square), root, epsilon);
    const Vec<Real> weight = fma(rate, change, keep * load(call.weights + at, present));
    store(call.first + at, mean, present);
    store(call.second + at, square, present);
    store(call.weights + at, weight, present);
    store(call.average + at, fma(share, weight - average, average), present);
    store(call.gradients + at, Vec<Real>{}, present);
  });
}

template <class Real>
constexpr AdamWKernels<Real> adamw_kernels = {sum_of_squares<Real>, step_weights<Real>};

}  // namespace foretell::FORETELL_VARIANT
