// What one core can do at most: fused multiply-adds in float32, and dot products of pairs of bfloat16.
//   g++ -O2 -mavx512f -mavx512bf16 01_peak.cpp -o /tmp/peak && /tmp/peak
#include <immintrin.h>

#include <chrono>
#include <cstdio>

#define TWELVE(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define DECLARE(n) __m512 sum##n = _mm512_setzero_ps();
#define ADD(n) asm volatile(INSTRUCTION " %1, %1, %0" : "+v"(sum##n) : "v"(value));

template <class F>
void report(const char* name, double flops, F work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%-12s %6.1f GF/s\n", name, flops / seconds / 1e9);
}

int main() {
  constexpr long rounds = 20'000'000;
  const __m512 value = _mm512_set1_ps(0.5f);
  report("vfmadd231ps", 12.0 * 32 * rounds, [&] {
    TWELVE(DECLARE)
#define INSTRUCTION "vfmadd231ps"
    for (long n = 0; n < rounds; ++n) { TWELVE(ADD) }
#undef INSTRUCTION
  });
  report("vdpbf16ps", 12.0 * 64 * rounds, [&] {
    TWELVE(DECLARE)
#define INSTRUCTION "vdpbf16ps"
    for (long n = 0; n < rounds; ++n) { TWELVE(ADD) }
#undef INSTRUCTION
  });
}
