// The Python module foretell._native: a thin layer over the core.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "foretell/cpu.h"

NB_MODULE(_native, module) {
  nanobind::set_leak_warnings(false);  // Python keeps cells until the process ends
  module.def("features", &foretell::features);
  module.def("variants", [] {
    std::vector<std::string_view> names;
    for (const foretell::Variant* variant : foretell::supported_variants()) names.push_back(variant->name);
    return names;
  });
  module.def("active", [] { return foretell::active().name; });
  bind_lstm(module);
  bind_memory(module);
  bind_stepper(module);
  bind_head(module);
  bind_encode(module);
  bind_adamw(module);
  bind_gather(module);
}
