// The list of variants and the choice among them.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "foretell/cpu.h"

namespace {

int failures = 0;

void check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++failures;
}

std::string refusal(std::string_view forced) {
  try {
    foretell::choose(forced);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

}  // namespace

int main() {
  const auto variants = foretell::variants();
  check(variants.back().name == "baseline", "the last variant is the baseline");
  check(variants.back().supported(), "the baseline runs everywhere");

  for (const auto& variant : variants) {
    if (variant.supported()) {
      check(foretell::choose(variant.name).name == variant.name, "a supported variant can be forced");
    } else {
      check(!refusal(variant.name).empty(), "a variant that this machine does not run is refused");
    }
  }
  check(&foretell::choose("") == foretell::supported_variants().front(), "the best supported variant is chosen");

  const double cache = foretell::second_cache_bytes();
  check(cache >= 1 << 16 && cache <= 1 << 28, "a second cache is larger than the first and smaller than memory");

  const std::string message = refusal("abacus");
  check(message.find("'abacus'") != std::string::npos, "the refusal names what came");
  check(message.find("baseline") != std::string::npos, "the refusal names what is allowed");

  setenv("FORETELL_CPU", "baseline", 1);
  check(foretell::active().name == "baseline", "the environment variable forces a variant");
  setenv("FORETELL_CPU", "abacus", 1);
  check(foretell::active().name == "baseline", "the environment variable is read once");
  return failures ? 1 : 0;
}
