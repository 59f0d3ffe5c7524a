// The layer for Python: sizes and addresses come as numbers, checked by the caller (foretell.lstm.kernels).
#include "foretell/lstm.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <vector>

#include "addresses.h"
#include "bindings.h"

namespace nb = nanobind;

namespace {

using foretell::Cell;
using foretell::Index;
using foretell::bindings::Address;
using foretell::bindings::Addresses;

// Which pairs of step and row there are: `lengths` [B] or null, rows sorted by length, the longest first.
class RowTable {
 public:
  RowTable(Index time, Index batch, const Index* lengths, bool packed) {
    first_.resize(time + 1);
    if (lengths) sort(time, batch, lengths);
    else for (Index t = 0; t <= time; ++t) first_[t] = t * batch;
    rows.time = time;
    rows.batch = batch;
    rows.first = first_.data();
    rows.order = order_.empty() || packed ? nullptr : order_.data();
    rows.packed = packed;
  }
  RowTable(const RowTable&) = delete;

  foretell::Rows rows;

 private:
  void sort(Index time, Index batch, const Index* lengths) {
    std::vector<Index> longer(time + 1);  // rows of at least t + 1 steps, then where those of t steps begin
    for (Index b = 0; b < batch; ++b) ++longer[lengths[b]];
    Index rows_left = 0;
    std::vector<Index> place(time + 1);
    for (Index t = time; t >= 0; --t) {
      place[t] = rows_left;
      rows_left += longer[t];
    }
    order_.resize(batch);
    std::vector<Index> next = place;
    for (Index b = 0; b < batch; ++b) order_[next[lengths[b]]++] = b;
    for (Index t = 0; t < time; ++t) first_[t + 1] = first_[t] + place[t];
  }

  std::vector<Index> first_, order_;
};

struct Call {
  Index time, batch;
  bool packed;
  Address lengths, reset;
  std::uint64_t seed;
  Index sequence;
  Address x;
  Index x_time, x_row;
  Address y;
  Index y_time, y_row;
  int threads;
};

template <class Real>
foretell::Forward<Real> forward_of(const Cell& cell, const Call& call, const foretell::Rows& rows, int direction,
                                   Addresses<Real>& addresses) {
  foretell::Forward<Real> layer;
  layer.cell = cell;
  layer.rows = rows;
  layer.reverse = direction == 1;
  layer.reset = reinterpret_cast<const std::uint8_t*>(call.reset);
  layer.seed = call.seed;
  layer.sequence = call.sequence + direction;
  layer.x = {reinterpret_cast<const Real*>(call.x), call.x_time, call.x_row};
  layer.y = {reinterpret_cast<Real*>(call.y) + direction * cell.outputs, call.y_time, call.y_row};
  addresses.fill(layer.weights);
  layer.hidden_mask = addresses.next();
  addresses.fill(layer.initial);
  addresses.fill(layer.start);
  addresses.fill(layer.final);
  layer.saved = addresses.next();
  for (Real*& part : layer.activity) part = addresses.next();
  return layer;
}

template <class Real>
void run_forward(const Cell& cell, const Call& call, const std::vector<std::vector<Address>>& directions) {
  const RowTable table(call.time, call.batch, reinterpret_cast<const Index*>(call.lengths), call.packed);
  foretell::Forward<Real> layers[2];
  for (std::size_t d = 0; d < directions.size(); ++d) {
    Addresses<Real> addresses(directions[d]);
    layers[d] = forward_of(cell, call, table.rows, int(d), addresses);
    addresses.end();
  }
  foretell::forward(layers, int(directions.size()), call.threads);
}

template <class Real>
void run_backward(const Cell& cell, const Call& call, const std::vector<std::vector<Address>>& directions) {
  const RowTable table(call.time, call.batch, reinterpret_cast<const Index*>(call.lengths), call.packed);
  foretell::Backward<Real> layers[2];
  for (std::size_t d = 0; d < directions.size(); ++d) {
    Addresses<Real> addresses(directions[d]);
    foretell::Backward<Real>& layer = layers[d];
    layer.forward = forward_of(cell, call, table.rows, int(d), addresses);
    layer.dy.data = addresses.next();
    layer.dy.time = Index(addresses.take());
    layer.dy.row = Index(addresses.take());
    if (layer.dy.data) layer.dy.data += Index(d) * cell.outputs;
    addresses.fill(layer.dfinal);
    layer.dx.data = addresses.next();
    layer.dx.time = Index(addresses.take());
    layer.dx.row = Index(addresses.take());
    addresses.fill(layer.dinitial);
    addresses.fill(layer.dstart);
    addresses.fill(layer.dweights);
    addresses.end();
  }
  foretell::backward(layers, int(directions.size()), call.threads);
}

// Numbers that backward wants saved for each direction.
Index saved_size(bool is_double, const Cell& cell, Index time, Index batch, Address lengths, bool has_mask) {
  const RowTable table(time, batch, reinterpret_cast<const Index*>(lengths), false);
  const auto size = [&]<class Real>(foretell::Forward<Real> layer, const Real* mask) {
    layer.cell = cell;
    layer.rows = table.rows;
    layer.hidden_mask = has_mask ? mask : nullptr;
    return foretell::kernels<Real>().saved_size(layer);
  };
  constexpr float some_float = 0;
  constexpr double some_double = 0;
  return is_double ? size(foretell::Forward<double>(), &some_double) : size(foretell::Forward<float>(), &some_float);
}

}  // namespace

void bind_lstm(nb::module_& module) {
  nb::class_<Cell>(module, "Cell")
      .def(nb::init<>())
      .def_rw("inputs", &Cell::inputs)
      .def_rw("hidden", &Cell::hidden)
      .def_rw("outputs", &Cell::outputs)
      .def_rw("input_gate", &Cell::input_gate)
      .def_rw("forget_gate", &Cell::forget_gate)
      .def_rw("output_gate", &Cell::output_gate)
      .def_rw("coupled", &Cell::coupled)
      .def_rw("input_activation", &Cell::input_activation)
      .def_rw("output_activation", &Cell::output_activation)
      .def_rw("peepholes", &Cell::peepholes)
      .def_rw("gate_recurrence", &Cell::gate_recurrence)
      .def_rw("layer_norm", &Cell::layer_norm)
      .def_rw("projection", &Cell::projection)
      .def_rw("zoneout_h", &Cell::zoneout_h)
      .def_rw("zoneout_c", &Cell::zoneout_c)
      .def_rw("draws", &Cell::draws);
  nb::class_<Call>(module, "Call")
      .def("__init__",
           [](Call* self, Index time, Index batch, bool packed, Address lengths, Address reset, std::uint64_t seed,
              Index sequence, Address x, Index x_time, Index x_row, Address y, Index y_time, Index y_row,
              int threads) {
             new (self) Call{time, batch, packed, lengths, reset, seed, sequence, x, x_time, x_row, y, y_time, y_row,
                             threads};
           });
  module.def("saved_size", &saved_size);
  module.def("forward", [](bool is_double, const Cell& cell, const Call& call,
                           const std::vector<std::vector<Address>>& directions) {
    nb::gil_scoped_release release;
    if (is_double) run_forward<double>(cell, call, directions);
    else run_forward<float>(cell, call, directions);
  });
  module.def("backward", [](bool is_double, const Cell& cell, const Call& call,
                            const std::vector<std::vector<Address>>& directions) {
    nb::gil_scoped_release release;
    if (is_double) run_backward<double>(cell, call, directions);
    else run_backward<float>(cell, call, directions);
  });
}
