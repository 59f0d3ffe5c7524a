// How fast are products of floats in pieces by the unit for matrices (trial 101)?  Rows with panels of four vectors,
// which lie in L2 up to a depth of 256.  On Linux with AMX.
//   g++ -std=c++20 -O3 -ffp-contract=off -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mavx512bf16 -mamx-tile \
//     -mamx-bf16 -I../native/include -I../native/cpu 04_pieces.cpp ../native/core/threads.cpp -pthread -o /tmp/pieces \
//     && /tmp/pieces
#define FORETELL_VARIANT trial
#define FORETELL_BFLOAT16
#define FORETELL_MATRICES
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "kernels.h"

using namespace foretell;
using namespace foretell::trial;

struct alignas(64) Line {
  float numbers[16] = {};
};

int main() {
  constexpr int request_permission = 0x1023, tile_data = 18;  // of arch_prctl
  if (syscall(SYS_arch_prctl, request_permission, tile_data) != 0) return std::puts("No unit for matrices.") < 0;
  const MatrixUnit unit;
  constexpr int vectors = 4, V = lanes<float>;
  for (Index depth : {128, 256, 512, 1024}) {
    const Index panels = depth / V, factors = Layout<float>::depth(depth);
    std::vector<Line> memory(1 << 20);
    Parts<float> parts(memory[0].numbers);
    Left<float> rows_of;
    rows_of.take(parts, max_rows, depth);
    std::vector<float> row(depth, 0.3f);
    for (int r = 0; r < max_rows; ++r) rows_of.set(r, row.data(), depth);
    auto* panel = parts.take_as<Factor<float>>(panels * factors * vectors * V);
    for (Index n = 0; n < panels * factors * vectors; n += 2) Product<float>::store_vector(panel + n * V, 0, all(0.7f));
    float* sums = parts.take(panels * max_rows * vectors * V);
    for (int rows : {16, 32}) {
      double best = 1e9;
      for (int round = 0; round < 300; ++round) {
        const auto begin = std::chrono::steady_clock::now();
        for (Index p = 0; p < panels; ++p) {
          float* to[max_rows];
          for (int r = 0; r < rows; ++r) to[r] = sums + (p * max_rows + r) * vectors * V;
          rows_of.multiply(0, rows, 0, factors, panel + p * factors * vectors * V, vectors, {to, to}, nullptr);
        }
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
        best = std::min(best, taken.count());
      }
      const double flops = 2.0 * rows * double(depth * panels * vectors * V);
      std::printf("depth %4ld, %5ld KiB, %2d rows: %6.1f GF/s\n", long(depth),
                  long(panels * factors * vectors * V * Index(sizeof(Factor<float>)) / 1024), rows, flops / best / 1e9);
    }
  }
}
