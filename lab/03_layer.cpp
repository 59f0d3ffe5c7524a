// One layer alone, without Python: what a profiler should see.
//   layer TIME BATCH INPUTS HIDDEN THREADS forward|backward SECONDS
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "foretell/lstm.h"

using namespace foretell;

int main(int, char** words) {
  const Index time = std::atoi(words[1]), batch = std::atoi(words[2]), inputs = std::atoi(words[3]);
  const Index hidden = std::atoi(words[4]);
  const int threads = std::atoi(words[5]);
  const bool backwards = !std::strcmp(words[6], "backward");
  const auto numbers = [](Index count) {
    std::vector<float> made(count);
    for (float& number : made) number = float(std::rand()) / float(RAND_MAX) - 0.5f;
    return made;
  };
  const auto scaled = [&](Index count) {
    auto made = numbers(count);
    for (float& number : made) number *= 0.1f;
    return made;
  };
  auto x = numbers(time * batch * inputs), y = numbers(time * batch * hidden), dy = scaled(time * batch * hidden);
  auto w = scaled(4 * hidden * inputs), r = scaled(4 * hidden * hidden), b = scaled(4 * hidden);
  auto h = scaled(batch * hidden), c = scaled(batch * hidden), hn = h, cn = c, dx = x, dw = w, dr = r, db = b;
  std::vector<Index> first(time + 1);
  for (Index t = 0; t <= time; ++t) first[t] = t * batch;
  Forward<float> f;
  f.cell.inputs = inputs;
  f.cell.hidden = f.cell.outputs = hidden;
  f.rows.time = time;
  f.rows.batch = batch;
  f.rows.first = first.data();
  f.x = {x.data(), batch * inputs, inputs};
  f.y = {y.data(), batch * hidden, hidden};
  f.weights.weight_ih = w.data();
  f.weights.weight_hh = r.data();
  f.weights.bias_ih = f.weights.bias_hh = b.data();
  f.initial.h = h.data();
  f.initial.c = c.data();
  f.final.h = hn.data();
  f.final.c = cn.data();
  std::vector<float> saved(kernels<float>().saved_size(f) + 16);
  float* aligned = reinterpret_cast<float*>((reinterpret_cast<std::uintptr_t>(saved.data()) + 63) / 64 * 64);
  if (backwards) f.saved = aligned;
  forward(&f, 1, 1, threads);
  Backward<float> d;
  d.forward = f;
  d.dy = {dy.data(), batch * hidden, hidden};
  d.dx = {dx.data(), batch * inputs, inputs};
  d.dweights.weight_ih = dw.data();
  d.dweights.weight_hh = dr.data();
  d.dweights.bias_ih = d.dweights.bias_hh = db.data();
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto seconds_since = [&](auto begin) { return std::chrono::duration<double>(now() - begin).count(); };
  double best = 1e9;
  for (const auto begin = now(); seconds_since(begin) < std::atof(words[7]);) {
    const auto start = now();
    if (backwards) backward(&d, 1, 1, threads);
    else forward(&f, 1, 1, threads);
    best = std::min(best, seconds_since(start));
  }
  const double flops = (backwards ? 2.0 : 1.0) * 8.0 * time * batch * hidden * (inputs + hidden);
  std::printf("%.4f ms, %.0f GF/s\n", best * 1e3, flops / best / 1e9);
}
