// The optimizer's step for Python.  Tensors are checked by the caller (foretell.training.optimizer).
#include "foretell/adamw.h"

#include <nanobind/nanobind.h>

#include <vector>

#include "bindings.h"
#include "tensors.h"

namespace nb = nanobind;

namespace {

using foretell::Index;
using foretell::bindings::Tensors;

// `tensors` in the order of the struct; groups (count, rate, decay); constants (betas, epsilon, most_norm, share).
template <class Real>
void step(nb::handle tensors, nb::handle groups, nb::handle constants, Index number, int threads) {
  foretell::AdamW<Real> call;
  Tensors flat(tensors);
  flat.fill({&call.weights, &call.gradients, &call.first, &call.second, &call.average});
  flat.end();
  std::vector<foretell::WeightGroup> all;
  for (nb::handle group : groups) {
    all.push_back({nb::cast<Index>(group[0]), nb::cast<double>(group[1]), nb::cast<double>(group[2])});
  }
  call.groups = all.data();
  call.group_count = int(all.size());
  call.step = number;
  Tensors given(constants);
  for (double* one : {&call.beta_first, &call.beta_second, &call.epsilon, &call.most_norm, &call.share}) {
    *one = nb::cast<double>(given.take());
  }
  given.end();
  const nb::gil_scoped_release release;
  foretell::adamw(call, threads);
}

}  // namespace

void bind_adamw(nb::module_& module) {
  module.def("adamw", [](bool is_double, nb::handle tensors, nb::handle groups, nb::handle constants, Index number,
                         int threads) {
    (is_double ? &step<double> : &step<float>)(tensors, groups, constants, number, threads);
  });
}
