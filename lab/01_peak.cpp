// What one core can do at most: fused multiply-adds in float32, dot products of pairs of bfloat16, and where there is a
// unit for them (AMX) products of matrices of bfloat16.
//   g++ -O2 -mavx512f -mavx512bf16 01_peak.cpp -o /tmp/peak && /tmp/peak
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

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
  constexpr int request_permission = 0x1023, tile_data = 18;  // of arch_prctl
  if (!__builtin_cpu_supports("amx-bf16") || syscall(SYS_arch_prctl, request_permission, tile_data) != 0) return 0;
  struct {
    char palette = 1, reserved[15] = {};
    short row_bytes[16] = {64, 64, 64, 64, 64, 64};
    char rows[16] = {16, 16, 16, 16, 16, 16};
  } configuration;
  alignas(64) short numbers[16 * 32];
  for (short& number : numbers) number = 0x3f00;  // 0.5
  asm volatile("ldtilecfg %0" : : "m"(configuration));
  asm volatile("tileloadd (%0,%1,1), %%tmm4; tileloadd (%0,%1,1), %%tmm5" : : "r"(numbers), "r"(64L) : "memory");
  report("tdpbf16ps", 4.0 * 16 * 16 * 64 * rounds, [&] {
    for (long n = 0; n < rounds; ++n) {
      asm volatile("tdpbf16ps %tmm5, %tmm4, %tmm0; tdpbf16ps %tmm5, %tmm4, %tmm1");
      asm volatile("tdpbf16ps %tmm5, %tmm4, %tmm2; tdpbf16ps %tmm5, %tmm4, %tmm3");
    }
  });
}
