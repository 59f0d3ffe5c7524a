// A linear map of inputs that are scaled where they are used: what a forecaster sees of its window.
#pragma once

#include "foretell/inputs.h"

namespace foretell {

// Sizes: N rows, K inputs, E outputs.
template <class Real>
struct Encoding {
  Inputs<Real> inputs;           // [K,N]
  Index rows = 0, outputs = 0;   // N, E
  const Real* weight = nullptr;  // [E,K]
  const Real* bias = nullptr;    // [E]
  Real* encoded = nullptr;       // [N,E]
  Index encoded_stride = 0;      // from row to row
};

template <class Real>
struct EncodingGradient {
  Inputs<Real> inputs;
  Index rows = 0, outputs = 0;
  const Real* d_encoded = nullptr;  // [N,E]
  Index encoded_stride = 0;
  Real* d_weight = nullptr;         // [E,K]
  Real* d_bias = nullptr;           // [E]
};

template <class Real>
void encode(const Encoding<Real>& call, int threads);
template <class Real>
void encode_backward(const EncodingGradient<Real>& call, int threads);

// The kernels of one instruction set.  Work comes in parts that know nothing of each other: panels of rows forward,
// groups of rows backward.
template <class Real>
struct EncodeKernels {
  Index panel_rows;
  Index (*scratch)(const Encoding<Real>&);  // numbers that a thread needs
  void (*run)(const Encoding<Real>&, Index panel, Real* own);
  GroupSizes (*backward_sizes)(const EncodingGradient<Real>&);
  void (*backward)(const EncodingGradient<Real>&, Index group, Real* partial, Real* own);
  void (*finish)(const EncodingGradient<Real>&, Real* partials);
};

}  // namespace foretell
