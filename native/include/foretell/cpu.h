// What this machine's CPU can run, and which instruction set the kernels use.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace foretell {

// Names as Linux spells them, for example "avx512_bf16"; only what the operating system has enabled too.
std::vector<std::string_view> features();

// Bytes of a core's second cache; of a common one where the system does not tell.
double second_cache_bytes();

// One build of the kernels.
struct Variant {
  std::string_view name;
  std::span<const std::string_view> needs;  // features

  bool supported() const;
};

std::span<const Variant> variants();  // the last, "baseline", runs everywhere
std::vector<const Variant*> supported_variants();  // by this machine, best first

// The forced variant, or the best supported one if `forced` is empty.
// Throws std::invalid_argument, naming what is allowed, if this machine does not run `forced`.
const Variant& choose(std::string_view forced);

// choose() with the environment variable FORETELL_CPU, read once.
const Variant& active();

}  // namespace foretell
