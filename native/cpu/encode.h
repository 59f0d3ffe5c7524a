// The encoding of scaled inputs and its gradients, in panels that stay in the cache: the scaled inputs, by far the
// largest array, never reach memory.
#pragma once

#include "foretell/encode.h"
#include "inputs.h"
#include "transpose.h"

namespace foretell::FORETELL_VARIANT {

// A panel of rows: its inputs [K][rows] times the weights, then turned around.
template <class Real>
class EncodeRun {
 public:
  static constexpr Index V = lanes<Real>, R = panel_rows<Real>;

  explicit EncodeRun(const Encoding<Real>& call, Real* own = nullptr)
      : call(call), blocks(ceil_div(call.outputs, V)) {
    Parts<Real> parts(own);
    inputs = parts.take(call.inputs.count * R);
    sums = parts.take(blocks * V * R);
    turned = parts.take(R * blocks * V);
    size = parts.taken();
  }

  void run(Index panel) {
    const Index begin = panel * R, present = smaller(R, call.rows - begin), K = call.inputs.count;
    const int vectors = int(ceil_div(present, V));
    const Index width = vectors * V;
    load_inputs(call.inputs, 0, K, begin, present, inputs, vectors);
    for (Index e = 0; e < blocks * V; ++e) {
      const Vec<Real> bias = all(e < call.outputs ? call.bias[e] : Real(0));
      for (Index n = 0; n < width; n += V) store(sums + e * width + n, bias);
    }
    const Cut cut(call.outputs);
    for (Index e = 0, tile = 0; tile < cut.tiles; e += cut.rows(int(tile++))) {
      const Real* a[max_rows];
      Real* to[max_rows];
      for (int r = 0; r < cut.rows(int(tile)); ++r) {
        a[r] = call.weight + (e + r) * K;
        to[r] = sums + (e + r) * width;
      }
      row_tile_for<Real>(cut.rows(int(tile)), vectors)(a, 1, K, 0, inputs, one_panel, {to, to}, inputs);
    }
    for (Index j = 0; j < blocks; ++j) {
      for (Index n = 0; n < width; n += V) {
        transpose(sums + j * V * width + n, width, turned + (n * blocks + j) * V, blocks * V);
      }
      for (Index n = 0; n < present; ++n) {
        Real* to = call.encoded + (begin + n) * call.encoded_stride + j * V;
        store(to, load(turned + (n * blocks + j) * V), int(smaller(V, call.outputs - j * V)));
      }
    }
  }

  Index size;

 private:
  const Encoding<Real>& call;
  const Index blocks;
  Real *inputs, *sums, *turned;  // [K][R]; [E][R]; [R][E], both with padding
};

// The gradients of some inputs over all rows, in their order.
template <class Real>
class EncodeBackward {
 public:
  static constexpr Index V = lanes<Real>, R = panel_rows<Real>, panels = 4;

  EncodeBackward(const EncodingGradient<Real>& call, Index count, Real* own = nullptr)
      : call(call), blocks(ceil_div(call.outputs, V)), count(count) {
    Parts<Real> parts(own);
    inputs = parts.take(panels * count * R);
    gradient = parts.take(blocks * V * panels * R);
    sums = parts.take(count * blocks * V);
    size = parts.taken();
  }

  void run(Index first) {
    for (Index n = 0; n < count * blocks * V; n += V) store(sums + n, Vec<Real>{});
    for (Index begin = 0; begin < call.rows; begin += panels * R) {
      const Index present = smaller(panels * R, call.rows - begin), loaded = ceil_div(present, R);
      for (Index p = 0; p < loaded; ++p) {
        load_inputs(call.inputs, first, count, begin + p * R, smaller(R, present - p * R), inputs + p * count * R);
      }
      load_gradient(begin, present, loaded * R);
      add(loaded);
    }
    for (Index e = 0; e < call.outputs; ++e) {
      for (Index k = 0; k < count; ++k) call.d_weight[e * call.inputs.count + first + k] = sums[k * blocks * V + e];
    }
    if (first == 0) add_bias();
  }

  Index size;

 private:
  // Panels of up to four vectors of outputs, [panels][rows][vectors][V]; further rows are 0.
  void load_gradient(Index begin, Index present, Index rows) const {
    Real* to = gradient;
    for (Index j = 0; j < blocks; j += max_vectors) {
      const Index vectors = smaller(max_vectors, blocks - j);
      for (Index n = 0; n < rows; ++n) {
        const Real* from = call.d_encoded + (begin + n) * call.encoded_stride;
        for (Index v = j; v < j + vectors; ++v, to += V) {
          store(to, n < present ? load(from + v * V, int(smaller(V, call.outputs - v * V))) : Vec<Real>{});
        }
      }
    }
  }

  // sums [inputs][outputs] += inputs [panels][inputs][rows] times gradient.
  void add(Index loaded) const {
    const Cut cut(count);
    for (Index j = 0; j < blocks; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, blocks - j));
      const Real* by = gradient + j * V * loaded * R;
      for (Index k = 0, tile = 0; tile < cut.tiles; k += cut.rows(int(tile++))) {
        const Real* a[max_rows];
        Real* to[max_rows];
        for (int r = 0; r < cut.rows(int(tile)); ++r) {
          a[r] = inputs + (k + r) * R;
          to[r] = sums + ((k + r) * blocks + j) * V;
        }
        row_tile_for<Real>(cut.rows(int(tile)), vectors)(a, loaded, R, count * R, by, one_panel, {to, to}, by);
      }
    }
  }

  void add_bias() const {
    for (Index e = 0; e < call.outputs; e += V) {
      const int count = int(smaller(V, call.outputs - e));
      Vec<Real> total{};
      for (Index n = 0; n < call.rows; ++n) total += load(call.d_encoded + n * call.encoded_stride + e, count);
      store(call.d_bias + e, total, count);
    }
  }

  const EncodingGradient<Real>& call;
  const Index blocks, count;
  Real *inputs, *gradient, *sums;  // [panels][inputs][R]; of the panels' rows; [inputs][outputs], padded
};

template <class Real>
constexpr EncodeKernels<Real> encode_kernels = {
    panel_rows<Real>,
    [](const Encoding<Real>& call) { return EncodeRun<Real>(call).size; },
    [](const Encoding<Real>& call, Index panel, Real* own) { EncodeRun<Real>(call, own).run(panel); },
    [](const EncodingGradient<Real>& call, Index inputs) { return EncodeBackward<Real>(call, inputs).size; },
    [](const EncodingGradient<Real>& call, Index first, Index end, Real* own) {
      EncodeBackward<Real>(call, end - first, own).run(first);
    },
};

}  // namespace foretell::FORETELL_VARIANT
