// The head and its loss for Python: sizes and addresses come as numbers, checked by the caller
// (foretell.networks.head_kernel).
#include "foretell/head.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <utility>
#include <vector>

#include "addresses.h"
#include "bindings.h"

namespace nb = nanobind;

namespace {

using foretell::HeadLoss;
using foretell::Index;
using foretell::Skip;
using foretell::bindings::Address;
using foretell::bindings::Addresses;

// sizes: rows, lanes, horizon, quantiles, hidden.  parts and gradients: what the loss reads and writes, in the order of
// its struct; 0 for what is not there or not wanted.  Each skip: weight, inputs, features, strides, gradient.
template <class Real>
std::pair<double, double> run(const std::vector<Index>& sizes, const std::vector<Address>& parts,
                              const std::vector<Address>& gradients, const std::vector<std::vector<Address>>& skips,
                              std::uint64_t seed, int least, int threads) {
  HeadLoss<Real> call;
  call.rows = sizes.at(0);
  call.lanes = sizes.at(1);
  call.horizon = sizes.at(2);
  call.quantiles = sizes.at(3);
  call.hidden = sizes.at(4);
  Addresses<Real> addresses(parts);
  for (const Real** part : {&call.values, &call.known, &call.learn, &call.spread, &call.probabilities, &call.outputs,
                            &call.weight, &call.bias, &call.beside}) {
    *part = addresses.next();
  }
  addresses.end();
  Addresses<Real> results(gradients);
  for (Real** part : {&call.d_outputs, &call.d_weight, &call.d_bias, &call.d_beside}) *part = results.next();
  results.end();
  std::vector<Skip<Real>> all;
  for (const std::vector<Address>& skip : skips) {
    Addresses<Real> of_skip(skip);
    Skip<Real>& one = all.emplace_back();
    one.weight = of_skip.next();
    one.inputs = of_skip.next();
    for (Index* size : {&one.features, &one.feature_stride, &one.row_stride}) *size = Index(of_skip.take());
    one.gradient = of_skip.next();
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
  module.def("head_loss", [](bool is_double, const std::vector<Index>& sizes, const std::vector<Address>& parts,
                             const std::vector<Address>& gradients, const std::vector<std::vector<Address>>& skips,
                             std::uint64_t seed, int least, int threads) {
    return (is_double ? &run<double> : &run<float>)(sizes, parts, gradients, skips, seed, least, threads);
  });
}
