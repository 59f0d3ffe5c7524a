// One step of a stack of layers on the calling thread: the kernels' forward over a sequence of one.
#include "foretell/stepper.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <new>
#include <type_traits>

#include "foretell/threads.h"

namespace foretell {
namespace {

float widen(BFloat16 value) { return std::bit_cast<float>(std::uint32_t(value.bits) << 16); }

// Rounded to the nearest, or the even one of two.
BFloat16 narrow(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  constexpr std::uint32_t quiet = 0x400000;
  if (std::isnan(value)) return {std::uint16_t((bits | quiet) >> 16)};
  return {std::uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

}  // namespace

template <class Number>
void Stepper<Number>::Free::operator()(Real* memory) const {
  std::free(memory);
}

template <class Number>
typename Stepper<Number>::Buffer Stepper<Number>::allocate(Index count) {
  constexpr std::size_t alignment = 64;
  const std::size_t bytes = (count * sizeof(Real) + alignment) / alignment * alignment;
  Buffer memory(static_cast<Real*>(std::aligned_alloc(alignment, bytes)));
  if (!memory) throw std::bad_alloc();
  return memory;
}

template <class Number>
Stepper<Number>::Stepper(const std::vector<Layer>& layers, Index batch, bool residual)
    : layers_(layers), batch_(batch), residual_(residual) {
  const Kernels<Number>& run = kernels<Number>();
  for (Layer& layer : layers_) {
    Buffer packed = allocate(run.packed_size(layer.cell));
    run.pack(layer.cell, layer.weights, packed.get(), Team{});
    packed_.emplace_back(packed.release(), Free());
    layer.weights = {};
  }
  allocate_scratch();
}

template <class Number>
Stepper<Number> Stepper<Number>::twin(const std::vector<State<Real>>& states) const {
  Stepper other;
  other.layers_ = layers_;
  other.batch_ = batch_;
  other.residual_ = residual_;
  other.packed_ = packed_;
  for (std::size_t l = 0; l < layers_.size(); ++l) other.layers_[l].state = states[l];
  other.allocate_scratch();
  return other;
}

template <class Number>
void Stepper<Number>::allocate_scratch() {
  first_.reset(new Index[2]{0, batch_});
  ScratchSize most{0, 0};
  for (const Layer& layer : layers_) {
    const ScratchSize size = kernels<Number>().forward_scratch(call_of(layer), Team{});
    most = {std::max(most.shared, size.shared), std::max(most.own, size.own)};
    widest_ = std::max(widest_, layer.cell.outputs);
  }
  shared_ = allocate(most.shared);
  own_ = allocate(most.own);
  passed_ = allocate(2 * batch_ * widest_);
}

template <class Number>
Forward<Number> Stepper<Number>::call_of(const Layer& layer) const {
  Forward<Number> call;
  call.cell = layer.cell;
  call.rows.time = 1;
  call.rows.batch = batch_;
  call.rows.first = first_.get();
  call.initial = {layer.state.h, layer.state.c, layer.state.gates};
  call.final = layer.state;
  return call;
}

template <class Number>
void Stepper<Number>::add(const Number* from, Index count, Number* to) {
  if constexpr (std::is_same_v<Number, Real>) {
    for (Index k = 0; k < count; ++k) to[k] += from[k];
  } else {
    for (Index k = 0; k < count; ++k) to[k] = narrow(widen(to[k]) + widen(from[k]));
  }
}

template <class Number>
void Stepper<Number>::step(const Number* x, Number* y) {
  const FlushDenormals flush;
  const Number* from = x;
  Number* passed = reinterpret_cast<Number*>(passed_.get());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Cell& cell = layers_[l].cell;
    Number* to = l + 1 == layers_.size() ? y : passed + (l % 2) * batch_ * widest_;
    Forward<Number> call = call_of(layers_[l]);
    call.x = {from, 0, cell.inputs};
    call.y = {to, 0, cell.outputs};
    kernels<Number>().forward(call, packed_[l].get(), {shared_.get(), own_.get()}, Team{});
    if (residual_ && l > 0) add(from, batch_ * cell.outputs, to);
    from = to;
  }
}

template class Stepper<float>;
template class Stepper<double>;
template class Stepper<BFloat16>;

}  // namespace foretell
