// Tensors from Python: their number types, sizes and layouts are checked by the caller, here they are memory.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <vector>

#include "foretell/lstm.h"

namespace foretell::bindings {

namespace nb = nanobind;

inline nb::object call_method(nb::handle tensor, PyObject* name) {
  PyObject* found = PyObject_CallMethodNoArgs(tensor.ptr(), name);
  if (!found) throw nb::python_error();
  return nb::steal(found);
}

// For a tensor that stands for something else: a fake one, or a subclass around others.
struct NoMemory : std::runtime_error {
  NoMemory() : std::runtime_error("The compiled core takes tensors with memory of their own; got one without.") {}
};

// Null for None.
template <class Real>
Real* memory_of(nb::handle tensor) {
  if (tensor.is_none()) return nullptr;
  static PyObject* const name = PyUnicode_InternFromString("data_ptr");
  void* memory = PyLong_AsVoidPtr(call_method(tensor, name).ptr());
  if (PyErr_Occurred()) throw nb::python_error();
  if (!memory) throw NoMemory();
  return static_cast<Real*>(memory);
}

// In numbers.
inline std::vector<Index> strides_of(nb::handle tensor) {
  static PyObject* const name = PyUnicode_InternFromString("stride");
  const nb::object strides = call_method(tensor, name);
  std::vector<Index> found;
  for (nb::handle stride : nb::borrow<nb::tuple>(strides)) found.push_back(nb::cast<Index>(stride));
  return found;
}

// [T,B,features], or packed [N,features]; empty for None.
template <class Real>
Sequence<Real> sequence_of(nb::handle tensor) {
  if (tensor.is_none()) return {};
  const std::vector<Index> strides = strides_of(tensor);
  if (strides.size() == 2) return {memory_of<Real>(tensor), 0, strides[0]};
  return {memory_of<Real>(tensor), strides.at(0), strides.at(1)};
}

// Reads a tuple or list of tensors in turn.
class Tensors {
 public:
  explicit Tensors(nb::handle all) : all_(nb::steal(PySequence_Fast(all.ptr(), "a list of tensors was expected"))) {
    if (!all_.is_valid()) throw nb::python_error();
  }

  nb::handle take() {
    if (used_ == PySequence_Fast_GET_SIZE(all_.ptr())) throw std::invalid_argument("too few tensors");
    return PySequence_Fast_GET_ITEM(all_.ptr(), used_++);
  }
  template <class Real>
  void fill(std::initializer_list<Real**> parts) {
    for (Real** part : parts) *part = memory_of<Real>(take());
  }
  template <class Real>
  void fill(Parameters<Real>& w) {
    fill({&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh, &w.weight_hr, &w.peephole, &w.weight_gate, &w.norm_ih,
          &w.norm_hh, &w.norm_c, &w.bias_c});
  }
  bool at_end() const { return used_ == PySequence_Fast_GET_SIZE(all_.ptr()); }
  void end() const {
    if (!at_end()) throw std::invalid_argument("too many tensors");
  }

 private:
  nb::object all_;
  Py_ssize_t used_ = 0;
};

}  // namespace foretell::bindings
