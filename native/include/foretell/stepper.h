// A stack of layers that takes one step at a time: the weights are packed once, and a step allocates nothing.
#pragma once

#include <memory>
#include <vector>

#include "foretell/lstm.h"

namespace foretell {

template <class Number>
class Stepper {
 public:
  using Real = Wide<Number>;

  struct Layer {
    Cell cell;
    Parameters<const Real> weights;  // read by the constructor alone
    State<Real> state;               // the caller's, where each step begins and ends
  };

  // `residual`: every layer above the first adds its input to its output.
  Stepper(const std::vector<Layer>& layers, Index batch, bool residual);
  Stepper(Stepper&&) = default;

  // The same layers, sharing the packed weights, on other states.
  Stepper twin(const std::vector<State<Real>>& states) const;

  // x [B,I] -> y [B,R], the output of the last layer.
  void step(const Number* x, Number* y);

  Index batch() const { return batch_; }
  Index inputs() const { return layers_.front().cell.inputs; }
  Index outputs() const { return layers_.back().cell.outputs; }

 private:
  struct Free {
    void operator()(Real* memory) const;
  };
  using Buffer = std::unique_ptr<Real, Free>;
  static Buffer allocate(Index count);
  static void add(const Number* from, Index count, Number* to);

  Stepper() = default;
  void allocate_scratch();
  Forward<Number> call_of(const Layer& layer) const;

  std::vector<Layer> layers_;
  Index batch_ = 0;
  bool residual_ = false;
  std::vector<std::shared_ptr<const Real>> packed_;  // of each layer
  std::unique_ptr<Index[]> first_;                   // {0, B}: one step
  Buffer shared_, own_, passed_;                     // scratch of any layer; what a layer hands on [B,R], twice
  Index widest_ = 0;
};

}  // namespace foretell
