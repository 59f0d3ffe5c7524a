// A stack of layers for Python.  Sizes and tensors are checked by the caller (foretell.lstm.kernels).
#include "foretell/lstm.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

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

// A run over a stack, for forward and then backward: one layer in one or both directions, or several in one.
class Run {
  template <class Work>
  auto by_type(const Work& work) const {
    switch (bytes_) {
      case 2: return work.template operator()<foretell::BFloat16>();
      case 4: return work.template operator()<float>();
      default: return work.template operator()<double>();
    }
  }

 public:
  // `bytes`: of a number of x.
  Run(int bytes, std::vector<Cell> cells, Index time, Index batch, int directions, nb::handle lengths, bool packed,
      nb::object reset, std::uint64_t seed, Index sequence, Index first_step, nb::object ends, Index data_begin,
      Index data_end)
      : bytes_(bytes), cells_(std::move(cells)), directions_(directions), sequences_(cells_.size() * directions),
        table_(time, batch, memory_of<const Index>(lengths), packed), reset_(std::move(reset)), seed_(seed),
        sequence_(sequence), first_step_(first_step), ends_(std::move(ends)), data_begin_(data_begin),
        data_end_(data_end) {}

  Index saved_size(bool has_mask) const {
    return by_type([&]<class Number>() { return saved_size_as<Number>(has_mask); });
  }
  bool runs_at_once(int threads) const {
    return by_type([&]<class Number>() { return runs_at_once_as<Number>(threads); });
  }
  void forward(nb::handle given, nb::handle y, nb::handle final, nb::handle saved, nb::handle activity,
               int threads) const {
    by_type([&]<class Number>() { forward_as<Number>(given, y, final, saved, activity, threads); });
  }
  void backward(nb::handle given, nb::handle y, nb::handle saved, nb::handle dy, nb::handle dfinal,
                nb::handle gradients, nb::handle dx, int threads) const {
    by_type([&]<class Number>() { backward_as<Number>(given, y, saved, dy, dfinal, gradients, dx, threads); });
  }

 private:
  // A state [S,B,...] of all sequences.
  template <class Real>
  foretell::State<Real> take_state(Tensors& tensors) const {
    foretell::State<Real> state;
    tensors.fill({&state.h, &state.c});
    if (cells_[0].gate_recurrence) tensors.fill({&state.gates});
    return state;
  }

  // The part of it that belongs to one of them.
  template <class Real>
  foretell::State<Real> part_of(foretell::State<Real> state, int sequence) const {
    const Cell& cell = cells_[0];  // all of a stack are alike, but for their inputs
    const Index before = sequence * table_.rows.batch;
    if (state.h) state.h += before * cell.outputs;
    if (state.c) state.c += before * cell.hidden;
    if (state.gates) state.gates += before * gates_of(cell) * cell.hidden;
    return state;
  }

  // Of a layer's outputs or their gradient, those of a sequence's direction.
  template <class Number>
  foretell::Sequence<Number> outputs_of(nb::handle layer, int sequence) const {
    foretell::Sequence<Number> found = sequence_of<Number>(layer);
    if (found.data) found.data += sequence % directions_ * cells_[0].outputs;
    return found;
  }

  // Numbers that backward wants saved for each sequence.
  template <class Number>
  Index saved_size_as(bool has_mask) const {
    constexpr foretell::Wide<Number> some = 0;
    foretell::Forward<Number> layer = described<Number>(0);
    layer.hidden_mask = has_mask ? &some : nullptr;
    return foretell::kernels<Number>().saved_size(layer);
  }

  template <class Number>
  bool runs_at_once_as(int threads) const {
    std::vector<foretell::Forward<Number>> layers;
    for (int s = 0; s < sequences_; ++s) layers.push_back(described<Number>(s));
    return directions_ == 1 && foretell::runs_at_once(layers.data(), sequences_, threads);
  }

  template <class Number>
  foretell::Forward<Number> described(int sequence) const {
    foretell::Forward<Number> layer;
    layer.cell = cells_[sequence / directions_];
    layer.rows = table_.rows;
    layer.reverse = sequence % directions_ == 1;
    layer.reset = memory_of<const std::uint8_t>(reset_);
    layer.seed = seed_;
    layer.sequence = sequence_ + sequence;
    layer.first_step = first_step_;
    layer.ends = memory_of<const Index>(ends_);
    return layer;
  }

  // `given`: what the stack reads, in the order of foretell.lstm.request.Request.tensors; `y`: of each layer.
  template <class Number>
  std::vector<foretell::Forward<Number>> read(nb::handle given, nb::handle y, nb::handle saved) const {
    using Real = foretell::Wide<Number>;
    Tensors tensors(given), outputs(y);
    std::vector<foretell::Forward<Number>> layers;
    const auto x = sequence_of<const Number>(tensors.take());
    const auto initial = take_state<const Real>(tensors), start = take_state<const Real>(tensors);
    nb::handle above, below;
    for (int s = 0; s < sequences_; ++s) {
      if (s % directions_ == 0) below = std::exchange(above, outputs.take());
      foretell::Forward<Number>& layer = layers.emplace_back(described<Number>(s));
      layer.x = s < directions_ ? x : sequence_of<const Number>(below);
      layer.y = outputs_of<Number>(above, s);
      layer.initial = part_of(initial, s);
      layer.start = part_of(start, s);
      tensors.fill(layer.weights);
      if (!saved.is_none()) layer.saved = memory_of<Real>(saved) + s * strides_of(saved).at(0);
    }
    for (foretell::Forward<Number>& layer : layers) layer.hidden_mask = memory_of<const Real>(tensors.take());
    tensors.end();
    outputs.end();
    return layers;
  }

  // `activity`: i, f, g, o, c of each sequence, or nothing.
  template <class Number>
  void forward_as(nb::handle given, nb::handle y, nb::handle final, nb::handle saved, nb::handle activity,
                  int threads) const {
    using Real = foretell::Wide<Number>;
    std::vector<foretell::Forward<Number>> layers = read<Number>(given, y, saved);
    Tensors cells(activity), finals(final);
    const auto after = take_state<Real>(finals);
    finals.end();
    for (int s = 0; s < sequences_; ++s) {
      layers[s].final = part_of(after, s);
      if (cells.at_end()) continue;
      for (Real*& part : layers[s].activity) part = memory_of<Real>(cells.take());
    }
    cells.end();
    const nb::gil_scoped_release release;
    foretell::forward(layers.data(), int(cells_.size()), directions_, threads);
  }

  // `gradients`: as `given` but for the masks, which have none, and for x; `dx`: of what each sequence read, those of
  // the first layer's directions apart; `dy`: of the last layer.
  template <class Number>
  void backward_as(nb::handle given, nb::handle y, nb::handle saved, nb::handle dy, nb::handle dfinal,
                   nb::handle gradients, nb::handle dx, int threads) const {
    using Real = foretell::Wide<Number>;
    const std::vector<foretell::Forward<Number>> layers = read<Number>(given, y, saved);
    std::vector<foretell::Backward<Number>> runs(sequences_);
    Tensors finals(dfinal), wanted(gradients), inputs(dx);
    const auto after = take_state<const Real>(finals);
    const auto initial = take_state<Real>(wanted), start = take_state<Real>(wanted);
    for (int s = 0; s < sequences_; ++s) {
      foretell::Backward<Number>& run = runs[s];
      run.forward = layers[s];
      run.dfinal = part_of(after, s);
      run.dinitial = part_of(initial, s);
      run.dstart = part_of(start, s);
      run.dx = sequence_of<Number>(inputs.take());
      if (s < directions_) {
        run.data_begin = data_begin_;
        run.data_end = data_end_;
      }
      wanted.fill(run.dweights);
      if (s + directions_ >= sequences_) run.dy = outputs_of<const Number>(dy, s);
      if (s >= directions_) runs[s - directions_].dy = {run.dx.data, run.dx.time, run.dx.row};
    }
    finals.end();
    wanted.end();
    inputs.end();
    const nb::gil_scoped_release release;
    foretell::backward(runs.data(), int(cells_.size()), directions_, threads);
  }

  int bytes_;
  std::vector<Cell> cells_;  // of the layers
  int directions_, sequences_;
  RowTable table_;
  nb::object reset_;
  std::uint64_t seed_;
  Index sequence_, first_step_;
  nb::object ends_;
  Index data_begin_, data_end_;
};

}  // namespace

void bind_lstm(nb::module_& module) {
  nb::exception<foretell::bindings::NoMemory>(module, "NoMemory",
                                              nb::module_::import_("foretell.errors").attr("InputError"));
  module.def("multiplies_bfloat16", &foretell::multiplies_bfloat16);
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
      .def(nb::init<int, std::vector<Cell>, Index, Index, int, nb::handle, bool, nb::object, std::uint64_t, Index, Index,
                   nb::object, Index, Index>(),
           nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg().none(),
           nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg())
      .def("saved_size", &Run::saved_size)
      .def("runs_at_once", &Run::runs_at_once)
      .def("forward", &Run::forward, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg())
      .def("backward", &Run::backward, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(),
           nb::arg(), nb::arg());
}
