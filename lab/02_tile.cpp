// How fast is a tile alone?  Products of 6, 5, ... 1 rows with panels that lie in L1 and in L2, against the machine's
// peak of fused multiply-adds.
//   g++ -std=c++20 -O3 -ffp-contract=off -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -I../native/include \
//     -I../native/cpu 02_tile.cpp ../native/core/threads.cpp -pthread -o /tmp/tile && /tmp/tile
#define FORETELL_VARIANT trial
#include <chrono>
#include <cstdio>
#include <vector>

#include "kernels.h"  // all of them: of tiles alone GCC 12 makes code that stores every sum at every product

using namespace foretell;
using namespace foretell::trial;

struct alignas(64) Line {
  float numbers[16] = {};
};

template <class F>
double best_seconds(F work) {
  double best = 1e9;
  for (int round = 0; round < 30; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const double taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (taken < best) best = taken;
  }
  return best;
}

int main() {
  constexpr int V = lanes<float>;
  for (Index depth : {64, 128, 256, 1024}) {
    for (Index panels : {1, 8}) {
      const auto lines = [](Index count) { return std::vector<Line>(count * sizeof(float) / sizeof(Line) + 1); };
      auto b_lines = lines(panels * depth * 4 * V), a_lines = lines(48 * depth), c_lines = lines(48 * 4 * V);
      float *b = b_lines[0].numbers, *a = a_lines[0].numbers, *c = c_lines[0].numbers;
      for (int rows = max_rows; rows >= 1; --rows) {
        const float* from[max_rows];
        float* to[max_rows];
        const float* as[max_rows];
        const int tiles = 12 / rows * 2;
        const int repeats = int(4e6 / double(depth * panels * tiles * rows)) + 1;
        const double seconds = best_seconds([&] {
          for (int n = 0; n < repeats; ++n) {
            for (Index p = 0; p < panels; ++p) {
              for (int t = 0; t < tiles; ++t) {
                for (int r = 0; r < rows; ++r) {
                  as[r] = a + ((t * rows + r) % 48) * depth;
                  from[r] = to[r] = c + ((t * rows + r) % 48) * 4 * V;
                }
                row_tile_for<float>(rows, 4)(as, 1, depth, 0, b + p * depth * 4 * V, one_panel, {from, to}, b);
              }
            }
          }
        });
        const double flops = 2.0 * repeats * panels * tiles * rows * depth * 4 * V;
        std::printf("depth %4ld, panels %ld (%4ld KiB), rows %d: %6.1f GF/s\n", long(depth), long(panels),
                    long(panels * depth * 4 * V * 4 / 1024), rows, flops / seconds / 1e9);
      }
    }
  }
}
