// The head, its skips and the pinball loss, with all gradients, for a group of rows.
//
// Rows lie in the lanes of vectors: what lies ahead of a row, at all horizons, is then contiguous in the truth, and so
// are the skips' inputs.  A panel is a few vectors of rows, for which everything up to the gradients of the answers
// stays in the innermost cache; the gradients of the weights come from a block of panels.
//
// The answers come in HQ lines, in the order of the weights.  The features that they are products of are the U hidden
// outputs, after dropout, and the inputs of all skips, of which only the medians know.
#pragma once

#include "activations.h"
#include "foretell/head.h"
#include "inputs.h"
#include "noise.h"
#include "panels.h"
#include "tiles.h"
#include "transpose.h"

namespace foretell::FORETELL_VARIANT {

template <class Real>
class HeadRun {
 public:
  static constexpr int V = lanes<Real>;
  static constexpr Index panel_rows = FORETELL_VARIANT::panel_rows<Real>, block_rows = block_panels * panel_rows;

  explicit HeadRun(const HeadLoss<Real>& call, Real* shared = nullptr, Real* partial = nullptr, Real* own = nullptr)
      : call(call), H(call.horizon), U(call.hidden), lines(call.horizon * call.quantiles),
        distances(call.quantiles - 1), middle(distances / 2), group_rows(rows_of_group<Real>(call.rows)),
        wants_gradients(call.wants_gradients()),
        growth(Real(256) / Real(256 - call.least)) {
    for (int s = 0; s < call.skip_count; ++s) K += call.skips[s].inputs.count;
    drop_bytes = ceil_div(U, counter_bytes) * counter_bytes;
    in_hidden = {ceil_div(U, V), block_rows};
    in_medians = {ceil_div(H, V), block_rows};
    panel_features = (in_hidden.blocks * V + K) * panel_rows;
    of_hidden = {in_hidden.blocks, lines};
    take_shared(shared);
    take_partial(partial);
    take_own(own);
    sizes.groups = larger(1, ceil_div(call.rows, group_rows));
  }

  // The weights, ready for what follows.
  void prepare() {
    for (Index n = 0; n < panel_rows; ++n) zeros[n] = 0;
    for (Index h = 0; h < H; ++h) {
      Real* to = medians + h * (U + K);
      for (Index u = 0; u < U; ++u) *to++ = call.weight[h * U + u];
      for (int s = 0; s < call.skip_count; ++s) {
        const Skip<Real>& skip = call.skips[s];
        for (Index k = 0; k < skip.inputs.count; ++k) *to++ = skip.weight[h * skip.inputs.count + k];
      }
    }
    if (!wants_gradients) return;
    for (Index line = 0; line < lines; ++line) {
      for (Index j = 0; j < of_hidden.blocks; ++j) {
        store(back + of_hidden.at(line, j), load(call.weight + line * U + j * V, units(j)));
      }
    }
  }

  void run(Real scale, Index group) {
    for (Index n = 0; n < sizes.partial; ++n) loss[n] = 0;
    const Index end = smaller(call.rows, (group + 1) * group_rows);
    for (Index first = group * group_rows; first < end; first += block_rows) {
      const Index panels = ceil_div(smaller(block_rows, end - first), panel_rows);
      for (Index p = 0; p < panels; ++p) {
        at = p * panel_rows;
        begin = first + at;
        present = smaller(panel_rows, end - begin);
        slopes = all_slopes + p * lines * panel_rows;
        features = all_features + p * panel_features;
        run_panel(scale);
      }
      if (wants_gradients) add_weights(panels);
    }
  }

  // Adds up the partial sums of all groups in their order.
  double finish() {
    double total = 0;
    for (Index g = 0; g < sizes.groups; ++g) {
      for (Index n = 0; n < panel_rows; ++n) total += loss[g * sizes.partial + n];
    }
    if (!wants_gradients) return total;
    for (Index g = 1; g < sizes.groups; ++g) {
      for (Index n = panel_rows; n < sizes.partial; n += V) {
        store(loss + n, load(loss + n) + load(loss + g * sizes.partial + n));
      }
    }
    for (Index line = 0; line < lines; ++line) {
      call.d_bias[line] = sum<Real>(load(d_bias + line * V));
      for (Index j = 0; j < of_hidden.blocks; ++j) {
        store(call.d_weight + line * U + j * V, load(d_weight + of_hidden.at(line, j)), units(j));
      }
    }
    for (Index h = 0; h < H; ++h) {
      Index k = 0;
      for (int s = 0; s < call.skip_count; ++s) {
        const Skip<Real>& skip = call.skips[s];
        for (Index n = 0; n < skip.inputs.count; ++n, ++k) {
          skip.gradient[h * skip.inputs.count + n] = d_skips[k * in_medians.blocks * V + h];
        }
      }
    }
    return total;
  }

  HeadSizes sizes{};

 private:
  int units(Index j) const { return int(smaller(V, U - j * V)); }

  void take_shared(Real* memory) {
    Parts<Real> parts(memory);
    zeros = parts.take(panel_rows);
    medians = parts.take(H * (U + K));
    back = parts.take(wants_gradients ? of_hidden.size() : 0);
    sizes.shared = parts.taken();
  }

  void take_partial(Real* memory) {
    Parts<Real> parts(memory);
    loss = parts.take(panel_rows);
    d_bias = parts.take(wants_gradients ? lines * V : 0);
    d_weight = parts.take(wants_gradients ? of_hidden.size() : 0);
    d_skips = parts.take(wants_gradients ? K * in_medians.blocks * V : 0);
    sizes.partial = parts.taken();
  }

  void take_own(Real* memory) {
    Parts<Real> parts(memory);
    level = parts.take(panel_rows);
    inverse = parts.take(panel_rows);
    weights = parts.take(panel_rows);
    rises = parts.take(middle * panel_rows);
    all_features = parts.take(block_panels * panel_features);
    hidden = parts.take(in_hidden.size());
    turned = parts.take(in_medians.size());
    all_slopes = parts.take((block_panels * lines + V) * panel_rows);  // medians are turned by whole vectors
    d_hidden = parts.take(in_hidden.blocks * V * panel_rows);
    drawn = parts.template take_as<std::uint8_t>(panel_rows * drop_bytes + word_lanes * counter_bytes);
    kept = parts.take(panel_rows * drop_bytes);
    line_at = parts.template take_as<const Real*>(lines);
    sizes.own = parts.taken();
  }

  void run_panel(Real scale) {
    if (call.least) draw();
    load_hidden();
    load_skips();
    load_goal(scale);
    answer();
    for (Index h = 0; h < H; ++h) differentiate(h);
    if (!wants_gradients) return;
    turn_medians();
    add_biases();
    differentiate_hidden();
  }

  // What each hidden output of each row is multiplied by.
  void draw() {
    const Index count = present * drop_bytes;
    draw_bytes(call.seed, begin * (drop_bytes / counter_bytes), count / counter_bytes, drawn);
    choose(drawn, count, call.least, growth, kept);
  }

  // Without a branch, which chance would mislead.  Compilers may make one of a comparison; a sign that is shifted
  // through all bits is 0 or -1.
  static void choose(const std::uint8_t* __restrict bytes, Index count, int least, Real growth, Real* __restrict to) {
    for (Index n = 0; n < count; ++n) to[n] = Real(1 + ((bytes[n] - least) >> 31)) * growth;
  }

  // The hidden outputs after dropout, row by row for the gradients and across for the answers; rows past the end are 0.
  void load_hidden() {
    for (Index j = 0; j < in_hidden.blocks; ++j) {
      const Real* from = call.outputs + begin * U + j * V;
      Real* to = hidden + in_hidden.at(at, j);
      move_block(from, U, to, in_hidden.at(1, j) - in_hidden.at(0, j), j, units(j), V);
      for (Index row = present; row < panel_rows; ++row) store(hidden + in_hidden.at(at + row, j), Vec<Real>{});
    }
    for (Index j = 0; j < in_hidden.blocks; ++j) {
      for (Index row = 0; row < panel_rows; row += V) {
        transpose(hidden + in_hidden.at(at + row, j), in_hidden.at(1, j) - in_hidden.at(0, j),
                  features + j * V * panel_rows + row, panel_rows);
      }
    }
  }

  // The skips' inputs, the same; they follow the hidden outputs without a gap.
  void load_skips() {
    Real* to = features + U * panel_rows;
    for (int s = 0; s < call.skip_count; ++s) {
      const Inputs<Real>& from = call.skips[s].inputs;
      load_inputs(from, 0, from.count, begin, present, to);
      to += from.count * panel_rows;
    }
  }

  void load_goal(Real scale) {
    for (Index n = 0; n < panel_rows; ++n) {
      const bool there = n < present;
      level[n] = there ? call.values[begin + n] : Real(0);
      inverse[n] = there ? 1 / call.spread[begin + n] : Real(1);
      weights[n] = there ? call.learn[begin + n] * scale : Real(0);
    }
  }

  // All answers but for biases and what comes beside.
  void answer() {
    multiply(medians, H, U + K, slopes);
    multiply(call.weight + H * U, lines - H, U, slopes + H * panel_rows);
  }

  // to [count][panel_rows] = rows [count,depth] times the panel's features.
  void multiply(const Real* rows, Index count, Index depth, Real* to) {
    const Cut cut(count);
    for (Index n = 0, tile = 0; tile < cut.tiles; n += cut.rows(int(tile++))) {
      const int size = cut.rows(int(tile));
      const Real *a[max_rows], *from[max_rows];
      Real* sums[max_rows];
      for (int r = 0; r < size; ++r) {
        a[r] = rows + (n + r) * depth;
        from[r] = zeros;
        sums[r] = to + (n + r) * panel_rows;
      }
      const Real* next = rows + (n + size) * depth;
      row_tile_for<Real>(size, max_vectors)(a, 1, depth, 0, features, one_panel, {from, sums}, next);
    }
  }

  // All rows at one horizon: answers -> their gradients, in place; and the loss.
  void differentiate(Index h) {
    constexpr int N = max_vectors;
    Vec<Real> weight[N], error[N], sum_of_slopes[N], total[N];
    Real* median = slopes + h * panel_rows;
    const Index ahead = begin + (h + 1) * call.lanes, side_of = h * call.rows + begin;
    FORETELL_UNROLL for (int v = 0; v < N; ++v) {
      const int count = present_in(v), at_row = v * V;
      const Vec<Real> change = load(call.values + ahead + at_row, count) - load(level + at_row);
      Vec<Real> answer = load(median + at_row) + call.bias[h];
      if (call.beside) answer += load(call.beside + side_of + at_row, count);
      error[v] = change * load(inverse + at_row) - answer;
      weight[v] = load(call.known + ahead + at_row, count) * load(weights + at_row);
      sum_of_slopes[v] = slope_of(error[v], middle) * weight[v];
      total[v] = fma(error[v], sum_of_slopes[v], load(loss + at_row));
    }
    for (const int side : {1, -1}) {  // above the median, below it
      Vec<Real> here[N], outer[N] = {};
      for (int v = 0; v < N; ++v) here[v] = error[v];
      for (Index k = 0; k < middle; ++k) {
        const Index number = side > 0 ? middle + k : middle - 1 - k, line = H + h * distances + number;
        Real* raw = slopes + line * panel_rows;
        Vec<Real> distance[N], rise[N];
        FORETELL_UNROLL for (int v = 0; v < N; ++v) distance[v] = load(raw + v * V) + call.bias[line];
        softplus<Real, N>(distance, rise);
        FORETELL_UNROLL for (int v = 0; v < N; ++v) {
          here[v] = side > 0 ? here[v] - distance[v] : here[v] + distance[v];
          const Vec<Real> slope = slope_of(here[v], side > 0 ? number + 1 : number) * weight[v];
          total[v] = fma(here[v], slope, total[v]);
          store(raw + v * V, slope);
          store(rises + (k * N + v) * V, rise[v]);
        }
      }
      for (Index k = middle - 1; k >= 0; --k) {  // a distance moves all quantiles beyond it
        Real* line = slopes + (H + h * distances + (side > 0 ? middle + k : middle - 1 - k)) * panel_rows;
        FORETELL_UNROLL for (int v = 0; v < N; ++v) {
          outer[v] += load(line + v * V);
          const Vec<Real> by_raw = outer[v] * load(rises + (k * N + v) * V);
          store(line + v * V, side > 0 ? -by_raw : by_raw);
        }
      }
      for (int v = 0; v < N; ++v) sum_of_slopes[v] += outer[v];
    }
    FORETELL_UNROLL for (int v = 0; v < N; ++v) {
      store(loss + v * V, total[v]);
      store(median + v * V, -sum_of_slopes[v]);
      if (call.d_beside) store(call.d_beside + side_of + v * V, -sum_of_slopes[v], present_in(v));
    }
  }

  // Of a quantile's loss by its error.
  Vec<Real> slope_of(Vec<Real> error, Index quantile) const {
    const Vec<Real> over = all(call.probabilities[quantile]);
    return error < 0 ? over - 1 : over;
  }

  // How many rows of a vector there are.
  int present_in(int vector) const { return int(larger(0, smaller(V, present - vector * V))); }

  // The slopes of the medians, row by row.
  void turn_medians() {
    for (Index j = 0; j < in_medians.blocks; ++j) {
      for (Index row = 0; row < panel_rows; row += V) {
        transpose(slopes + j * V * panel_rows + row, panel_rows, turned + in_medians.at(at + row, j),
                  in_medians.at(1, j) - in_medians.at(0, j));
      }
    }
  }

  void add_biases() {
    for (Index line = 0; line < lines; ++line) {
      Vec<Real> total = load(d_bias + line * V);
      for (int v = 0; v < max_vectors; ++v) total += load(slopes + line * panel_rows + v * V);
      store(d_bias + line * V, total);
    }
  }

  void differentiate_hidden() {
    const Index width = in_hidden.blocks * V;
    for (Index n = 0; n < panel_rows * width; n += V) store(d_hidden + n, Vec<Real>{});
    for (Index line = 0; line < lines; ++line) line_at[line] = slopes + line * panel_rows;
    const Cut cut(present);
    for (Index j = 0; j < of_hidden.blocks; j += max_vectors) {
      for (Index n = 0, tile = 0; tile < cut.tiles; n += cut.rows(int(tile++))) {
        column_tile_for<Real>(cut.rows(int(tile)), of_hidden.vectors(j))(
            line_at, n, lines, back + of_hidden.panel(j), d_hidden + n * width + j * V, width);
      }
    }
    for (Index j = 0; j < of_hidden.blocks; ++j) {
      move_block(d_hidden + j * V, width, call.d_outputs + begin * U + j * V, U, j, V, units(j));
    }
  }

  // A block of all rows that there are, `loads` numbers of each, of which it stores `stores`, after dropout.  With
  // variables of its own: a store may change members for all that the compiler knows.
  void move_block(const Real* from, Index from_row, Real* to, Index to_row, Index j, int loads, int stores) const {
    const bool drops = call.least;
    const Real* keep = kept + j * V;
    const Index count = present, keep_row = drop_bytes;
    const auto move = [&](auto loaded, auto stored) __attribute__((always_inline)) {
      for (Index row = 0; row < count; ++row, from += from_row, to += to_row, keep += keep_row) {
        const Vec<Real> value = load(from, loaded);
        store(to, drops ? value * load(keep) : value, stored);
      }
    };
    if (loads == V && stores == V) move(V, V);
    else move(loads, stores);
  }

  // The gradients of weights and skips: slopes of the block's lines times its features; by rows of the larger of both.
  void add_weights(Index panels) {
    add_product(lines, all_slopes, panels, lines * panel_rows, hidden, in_hidden,
                [&](Index line, Index j) { return d_weight + of_hidden.at(line, j); });
    add_product(K, all_features + U * panel_rows, panels, panel_features, turned, in_medians,
                [&](Index k, Index j) { return d_skips + (k * in_medians.blocks + j) * V; });
  }

  // sums(n, j) += over rows, a [panels][n][panel_rows] times vector j of b.
  template <class Sums>
  void add_product(Index count, const Real* a, Index panels, Index panel, const Real* b, const Panels<Real>& b_at,
                   const Sums& sums) {
    const Cut cut(count);
    for (Index j = 0; j < b_at.blocks; j += max_vectors) {
      for (Index n = 0, tile = 0; tile < cut.tiles; n += cut.rows(int(tile++))) {
        const int size = cut.rows(int(tile));
        const Real* rows[max_rows];
        Real* to[max_rows];
        for (int r = 0; r < size; ++r) {
          rows[r] = a + (n + r) * panel_rows;
          to[r] = sums(n + r, j);
        }
        const Real* by = b + b_at.panel(j);
        row_tile_for<Real>(size, b_at.vectors(j))(rows, panels, panel_rows, panel, by, one_panel, {to, to}, by);
      }
    }
  }

  const HeadLoss<Real>& call;
  const Index H, U, lines, distances, middle, group_rows;
  const bool wants_gradients;
  Index K = 0, drop_bytes, panel_features;
  const Real growth;                                        // by dropout, of what stays
  Panels<Real> in_hidden, in_medians, of_hidden;  // features, medians of a block's rows; features of the lines
  Real *zeros, *medians, *back;                   // [panel_rows]; [H,U+K]; weights as of_hidden
  Real *loss, *d_bias, *d_weight, *d_skips;       // [panel_rows]; [lines][V]; as of_hidden; [K][medians]
  Real *level, *inverse, *weights, *rises;        // [panel_rows] each; [middle][panel_rows]
  Real *all_features, *features;                  // [panels][U+K][panel_rows]; of the panel
  Real *hidden, *turned;                          // as in_hidden; slopes of the medians, as in_medians
  Real *all_slopes, *slopes, *d_hidden;                     // [panels][lines][panel_rows]; of the panel; [rows][U]
  std::uint8_t* drawn;                                      // [panel_rows][drop_bytes]
  Real* kept;                                               // [panel_rows][drop_bytes]
  const Real** line_at;                                     // [lines]
  Index at = 0, begin = 0, present = 0;  // the panel's first row in its block, and of all; how many rows there are
};

template <class Real>
constexpr HeadKernels<Real> head_kernels = {
    [](const HeadLoss<Real>& call) { return HeadRun<Real>(call).sizes; },
    [](const HeadLoss<Real>& call, Real* shared) { HeadRun<Real>(call, shared).prepare(); },
    [](const HeadLoss<Real>& call, const Real* shared, Real scale, Index group, Real* partial, Real* own) {
      HeadRun<Real>(call, const_cast<Real*>(shared), partial, own).run(scale, group);
    },
    [](const HeadLoss<Real>& call, Real* partials) { return HeadRun<Real>(call, nullptr, partials).finish(); },
};

}  // namespace foretell::FORETELL_VARIANT
