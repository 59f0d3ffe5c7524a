// Zoneout masks from counters: Philox4x32-10 (Salmon et al. 2011), so that they depend on nothing but the seed, the
// sequence, the step, the row and the unit.
#pragma once

#include "foretell/lstm.h"
#include "simd.h"

namespace foretell::FORETELL_VARIANT {

// Of one block of units: the words of h and of c.
template <int COUNT>
struct Words {
  std::uint32_t h[COUNT], c[COUNT];
};

template <int COUNT>
inline Words<COUNT> draw_words(Index unit, Index row, Index step, Index sequence, std::uint64_t seed) {
  std::uint32_t x0[COUNT], x1[COUNT], x2[COUNT], x3[COUNT];
  for (int n = 0; n < COUNT; ++n) {
    x0[n] = std::uint32_t(unit) + n;
    x1[n] = std::uint32_t(row);
    x2[n] = std::uint32_t(step);
    x3[n] = std::uint32_t(sequence);
  }
  std::uint32_t key0 = std::uint32_t(seed), key1 = std::uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int n = 0; n < COUNT; ++n) {
      const std::uint64_t first = std::uint64_t(x0[n]) * 0xD2511F53u, second = std::uint64_t(x2[n]) * 0xCD9E8D57u;
      x0[n] = std::uint32_t(second >> 32) ^ x1[n] ^ key0;
      x2[n] = std::uint32_t(first >> 32) ^ x3[n] ^ key1;
      x1[n] = std::uint32_t(second);
      x3[n] = std::uint32_t(first);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  Words<COUNT> words;
  for (int n = 0; n < COUNT; ++n) {
    words.h[n] = x0[n];
    words.c[n] = x1[n];
  }
  return words;
}

// How much of the old value stays: 1 with the given chance and else 0, or in evaluation the chance itself.
template <class Real>
class Zoneout {
 public:
  static constexpr int V = lanes<Real>;

  explicit Zoneout(const Forward<Real>& layer) : layer_(layer), cell_(layer.cell) {}

  bool of_h() const { return cell_.zoneout_h > 0; }
  bool of_c() const { return cell_.zoneout_c > 0; }

  void keep(Index unit, Index caller_row, Index step, Vec<Real>& h, Vec<Real>& c) const {
    h = all(Real(cell_.zoneout_h));
    c = all(Real(cell_.zoneout_c));
    if (!cell_.draws) return;
    const Words<V> words = draw_words<V>(unit, caller_row, step, layer_.sequence, layer_.seed);
    h = below(words.h, cell_.zoneout_h);
    c = below(words.c, cell_.zoneout_c);
  }

 private:
  static Vec<Real> below(const std::uint32_t* words, double chance) {
    const double exact = chance * (1 << 24);  // 24 random bits
    const auto limit = std::uint32_t(exact) + (exact > std::uint32_t(exact));
    Real kept[V];
    for (int n = 0; n < V; ++n) kept[n] = (words[n] >> 8) < limit ? Real(1) : Real(0);
    return load(kept);
  }

  const Forward<Real>& layer_;
  const Cell& cell_;
};

}  // namespace foretell::FORETELL_VARIANT
