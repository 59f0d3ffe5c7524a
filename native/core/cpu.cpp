// CPU features, caches and the list of instruction-set variants.  Compiled for the baseline CPU.
#include "foretell/cpu.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#endif

namespace foretell {
namespace {

constexpr std::string_view avx512_needs[] = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"};
constexpr std::string_view bf16_needs[] = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl",
                                           "avx512_bf16"};
constexpr std::string_view amx_needs[] = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl",
                                          "avx512_bf16", "amx_bf16"};
constexpr std::string_view avx2_needs[] = {"avx2", "fma"};
constexpr std::string_view neon_needs[] = {"neon"};

constexpr Variant all_variants[] = {
    {"amx", amx_needs},
    {"avx512_bf16", bf16_needs},
    {"avx512", avx512_needs},
    {"avx2", avx2_needs},
    {"neon", neon_needs},
    {"baseline", {}},
};

// Does a dot product of bfloat16 take no longer here than a product of floats?  On AMD's Zen 5 so; on Intel's Emerald
// Rapids it takes twice as long (lab/README.md, 1 and 45).  Their other CPUs are taken to be alike.
bool has_fast_dot_products() {
#if defined(__x86_64__)
  return !__builtin_cpu_is("intel");
#else
  return true;
#endif
}

#if defined(__x86_64__)

// Does the system let this process use the unit for matrices of bfloat16?  Linux grants its large registers to a process
// that asks, and to all of its threads.
bool has_matrices() {
#if defined(FORETELL_EMULATE_MATRICES)
  return true;
#elif defined(__linux__)
  static const bool granted = [] {
    constexpr unsigned bfloat16 = 1u << 22, tiles = 1u << 24;   // of cpuid's leaf 7; not all compilers name them
    constexpr int request_permission = 0x1023, tile_data = 18;  // of arch_prctl
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && edx & bfloat16 && edx & tiles &&
           syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }();
  return granted;
#else
  return false;
#endif
}

#endif

}  // namespace

std::vector<std::string_view> features() {
  std::vector<std::string_view> found;
#if defined(__x86_64__)
  // The builtin reads cpuid, and xgetbv for the registers that the operating system must save.
  if (__builtin_cpu_supports("avx2")) found.push_back("avx2");
  if (__builtin_cpu_supports("fma")) found.push_back("fma");
  if (__builtin_cpu_supports("avx512f")) found.push_back("avx512f");
  if (__builtin_cpu_supports("avx512bw")) found.push_back("avx512bw");
  if (__builtin_cpu_supports("avx512dq")) found.push_back("avx512dq");
  if (__builtin_cpu_supports("avx512vl")) found.push_back("avx512vl");
  if (__builtin_cpu_supports("avx512bf16")) found.push_back("avx512_bf16");
  if (has_matrices()) found.push_back("amx_bf16");
#elif defined(__aarch64__)
  found.push_back("neon");  // part of every 64-bit Arm
#endif
  return found;
}

double second_cache_bytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  if (const long told = sysconf(_SC_LEVEL2_CACHE_SIZE); told > 0) return double(told);
#endif
  return 1 << 20;
}

bool Variant::supported() const {
  const auto found = features();
  return std::ranges::all_of(needs, [&](auto need) { return std::ranges::find(found, need) != found.end(); });
}

std::span<const Variant> variants() { return all_variants; }

std::vector<const Variant*> supported_variants() {
  std::vector<const Variant*> found;
  for (const Variant& variant : all_variants) {
    if (variant.supported()) found.push_back(&variant);
  }
  const auto dots = std::ranges::find(found, "avx512_bf16", &Variant::name);
  if (dots != found.end() && !has_fast_dot_products()) std::iter_swap(dots, dots + 1);
  return found;
}

const Variant& choose(std::string_view forced) {
  std::string names;
  for (const Variant* variant : supported_variants()) {
    if (forced.empty() || forced == variant->name) return *variant;
    if (!names.empty()) names += ", ";
    names += variant->name;
  }
  throw std::invalid_argument("FORETELL_CPU must be one of " + names + " on this machine; got '" +
                              std::string(forced) + "'.");
}

const Variant& active() {
  static const Variant& chosen = []() -> const Variant& {
    const char* forced = std::getenv("FORETELL_CPU");
    return choose(forced ? forced : "");
  }();
  return chosen;
}

}  // namespace foretell
