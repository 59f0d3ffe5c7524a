// One step of a stack of layers on the calling thread: the kernels' forward over a sequence of one.
#include "foretell/stepper.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "foretell/threads.h"

namespace foretell {

template <class Real>
void Stepper<Real>::Free::operator()(Real* memory) const {
  std::free(memory);
}

template <class Real>
typename Stepper<Real>::Buffer Stepper<Real>::allocate(Index count) {
  constexpr std::size_t alignment = 64;
  const std::size_t bytes = (count * sizeof(Real) + alignment) / alignment * alignment;
  Buffer memory(static_cast<Real*>(std::aligned_alloc(alignment, bytes)));
  if (!memory) throw std::bad_alloc();
  return memory;
}

template <class Real>
Stepper<Real>::Stepper(const std::vector<Layer>& layers, Index batch, bool residual)
    : layers_(layers), batch_(batch), residual_(residual) {
  const Kernels<Real>& run = kernels<Real>();
  for (Layer& layer : layers_) {
    Buffer packed = allocate(run.packed_size(layer.cell));
    run.pack(layer.cell, layer.weights, packed.get(), Team{});
    packed_.emplace_back(packed.release(), Free());
    layer.weights = {};
  }
  allocate_scratch();
}

template <class Real>
Stepper<Real> Stepper<Real>::twin(const std::vector<State<Real>>& states) const {
  Stepper other;
  other.layers_ = layers_;
  other.batch_ = batch_;
  other.residual_ = residual_;
  other.packed_ = packed_;
  for (std::size_t l = 0; l < layers_.size(); ++l) other.layers_[l].state = states[l];
  other.allocate_scratch();
  return other;
}

template <class Real>
void Stepper<Real>::allocate_scratch() {
  first_.reset(new Index[2]{0, batch_});
  ScratchSize most{0, 0};
  for (const Layer& layer : layers_) {
    const ScratchSize size = kernels<Real>().forward_scratch(call_of(layer));
    most = {std::max(most.shared, size.shared), std::max(most.own, size.own)};
    widest_ = std::max(widest_, layer.cell.outputs);
  }
  shared_ = allocate(most.shared);
  own_ = allocate(most.own);
  passed_ = allocate(2 * batch_ * widest_);
}

template <class Real>
Forward<Real> Stepper<Real>::call_of(const Layer& layer) const {
  Forward<Real> call;
  call.cell = layer.cell;
  call.rows.time = 1;
  call.rows.batch = batch_;
  call.rows.first = first_.get();
  call.initial = {layer.state.h, layer.state.c, layer.state.gates};
  call.final = layer.state;
  return call;
}

template <class Real>
void Stepper<Real>::step(const Real* x, Real* y) {
  const FlushDenormals flush;
  const Real* from = x;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Cell& cell = layers_[l].cell;
    Real* to = l + 1 == layers_.size() ? y : passed_.get() + (l % 2) * batch_ * widest_;
    Forward<Real> call = call_of(layers_[l]);
    call.x = {from, 0, cell.inputs};
    call.y = {to, 0, cell.outputs};
    kernels<Real>().forward(call, packed_[l].get(), {shared_.get(), own_.get()}, Team{});
    if (residual_ && l > 0) {
      for (Index k = 0; k < batch_ * cell.outputs; ++k) to[k] += from[k];
    }
    from = to;
  }
}

template class Stepper<float>;
template class Stepper<double>;

}  // namespace foretell
