// Live steps for Python (foretell.lstm.stream): made to cost next to nothing beside the step itself.
#include "foretell/stepper.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <string_view>
#include <type_traits>
#include <vector>

#include "bindings.h"
#include "tensors.h"
#include "view.h"

namespace nb = nanobind;

namespace {

using foretell::Cell;
using foretell::Index;
using foretell::Stepper;
using foretell::bindings::call_method;
using foretell::bindings::memory_of;
using foretell::bindings::Tensors;
using foretell::bindings::View;

// An array's memory while this lives.
class ArrayView {
 public:
  explicit ArrayView(nb::handle array, int flags) { held_ = PyObject_GetBuffer(array.ptr(), &buffer_, flags) == 0; }
  ~ArrayView() {
    if (held_) PyBuffer_Release(&buffer_);
    else PyErr_Clear();
  }
  ArrayView(const ArrayView&) = delete;

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

// A stepper with room for the outputs of steps to come, [B,R] and where B = 1 [R]: lists that can `refill`
// (foretell.lstm.kernels).
template <class Number>
struct Live : Stepper<Number> {
  Live(Stepper<Number> stepper, nb::handle rooms) : Stepper<Number>(std::move(stepper)) {
    for (nb::handle one : rooms) room.push_back(nb::borrow(one));
  }

  nb::object next_output(int rank) {
    static PyObject* const pop = PyUnicode_InternFromString("pop");
    static PyObject* const refill = PyUnicode_InternFromString("refill");
    const nb::handle outputs = room.at(2 - rank);
    return call_method(outputs, PyList_GET_SIZE(outputs.ptr()) ? pop : refill);
  }

  std::vector<nb::object> room;
};

// x, an array as a step takes it -> a new array; None if x is not one.
template <class Real>
nb::object step_array(Live<Real>& self, nb::handle x) {
  const ArrayView from(x, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT);
  if (!from.is(Kind<Real>::format, self.batch(), self.inputs())) return nb::none();
  static const nb::object& empty = *new nb::object(nb::module_::import_("numpy").attr("empty"));
  static const nb::object& type = *new nb::object(nb::module_::import_("numpy").attr(Kind<Real>::array));
  nb::object y = from.rank() == 1 ? empty(self.outputs(), type)
                                  : empty(nb::make_tuple(self.batch(), self.outputs()), type);
  const ArrayView to(y, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
  self.step(static_cast<const Real*>(from.data()), static_cast<Real*>(to.data()));
  return y;
}

// x, a tensor as a step takes it -> a new tensor; None if x is not one, or lies otherwise.
template <class Number>
nb::object step_tensor(Live<Number>& self, nb::handle x) {
  static PyObject* const is_negated = PyUnicode_InternFromString("is_neg");
  const View from(x);
  if (!from.is<Number>(self.batch(), self.inputs()) || call_method(x, is_negated).ptr() == Py_True) return nb::none();
  nb::object y = self.next_output(from.rank());
  self.step(static_cast<const Number*>(from.data()), memory_of<Number>(y));
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
  using Class = Live<Number>;
  nb::class_<Class> found(module, Kind<Number>::name);
  found
      .def("__init__",
           [](Class* self, const std::vector<Cell>& cells, nb::handle weights, nb::handle states, Index batch,
              bool residual, nb::handle room) {
             const auto given = read_states<Real>(states);
             Tensors all_weights(weights);
             std::vector<typename Stepper<Number>::Layer> layers(cells.size());
             for (std::size_t l = 0; l < cells.size(); ++l) {
               layers[l].cell = cells[l];
               layers[l].state = given.at(l);
               Tensors tensors(all_weights.take());
               tensors.fill(layers[l].weights);
               tensors.end();
             }
             new (self) Class(Stepper<Number>(layers, batch, residual), room);
           })
      .def("twin", [](const Class& self, nb::handle states, nb::handle room) {
        return Class(self.twin(read_states<Real>(states)), room);
      })
      .def("step_tensor", &step_tensor<Number>)
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
