// Memory of Python's arrays and tensors, handed over as numbers.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "foretell/lstm.h"

namespace foretell::bindings {

using Address = std::uintptr_t;

// Reads addresses in turn.
template <class Real>
class Addresses {
 public:
  explicit Addresses(const std::vector<Address>& all) : all_(all) {}

  Real* next() { return reinterpret_cast<Real*>(take()); }
  Address take() {
    if (used_ == all_.size()) throw std::invalid_argument("too few addresses");
    return all_[used_++];
  }
  template <class Item>
  void fill(Parameters<Item>& w) {
    for (Item** part : {&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh, &w.weight_hr, &w.peephole, &w.weight_gate,
                        &w.norm_ih, &w.norm_hh, &w.norm_c, &w.bias_c}) {
      *part = next();
    }
  }
  template <class Item>
  void fill(State<Item>& state) {
    for (Item** part : {&state.h, &state.c, &state.gates}) *part = next();
  }
  void end() const {
    if (used_ != all_.size()) throw std::invalid_argument("too many addresses");
  }

 private:
  const std::vector<Address>& all_;
  std::size_t used_ = 0;
};

}  // namespace foretell::bindings
