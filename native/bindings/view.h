// A torch tensor's memory, number type and layout at the price of one call, through torch's table of C functions
// (DLPack 1.3, DLPackExchangeAPI, https://dmlc.github.io/dlpack); older versions of torch have none.
#pragma once

#include <nanobind/ndarray.h>

#include <cstdint>
#include <type_traits>

#include "foretell/lstm.h"

namespace foretell::bindings {

namespace nb = nanobind;

// The beginning of that table, as the standard lays it out.
struct ExchangeTable {
  std::uint32_t major, minor;
  const ExchangeTable* older;
  void *allocate, *from_object, *to_object;
  int (*view)(void* object, nb::dlpack::dltensor* to);  // which the object goes on to own; may be null
};

inline nb::handle tensor_type() {
  static const nb::object& type = *new nb::object(nb::module_::import_("torch").attr("Tensor"));
  return type;
}

inline const ExchangeTable* exchange_table() {
  static const ExchangeTable* const found = []() -> const ExchangeTable* {
    const nb::object capsule = nb::getattr(tensor_type(), "__dlpack_c_exchange_api__", nb::none());
    if (!PyCapsule_CheckExact(capsule.ptr())) return nullptr;
    const void* table = PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
    if (!table) throw nb::python_error();
    const auto* newest = static_cast<const ExchangeTable*>(table);
    return newest->major == 1 && newest->view ? newest : nullptr;
  }();
  return found;
}

// Of a plain tensor, no instance of a class derived from it, while that lives.
class View {
 public:
  explicit View(nb::handle tensor) {
    const ExchangeTable* table = exchange_table();
    if (!table || Py_TYPE(tensor.ptr()) != reinterpret_cast<PyTypeObject*>(tensor_type().ptr())) return;
    held_ = table->view(tensor.ptr(), &seen_) == 0;
    if (!held_) PyErr_Clear();
  }

  // Is it dense, on the CPU, of these numbers, and [rows, width], or [width] where there is one row?
  template <class Number>
  bool is(Index rows, Index width) const {
    if (!held_ || !data() || seen_.device.device_type != nb::device::cpu::value || seen_.dtype != type<Number>()) {
      return false;
    }
    if (seen_.ndim == 1) return rows == 1 && is_run(0, width);
    return seen_.ndim == 2 && seen_.shape[0] == rows && is_run(1, width) && (rows == 1 || seen_.strides[0] == width);
  }
  int rank() const { return seen_.ndim; }
  void* data() const { return static_cast<char*>(seen_.data) + seen_.byte_offset; }

 private:
  template <class Number>
  static nb::dlpack::dtype type() {
    using nb::dlpack::dtype_code;
    const dtype_code code = std::is_same_v<Number, BFloat16> ? dtype_code::Bfloat : dtype_code::Float;
    return {std::uint8_t(code), 8 * sizeof(Number), 1};
  }
  bool is_run(int dimension, Index width) const {
    return seen_.shape[dimension] == width && (width == 1 || seen_.strides[dimension] == 1);
  }

  nb::dlpack::dltensor seen_;
  bool held_ = false;
};

}  // namespace foretell::bindings
