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

// The gradients that a group of rows gives.  The bias is the weight of one more input, which is always 1.
template <class Real>
class EncodeBackward {
 public:
  static constexpr Index V = lanes<Real>, R = panel_rows<Real>;

  explicit EncodeBackward(const EncodingGradient<Real>& call, Real* partial = nullptr, Real* own = nullptr)
      : call(call), K(call.inputs.count), blocks(ceil_div(call.outputs, V)), group_rows(rows_of_group<Real>(call.rows)),
        sums(partial) {
    Parts<Real> parts(own);
    inputs = parts.take(smaller(at_once, K + 1) * block_rows<Real>);
    gradient = parts.take(blocks * V * block_rows<Real>);
    sizes = {larger(1, ceil_div(call.rows, group_rows)), (K + 1) * blocks * V, parts.taken()};
  }

  void run(Index group) const {
    for (Index n = 0; n < sizes.partial; n += V) store(sums + n, Vec<Real>{});
    const Index end = smaller(call.rows, (group + 1) * group_rows);
    for (Index begin = group * group_rows; begin < end; begin += block_rows<Real>) {
      const Index present = smaller(block_rows<Real>, end - begin), panels = ceil_div(present, R);
      load_gradient(begin, present, panels * R);
      for (Index first = 0; first <= K; first += at_once) {
        const Index count = smaller(at_once, K + 1 - first);
        load_panels(first, count, begin, present, panels);
        add(first, count, panels);
      }
    }
  }

  // Adds up the sums of all groups in their order.
  void finish() const {
    for (Index g = 1; g < sizes.groups; ++g) {
      for (Index n = 0; n < sizes.partial; n += V) {
        store(sums + n, load(sums + n) + load(sums + g * sizes.partial + n));
      }
    }
    for (Index e = 0; e < call.outputs; ++e) {
      for (Index k = 0; k < K; ++k) call.d_weight[e * K + k] = sums[k * blocks * V + e];
      call.d_bias[e] = sums[K * blocks * V + e];
    }
  }

  GroupSizes sizes;

 private:
  static constexpr Index at_once = 128;  // inputs: those of a block of rows stay in the cache

  // Panels of up to four vectors of outputs, [panels][rows][vectors][V]; further rows are 0.
  void load_gradient(Index begin, Index present, Index rows) const {
    Real* to = gradient;
    for (Index j = 0; j < blocks; j += max_vectors) {
      const Index vectors = smaller(max_vectors, blocks - j);
      for (Index n = 0; n < rows; ++n) {
        const Real* from = call.d_encoded + (begin + n) * call.encoded_stride;
        for (Index v = j; v < j + vectors; ++v, to += V) {
          const int there = int(smaller(V, call.outputs - v * V));
          store(to, n < present ? load(from + v * V, there) : Vec<Real>{});
        }
      }
    }
  }

  // Inputs from `first` on as [panels][count][R]; behind the last one lies the one that is always 1.
  void load_panels(Index first, Index count, Index begin, Index present, Index panels) const {
    const Index read = smaller(count, K - first);
    for (Index p = 0; p < panels; ++p) {
      Real* to = inputs + p * count * R;
      load_inputs(call.inputs, first, read, begin + p * R, smaller(R, present - p * R), to);
      for (Index n = read * R; n < count * R; ++n) to[n] = 1;
    }
  }

  // sums [inputs][outputs] += inputs [panels][inputs][rows] times gradient.
  void add(Index first, Index count, Index panels) const {
    const Cut cut(count);
    for (Index j = 0; j < blocks; j += max_vectors) {
      const int vectors = int(smaller(max_vectors, blocks - j));
      const Real* by = gradient + j * V * panels * R;
      for (Index k = 0, tile = 0; tile < cut.tiles; k += cut.rows(int(tile++))) {
        const Real* a[max_rows];
        Real* to[max_rows];
        for (int r = 0; r < cut.rows(int(tile)); ++r) {
          a[r] = inputs + (k + r) * R;
          to[r] = sums + ((first + k + r) * blocks + j) * V;
        }
        row_tile_for<Real>(cut.rows(int(tile)), vectors)(a, panels, R, count * R, by, one_panel, {to, to}, by);
      }
    }
  }

  const EncodingGradient<Real>& call;
  const Index K, blocks, group_rows;
  Real *sums, *inputs, *gradient;  // [groups][K+1][outputs], padded; [panels][inputs][R]; of the panels' rows
};

template <class Real>
constexpr EncodeKernels<Real> encode_kernels = {
    panel_rows<Real>,
    [](const Encoding<Real>& call) { return EncodeRun<Real>(call).size; },
    [](const Encoding<Real>& call, Index panel, Real* own) { EncodeRun<Real>(call, own).run(panel); },
    [](const EncodingGradient<Real>& call) { return EncodeBackward<Real>(call).sizes; },
    [](const EncodingGradient<Real>& call, Index group, Real* partial, Real* own) {
      EncodeBackward<Real>(call, partial, own).run(group);
    },
    [](const EncodingGradient<Real>& call, Real* partials) { EncodeBackward<Real>(call, partials).finish(); },
};

}  // namespace foretell::FORETELL_VARIANT
