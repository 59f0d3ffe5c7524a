// Batches for Python.  Tensors are checked by the caller (foretell.jobs.forecasting.gather).
#include "foretell/gather.h"

#include <nanobind/nanobind.h>

#include <vector>

#include "bindings.h"
#include "tensors.h"

namespace nb = nanobind;

namespace {

using foretell::Index;
using foretell::bindings::memory_of;
using foretell::bindings::strides_of;
using foretell::bindings::Tensors;

// Lanes (first, begin, end, track), each [B]; parts (table, bytes of a number, to [T,B,F], F, lead, of_tracks, until,
// factor, limit).
void gather(Index count, nb::handle lanes, nb::handle parts, int threads) {
  foretell::Lanes call;
  call.count = count;
  Tensors of_lanes(lanes);
  of_lanes.fill({&call.first, &call.begin, &call.end, &call.track});
  of_lanes.end();
  std::vector<foretell::Gathered> all;
  for (nb::handle each : parts) {
    Tensors given(each);
    foretell::Gathered& part = all.emplace_back();
    part.table = memory_of<const std::byte>(given.take());
    const auto bytes = nb::cast<Index>(given.take());
    const nb::handle to = given.take();
    const std::vector<Index> strides = strides_of(to);
    part.to = memory_of<std::byte>(to);
    part.time = Index(nb::len(to));
    part.step = bytes * strides.at(0);
    part.lane = bytes * strides.at(1);
    part.width = bytes * nb::cast<Index>(given.take());
    part.lead = nb::cast<Index>(given.take());
    part.of_tracks = nb::cast<bool>(given.take());
    part.until = memory_of<const Index>(given.take());
    part.factor = memory_of<const float>(given.take());
    part.limit = nb::cast<float>(given.take());
    given.end();
  }
  const nb::gil_scoped_release release;
  foretell::gather(all.data(), int(all.size()), call, threads);
}

}  // namespace

void bind_gather(nb::module_& module) { module.def("gather", &gather); }
