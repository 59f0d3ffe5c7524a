// The head and its loss for Python.  Sizes and tensors are checked by the caller (foretell.networks.head_kernel).
#include "foretell/head.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <utility>
#include <vector>

#include "bindings.h"
#include "inputs.h"

namespace nb = nanobind;

namespace {

using foretell::HeadLoss;
using foretell::Index;
using foretell::Skip;
using foretell::bindings::inputs_of;
using foretell::bindings::memory_of;
using foretell::bindings::Tensors;

// sizes: rows, lanes, horizon, quantiles, hidden.  parts and gradients: what the loss reads and writes, in the order of
// its struct; None for what is not there or not wanted.  Each skip: weight, inputs, gradient.
template <class Real>
std::pair<double, double> run(const std::vector<Index>& sizes, nb::handle parts, nb::handle gradients, nb::handle skips,
                              std::uint64_t seed, int least, int threads) {
  HeadLoss<Real> call;
  call.rows = sizes.at(0);
  call.lanes = sizes.at(1);
  call.horizon = sizes.at(2);
  call.quantiles = sizes.at(3);
  call.hidden = sizes.at(4);
  Tensors given(parts);
  given.fill({&call.values, &call.known, &call.learn, &call.spread, &call.probabilities, &call.outputs, &call.weight,
              &call.bias, &call.beside});
  given.end();
  Tensors wanted(gradients);
  wanted.fill({&call.d_outputs, &call.d_weight, &call.d_bias, &call.d_beside});
  wanted.end();
  std::vector<Skip<Real>> all;
  for (nb::handle skip : skips) {
    Tensors of_skip(skip);
    Skip<Real>& one = all.emplace_back();
    one.weight = memory_of<const Real>(of_skip.take());
    one.inputs = inputs_of<Real>(of_skip.take());
    one.gradient = memory_of<Real>(of_skip.take());
    of_skip.end();
  }
  call.skips = all.data();
  call.skip_count = int(all.size());
  call.seed = seed;
  call.least = least;
  const nb::gil_scoped_release release;
  const foretell::LossAndCount found = foretell::head_loss(call, threads);
  return {found.loss, found.count};
}

}  // namespace

void bind_head(nb::module_& module) {
  module.def("head_loss", [](bool is_double, const std::vector<Index>& sizes, nb::handle parts, nb::handle gradients,
                             nb::handle skips, std::uint64_t seed, int least, int threads) {
    return (is_double ? &run<double> : &run<float>)(sizes, parts, gradients, skips, seed, least, threads);
  });
}
