// Inputs of rows from Python.
#pragma once

#include <vector>

#include "foretell/inputs.h"
#include "tensors.h"

namespace foretell::bindings {

// (values [K,N], level, spread, limit), the middle two None where the values are as they lie.
template <class Real>
Inputs<Real> inputs_of(nb::handle given) {
  Tensors parts(given);
  const nb::handle values = parts.take();
  const std::vector<Index> strides = strides_of(values);
  Inputs<Real> inputs;
  inputs.values = memory_of<const Real>(values);
  inputs.count = Index(nb::len(values));
  inputs.stride = strides.at(0);
  inputs.row_stride = strides.at(1);
  parts.fill({&inputs.level, &inputs.spread});
  inputs.limit = Real(nb::cast<double>(parts.take()));
  parts.end();
  return inputs;
}

}  // namespace foretell::bindings
