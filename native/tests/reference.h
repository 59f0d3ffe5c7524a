// The equations of src/foretell/lstm/definition.py in double, one number at a time: what the kernels must agree with.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "foretell/lstm.h"

namespace reference {

using foretell::Cell;
using foretell::Index;
using Vector = std::vector<double>;

// As foretell::Parameters; empty where there is none.
struct Weights {
  Vector weight_ih, weight_hh, bias_ih, bias_hh, weight_hr, peephole, weight_gate, norm_ih, norm_hh, norm_c, bias_c;
};

struct State {
  Vector h, c, gates;  // [B,R], [B,H], [B,nH]; or of one row
};

struct Problem {
  Cell cell;
  Index time = 0, batch = 0;
  std::vector<Index> lengths;  // [B]
  bool reverse = false;
  std::vector<std::uint8_t> reset;  // [T,B], or empty
  std::uint64_t seed = 0;
  Index sequence = 0;
  Index first_step = 0;
  std::vector<Index> ends;  // [B], or empty
  Vector x;  // [T,B,I]
  Weights weights;
  Vector hidden_mask;  // [B,R], or empty
  State initial, start;
};

struct Answer {
  Vector y;  // [T,B,R], 0 beyond a row's length, as all that follows
  State final;
  Vector activity[5];  // i, f, g, o, c, each [T,B,H]
};

using Words = std::array<std::uint32_t, 4>;

// Philox4x32-10, as in table 2 of Salmon et al. 2011.
inline Words philox(Words counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t(counter[0]) * 0xD2511F53, right = std::uint64_t(counter[2]) * 0xCD9E8D57;
    counter = {std::uint32_t(right >> 32) ^ counter[1] ^ key[0], std::uint32_t(right),
               std::uint32_t(left >> 32) ^ counter[3] ^ key[1], std::uint32_t(left)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// Where a gate or the candidate has its rows; the parts are numbered i, f, g, o.
struct Blocks {
  int block[4], gate[4];  // -1: none
  int blocks = 0, gates = 0;

  explicit Blocks(const Cell& cell) {
    const bool there[4] = {cell.input_gate, cell.forget_gate && !cell.coupled, true, cell.output_gate};
    for (int part = 0; part < 4; ++part) {
      block[part] = there[part] ? blocks++ : -1;
      gate[part] = there[part] && part != 2 ? gates++ : -1;
    }
  }
};

inline double sigmoid(double a) { return 1 / (1 + std::exp(-a)); }

// rows [n,K] times v [K]
inline Vector product(const Vector& rows, const double* v, Index width) {
  Vector out(rows.size() / width);
  for (std::size_t n = 0; n < out.size(); ++n) {
    for (Index k = 0; k < width; ++k) out[n] += rows[n * width + k] * v[k];
  }
  return out;
}

inline Vector normalise(Vector values, const Vector& gain) {
  if (gain.empty()) return values;
  double mean = 0, variance = 0;
  for (double value : values) mean += value / double(values.size());
  for (double value : values) variance += (value - mean) * (value - mean) / double(values.size());
  for (std::size_t n = 0; n < values.size(); ++n) values[n] = (values[n] - mean) / std::sqrt(variance + 1e-5) * gain[n];
  return values;
}

class Reader {
 public:
  explicit Reader(const Problem& problem) : p(problem), cell(p.cell), at(cell) {}

  Answer read() {
    Answer answer;
    answer.y.resize(p.time * p.batch * cell.outputs);
    for (Vector& part : answer.activity) part.resize(p.time * p.batch * cell.hidden);
    answer.final = p.initial;
    for (Index b = 0; b < p.batch; ++b) {
      State state = row_of(p.initial, b);
      for (Index n = 0; n < p.lengths[b]; ++n) {
        const Index t = p.reverse ? p.lengths[b] - 1 - n : n;
        // A reset at t is a border between t - 1 and t, which a reader from the end meets before t - 1.
        const Index border = p.reverse ? t + 1 : t;
        if (!p.reset.empty() && border < p.lengths[b] && p.reset[border * p.batch + b]) state = row_of(p.start, b);
        step(t, b, state, answer);
      }
      put(state.h, b, answer.final.h);
      put(state.c, b, answer.final.c);
      put(state.gates, b, answer.final.gates);
    }
    return answer;
  }

 private:
  State row_of(const State& state, Index b) const {
    const auto row = [&](const Vector& all) {
      const auto width = std::ptrdiff_t(all.size()) / p.batch;
      return Vector(all.begin() + b * width, all.begin() + (b + 1) * width);
    };
    return {row(state.h), row(state.c), row(state.gates)};
  }
  static void put(const Vector& row, Index number, Vector& rows) {
    std::copy(row.begin(), row.end(), rows.begin() + number * std::ptrdiff_t(row.size()));
  }

  void step(Index t, Index b, State& state, Answer& answer) const {
    const Index H = cell.hidden, R = cell.outputs;
    const Vector a = before_activation(t, b, state);
    const auto value = [&](int part, Index u, double c) {
      if (at.block[part] < 0) return 1.0;
      const double seen = cell.peepholes ? p.weights.peephole[at.gate[part] * H + u] * c : 0;
      return sigmoid(a[at.block[part] * H + u] + seen);
    };
    Vector fresh(H), output(H);
    for (Index u = 0; u < H; ++u) {
      const double i = value(0, u, state.c[u]), f = cell.coupled ? 1 - i : value(1, u, state.c[u]);
      const double summed = a[at.block[2] * H + u], g = cell.input_activation ? std::tanh(summed) : summed;
      fresh[u] = f * state.c[u] + i * g;
      const double o = value(3, u, fresh[u]), keep = kept(t, b, u, 1), parts[4] = {i, f, g, o};
      state.c[u] = keep * state.c[u] + (1 - keep) * fresh[u];
      for (int part = 0; part < 4; ++part) {
        answer.activity[part][(t * p.batch + b) * H + u] = parts[part];
        if (cell.gate_recurrence && at.gate[part] >= 0) state.gates[at.gate[part] * H + u] = parts[part];
      }
      answer.activity[4][(t * p.batch + b) * H + u] = state.c[u];
    }
    fresh = normalise(fresh, p.weights.norm_c);
    for (Index u = 0; u < H; ++u) {
      if (!p.weights.bias_c.empty()) fresh[u] += p.weights.bias_c[u];
      const double out = cell.output_activation ? std::tanh(fresh[u]) : fresh[u];
      output[u] = answer.activity[3][(t * p.batch + b) * H + u] * out;
    }
    if (cell.projection) output = product(p.weights.weight_hr, output.data(), H);
    for (Index u = 0; u < R; ++u) {
      const double keep = kept(t, b, u, 0);
      state.h[u] = keep * state.h[u] + (1 - keep) * output[u];
      answer.y[(t * p.batch + b) * R + u] = state.h[u];
    }
  }

  // a_t [GH], peepholes apart.
  Vector before_activation(Index t, Index b, const State& state) const {
    Vector seen = state.h;
    if (!p.hidden_mask.empty()) {
      for (Index k = 0; k < cell.outputs; ++k) seen[k] *= p.hidden_mask[b * cell.outputs + k];
    }
    const double* x = &p.x[(t * p.batch + b) * cell.inputs];
    const Vector of_x = normalise(product(p.weights.weight_ih, x, cell.inputs), p.weights.norm_ih);
    const Vector of_h = normalise(product(p.weights.weight_hh, seen.data(), cell.outputs), p.weights.norm_hh);
    Vector a(of_x.size());
    for (std::size_t n = 0; n < a.size(); ++n) {
      a[n] = of_x[n] + of_h[n] + (p.weights.bias_ih.empty() ? 0 : p.weights.bias_ih[n] + p.weights.bias_hh[n]);
    }
    if (!cell.gate_recurrence) return a;
    const Vector of_gates = product(p.weights.weight_gate, state.gates.data(), at.gates * cell.hidden);
    for (int part = 0; part < 4; ++part) {
      if (at.gate[part] < 0) continue;
      for (Index u = 0; u < cell.hidden; ++u) {
        a[at.block[part] * cell.hidden + u] += of_gates[at.gate[part] * cell.hidden + u];
      }
    }
    return a;
  }

  // How much of its old h (word 0) or c (word 1) a unit keeps.
  double kept(Index t, Index b, Index u, int word) const {
    const double chance = word ? cell.zoneout_c : cell.zoneout_h;
    if (!cell.draws) return chance;
    const Index since = p.first_step + t, step = p.ends.empty() ? since : p.ends[b] - 1 - since;
    const Words counter{std::uint32_t(u), std::uint32_t(b), std::uint32_t(step), std::uint32_t(p.sequence)};
    const Words words = philox(counter, {std::uint32_t(p.seed), std::uint32_t(p.seed >> 32)});
    return (words[word] >> 8) / 16777216.0 < chance;  // 2^24
  }

  const Problem& p;
  const Cell& cell;
  const Blocks at;
};

inline Answer run(const Problem& problem) { return Reader(problem).read(); }

}  // namespace reference
