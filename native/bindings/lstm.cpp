// The layer for Python.  Sizes and tensors are checked by the caller (foretell.lstm.kernels).
#include "foretell/lstm.h"

#include <nanobind/nanobind.h>

#include <utility>
#include <vector>

#include "bindings.h"
#include "tensors.h"

namespace nb = nanobind;

namespace {

using foretell::Cell;
using foretell::Index;
using foretell::bindings::memory_of;
using foretell::bindings::sequence_of;
using foretell::bindings::strides_of;
using foretell::bindings::Tensors;

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

Index gates_of(const Cell& cell) {
  return Index(cell.input_gate) + Index(cell.forget_gate && !cell.coupled) + Index(cell.output_gate);
}

// A run over one layer in one or both directions, for forward and then backward.
class Run {
 public:
  Run(bool is_double, const Cell& cell, Index time, Index batch, int directions, nb::handle lengths, bool packed,
      nb::object reset, std::uint64_t seed, Index sequence)
      : is_double_(is_double), cell_(cell), directions_(directions),
        table_(time, batch, memory_of<const Index>(lengths), packed), reset_(std::move(reset)), seed_(seed),
        sequence_(sequence) {}

  Index saved_size(bool has_mask) const {
    return is_double_ ? saved_size_as<double>(has_mask) : saved_size_as<float>(has_mask);
  }
  void forward(nb::handle given, nb::handle y, nb::handle final, nb::handle saved, nb::handle activity,
               int threads) const {
    if (is_double_) forward_as<double>(given, y, final, saved, activity, threads);
    else forward_as<float>(given, y, final, saved, activity, threads);
  }
  void backward(nb::handle given, nb::handle y, nb::handle saved, nb::handle dy, nb::handle dfinal,
                nb::handle gradients, nb::handle second_dx, int threads) const {
    if (is_double_) backward_as<double>(given, y, saved, dy, dfinal, gradients, second_dx, threads);
    else backward_as<float>(given, y, saved, dy, dfinal, gradients, second_dx, threads);
  }

 private:
  // Numbers that backward wants saved for each direction.
  template <class Real>
  Index saved_size_as(bool has_mask) const {
    constexpr Real some = 0;
    foretell::Forward<Real> layer = described<Real>(0);
    layer.hidden_mask = has_mask ? &some : nullptr;
    return foretell::kernels<Real>().saved_size(layer);
  }

  template <class Real>
  foretell::Forward<Real> described(int direction) const {
    foretell::Forward<Real> layer;
    layer.cell = cell_;
    layer.rows = table_.rows;
    layer.reverse = direction == 1;
    layer.reset = memory_of<const std::uint8_t>(reset_);
    layer.seed = seed_;
    layer.sequence = sequence_ + direction;
    return layer;
  }

  // The parts of a state [D,B,...] that belong to a direction.
  template <class Real>
  void fill(Tensors& tensors, int direction, foretell::State<Real>& state) const {
    tensors.fill({&state.h, &state.c});
    if (cell_.gate_recurrence) tensors.fill({&state.gates});
    const Index before = direction * table_.rows.batch;
    if (state.h) state.h += before * cell_.outputs;
    if (state.c) state.c += before * cell_.hidden;
    if (state.gates) state.gates += before * gates_of(cell_) * cell_.hidden;
  }

  // `given`: what the layer reads, in the order of foretell.lstm.request.Request.tensors.
  template <class Real>
  std::vector<foretell::Forward<Real>> read(nb::handle given, nb::handle y, nb::handle saved) const {
    const foretell::Sequence<Real> outputs = sequence_of<Real>(y);
    std::vector<foretell::Forward<Real>> layers;
    for (int d = 0; d < directions_; ++d) {
      Tensors tensors(given);
      foretell::Forward<Real>& layer = layers.emplace_back(described<Real>(d));
      layer.x = sequence_of<const Real>(tensors.take());
      fill(tensors, d, layer.initial);
      fill(tensors, d, layer.start);
      for (int other = 0; other < directions_; ++other) {
        foretell::Parameters<const Real> weights;
        tensors.fill(weights);
        if (other == d) layer.weights = weights;
      }
      for (int other = 0; other < directions_; ++other) {
        const nb::handle mask = tensors.take();
        if (other == d) layer.hidden_mask = memory_of<const Real>(mask);
      }
      tensors.end();
      layer.y = {outputs.data + d * cell_.outputs, outputs.time, outputs.row};
      if (!saved.is_none()) layer.saved = memory_of<Real>(saved) + d * strides_of(saved).at(0);
    }
    return layers;
  }

  // `activity`: i, f, g, o, c of each direction, or nothing.
  template <class Real>
  void forward_as(nb::handle given, nb::handle y, nb::handle final, nb::handle saved, nb::handle activity,
                  int threads) const {
    std::vector<foretell::Forward<Real>> layers = read<Real>(given, y, saved);
    Tensors cells(activity);
    for (int d = 0; d < directions_; ++d) {
      Tensors finals(final);
      fill(finals, d, layers[d].final);
      finals.end();
      if (cells.at_end()) continue;
      for (Real*& part : layers[d].activity) part = memory_of<Real>(cells.take());
    }
    cells.end();
    const nb::gil_scoped_release release;
    foretell::forward(layers.data(), directions_, threads);
  }

  // `gradients`: as `given` but for the masks, which have none; those of a second direction's x are apart.
  template <class Real>
  void backward_as(nb::handle given, nb::handle y, nb::handle saved, nb::handle dy, nb::handle dfinal,
                   nb::handle gradients, nb::handle second_dx, int threads) const {
    const std::vector<foretell::Forward<Real>> layers = read<Real>(given, y, saved);
    const foretell::Sequence<const Real> outer = sequence_of<const Real>(dy);
    std::vector<foretell::Backward<Real>> runs(directions_);
    for (int d = 0; d < directions_; ++d) {
      foretell::Backward<Real>& run = runs[d];
      run.forward = layers[d];
      run.dy = {outer.data ? outer.data + d * cell_.outputs : nullptr, outer.time, outer.row};
      Tensors finals(dfinal), wanted(gradients);
      fill(finals, d, run.dfinal);
      finals.end();
      const nb::handle first_dx = wanted.take();
      run.dx = sequence_of<Real>(d == 0 ? first_dx : second_dx);
      fill(wanted, d, run.dinitial);
      fill(wanted, d, run.dstart);
      for (int other = 0; other < directions_; ++other) {
        foretell::Parameters<Real> weights;
        wanted.fill(weights);
        if (other == d) run.dweights = weights;
      }
      wanted.end();
    }
    const nb::gil_scoped_release release;
    foretell::backward(runs.data(), directions_, threads);
  }

  bool is_double_;
  Cell cell_;
  int directions_;
  RowTable table_;
  nb::object reset_;
  std::uint64_t seed_;
  Index sequence_;
};

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
  nb::class_<Run>(module, "Run")
      .def(nb::init<bool, const Cell&, Index, Index, int, nb::handle, bool, nb::object, std::uint64_t, Index>(),
           nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg().none(),
           nb::arg(), nb::arg())
      .def("saved_size", &Run::saved_size)
      .def("forward", &Run::forward, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg())
      .def("backward", &Run::backward, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(),
           nb::arg().none(), nb::arg());
}
