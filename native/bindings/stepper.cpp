// Live steps for Python (foretell.lstm.stream): made to cost next to nothing beside the step itself.
#include "foretell/stepper.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <string_view>
#include <type_traits>
#include <vector>

#include "bindings.h"
#include "tensors.h"

namespace nb = nanobind;

namespace {

using foretell::Cell;
using foretell::Index;
using foretell::Stepper;
using foretell::bindings::memory_of;
using foretell::bindings::Tensors;

// An array's memory while this lives.
class View {
 public:
  explicit View(nb::handle array, int flags) { held_ = PyObject_GetBuffer(array.ptr(), &buffer_, flags) == 0; }
  ~View() {
    if (held_) PyBuffer_Release(&buffer_);
    else PyErr_Clear();
  }
  View(const View&) = delete;

  // Is it dense, of these numbers, and [rows, width], or [width] where there is one row?
  bool is(const char* format, Index rows, Index width) const {
    if (!held_ || !buffer_.format || std::string_view(buffer_.format) != format) return false;
    if (buffer_.ndim == 1) return rows == 1 && buffer_.shape[0] == width;
    return buffer_.ndim == 2 && buffer_.shape[0] == rows && buffer_.shape[1] == width;
  }
  int rank() const { return buffer_.ndim; }
  void* data() const { return buffer_.buf; }

 private:
  Py_buffer buffer_{};
  bool held_;
};

template <class Number>
struct Kind;
template <>
struct Kind<float> {
  static constexpr const char *name = "Stepper32", *format = "f", *array = "float32";
};
template <>
struct Kind<double> {
  static constexpr const char *name = "Stepper64", *format = "d", *array = "float64";
};
template <>
struct Kind<foretell::BFloat16> {
  static constexpr const char* name = "Stepper16";  // numpy knows no such numbers
};

// x, an array as a step takes it -> a new array; None if x is not one.
template <class Real>
nb::object step_array(Stepper<Real>& self, nb::handle x) {
  const View from(x, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
  if (!from.is(Kind<Real>::format, self.batch(), self.inputs())) return nb::none();
  static const nb::object& empty = *new nb::object(nb::module_::import_("numpy").attr("empty"));
  static const nb::object& type = *new nb::object(nb::module_::import_("numpy").attr(Kind<Real>::array));
  nb::object y = from.rank() == 1 ? empty(self.outputs(), type)
                                  : empty(nb::make_tuple(self.batch(), self.outputs()), type);
  const View to(y, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
  self.step(static_cast<const Real*>(from.data()), static_cast<Real*>(to.data()));
  return y;
}

// For each layer h, c and perhaps the gates.
template <class Real>
std::vector<foretell::State<Real>> read_states(nb::handle layers) {
  std::vector<foretell::State<Real>> states;
  for (nb::handle layer : layers) {
    Tensors tensors(layer);
    foretell::State<Real>& state = states.emplace_back();
    tensors.fill({&state.h, &state.c});
    if (!tensors.at_end()) tensors.fill({&state.gates});
    tensors.end();
  }
  return states;
}

template <class Number>
void bind(nb::module_& module) {
  using Real = foretell::Wide<Number>;
  using Class = Stepper<Number>;
  nb::class_<Class> found(module, Kind<Number>::name);
  found
      .def("__init__",
           [](Class* self, const std::vector<Cell>& cells, nb::handle weights, nb::handle states, Index batch,
              bool residual) {
             const auto given = read_states<Real>(states);
             Tensors all_weights(weights);
             std::vector<typename Class::Layer> layers(cells.size());
             for (std::size_t l = 0; l < cells.size(); ++l) {
               layers[l].cell = cells[l];
               layers[l].state = given.at(l);
               Tensors tensors(all_weights.take());
               tensors.fill(layers[l].weights);
               tensors.end();
             }
             new (self) Class(layers, batch, residual);
           })
      .def("twin", [](const Class& self, nb::handle states) { return self.twin(read_states<Real>(states)); })
      .def("step", [](Class& self, nb::handle x, nb::handle y) {
        self.step(memory_of<const Number>(x), memory_of<Number>(y));
      });
  if constexpr (std::is_same_v<Number, Real>) found.def("step_array", &step_array<Real>, nb::arg().none());
}

}  // namespace

void bind_stepper(nb::module_& module) {
  bind<float>(module);
  bind<double>(module);
  bind<foretell::BFloat16>(module);
}
