// What the tests of the kernels share: checks that count failures, and a process for each instruction set.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "foretell/cpu.h"

inline int failures = 0;

// Says what failed, and in which case.
inline bool check(bool ok, const char* what, const char* where = "") {
  if (ok) return true;
  if (++failures <= 20) std::fprintf(stderr, "failed: %s %s\n", what, where);
  return false;
}

// Runs a problem with one thread, compares what it gives with what is right, and asks for the same bits of more.
template <class Work, class Problem>
void check_threads(const Problem& problem, double tolerance) {
  Work first(problem);
  first.run(1);
  first.compare(tolerance);
  for (int threads : {2, 3}) {
    Work other(problem);
    other.run(threads);
    check(first.same(other), "any number of threads gives the same:", problem.name.c_str());
  }
}

constexpr int skipped = 77;  // the exit status that ctest takes for a test that was not run

// Does this machine run the instruction set that FORETELL_CPU names?  If not, says so.
inline bool is_supported() {
  const char* forced = std::getenv("FORETELL_CPU");
  for (const foretell::Variant& variant : foretell::variants()) {
    if (!forced || variant.name != std::string_view(forced) || variant.supported()) continue;
    std::printf("This machine does not run %s: its kernels were not tested.\n", forced);
    return false;
  }
  std::printf("Kernels: %s\n", foretell::active().name.data());
  return true;
}
