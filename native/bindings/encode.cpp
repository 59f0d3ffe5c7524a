// The encoding of a window for Python.  Sizes and tensors are checked by the caller (foretell.networks.encode).
#include "foretell/encode.h"

#include <nanobind/nanobind.h>

#include "bindings.h"
#include "inputs.h"

namespace nb = nanobind;

namespace {

using foretell::Index;
using foretell::bindings::inputs_of;
using foretell::bindings::memory_of;
using foretell::bindings::strides_of;

// What both passes know: inputs, weight [E,K] or its gradient, and encoded [N,E], rows anywhere, or its gradient.
template <class Call, class Real>
Call call_with(nb::handle inputs, nb::handle weight, nb::handle encoded) {
  Call call;
  call.inputs = inputs_of<Real>(inputs);
  call.rows = Index(nb::len(encoded));
  call.outputs = Index(nb::len(weight));
  call.encoded_stride = strides_of(encoded).at(0);
  return call;
}

template <class Real>
void encode(nb::handle inputs, nb::handle weight, nb::handle bias, nb::handle encoded, int threads) {
  auto call = call_with<foretell::Encoding<Real>, Real>(inputs, weight, encoded);
  call.weight = memory_of<const Real>(weight);
  call.bias = memory_of<const Real>(bias);
  call.encoded = memory_of<Real>(encoded);
  const nb::gil_scoped_release release;
  foretell::encode(call, threads);
}

template <class Real>
void encode_backward(nb::handle inputs, nb::handle d_encoded, nb::handle d_weight, nb::handle d_bias, int threads) {
  auto call = call_with<foretell::EncodingGradient<Real>, Real>(inputs, d_weight, d_encoded);
  call.d_encoded = memory_of<const Real>(d_encoded);
  call.d_weight = memory_of<Real>(d_weight);
  call.d_bias = memory_of<Real>(d_bias);
  const nb::gil_scoped_release release;
  foretell::encode_backward(call, threads);
}

}  // namespace

void bind_encode(nb::module_& module) {
  module.def("encode", [](bool is_double, nb::handle inputs, nb::handle weight, nb::handle bias, nb::handle encoded,
                          int threads) {
    (is_double ? &encode<double> : &encode<float>)(inputs, weight, bias, encoded, threads);
  });
  module.def("encode_backward", [](bool is_double, nb::handle inputs, nb::handle d_encoded, nb::handle d_weight,
                                   nb::handle d_bias, int threads) {
    (is_double ? &encode_backward<double> : &encode_backward<float>)(inputs, d_encoded, d_weight, d_bias, threads);
  });
}
