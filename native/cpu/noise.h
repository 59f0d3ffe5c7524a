// Random masks from counters: Philox4x32-10 (Salmon et al. 2011), so that they depend on nothing but the seed and on
// what they are for: of zoneout the sequence, the step, the row and the unit.
#pragma once

#include "foretell/lstm.h"
#include "simd.h"

namespace foretell::FORETELL_VARIANT {

// As many 32-bit words as a vector holds.
constexpr int word_lanes = vector_bytes / 4;
typedef std::uint32_t Words __attribute__((vector_size(vector_bytes)));
typedef std::uint64_t LongWords __attribute__((vector_size(vector_bytes)));

// The products of the even lanes with a factor, all 64 bits of each.
inline LongWords multiply_even(Words a, Words factor) {
#if defined(__AVX512F__)
  return (LongWords)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)factor);
#elif defined(__AVX2__)
  return (LongWords)_mm256_mul_epu32((__m256i)a, (__m256i)factor);
#elif defined(__SSE2__)
  return (LongWords)_mm_mul_epu32((__m128i)a, (__m128i)factor);
#else
  return ((LongWords)a & 0xffffffffu) * ((LongWords)factor & 0xffffffffu);
#endif
}

inline void multiply(Words a, std::uint32_t factor, Words& high, Words& low) {
  const Words factors = factor - Words{};
  const LongWords even = multiply_even(a, factors), odd = multiply_even((Words)((LongWords)a >> 32), factors);
  const LongWords low_half = (LongWords{} + 1) * 0xffffffffu;
  high = (Words)((even >> 32) | (odd & ~low_half));
  low = (Words)((even & low_half) | (odd << 32));
}

// Counters -> random words, in place.
inline void philox(Words (&x)[4], std::uint64_t seed) {
  std::uint32_t key0 = std::uint32_t(seed), key1 = std::uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    Words high0, low0, high1, low1;
    multiply(x[0], 0xD2511F53u, high0, low0);
    multiply(x[2], 0xCD9E8D57u, high1, low1);
    x[0] = high1 ^ x[1] ^ key0;
    x[2] = high0 ^ x[3] ^ key1;
    x[1] = low1;
    x[3] = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

// The counters first, first + 1, ...
inline Words count_from(Index first) {
  Words counters{};
  for (int n = 0; n < word_lanes; ++n) counters[n] = std::uint32_t(first) + n;
  return counters;
}

// Words 0 and 1 of the counters (unit, row, step, sequence) for units from `unit` on.
inline void draw_words(Index unit, Index row, Index step, Index sequence, std::uint64_t seed, Words& word0,
                       Words& word1) {
  Words x[4] = {count_from(unit), std::uint32_t(row) - Words{}, std::uint32_t(step) - Words{},
                std::uint32_t(sequence) - Words{}};
  philox(x, seed);
  word0 = x[0];
  word1 = x[1];
}

constexpr Index counter_bytes = 16;

// The bytes of `count` counters from `first` on, 16 each; whole vectors of counters are written.
inline void draw_bytes(std::uint64_t seed, Index first, Index count, std::uint8_t* bytes) {
  auto* to = reinterpret_cast<std::uint32_t*>(bytes);
  for (Index n = 0; n < count; n += word_lanes) {
    Words x[4] = {count_from(first + n), Words{}, Words{}, Words{}};
    philox(x, seed);
    for (int lane = 0; lane < word_lanes; ++lane) {
      for (int word = 0; word < 4; ++word) to[(n + lane) * 4 + word] = x[word][lane];
    }
  }
}

// How much of the old value stays: 1 with the given chance and else 0, or in evaluation the chance itself.  What is
// drawn is kept for whoever needs it later, a byte for each unit: [J][pairs][h c][V].
template <class Real>
class Zoneout {
 public:
  static constexpr int V = lanes<Real>;

  template <class Number>
  Zoneout(const Forward<Number>& layer, std::int8_t* kept, Index pairs)
      : h_(layer.cell.zoneout_h), c_(layer.cell.zoneout_c), draws_(layer.cell.draws), limit_h_(limit(h_)),
        limit_c_(limit(c_)), sequence_(layer.sequence), first_step_(layer.first_step), ends_(layer.ends),
        seed_(layer.seed), kept_(kept), pairs_(pairs) {}

  bool of_h() const { return h_ > 0; }
  bool of_c() const { return c_ > 0; }

  void draw(Index j, Index number, Index caller_row, Index step) const {
    if (!draws_ || !(of_h() || of_c())) return;
    Words word_h, word_c;
    const Index since = first_step_ + step, counted = ends_ ? ends_[caller_row] - 1 - since : since;
    draw_words(j * V, caller_row, counted, sequence_, seed_, word_h, word_c);
    std::int8_t* to = place(j, number);
    for (int n = 0; n < V; ++n) to[n] = (word_h[n] >> 8) < limit_h_;
    for (int n = 0; n < V; ++n) to[V + n] = (word_c[n] >> 8) < limit_c_;
  }
  Vec<Real> keep_h(Index j, Index number) const { return draws_ ? read(place(j, number)) : all(Real(h_)); }
  Vec<Real> keep_c(Index j, Index number) const { return draws_ ? read(place(j, number) + V) : all(Real(c_)); }

 private:
  static std::uint32_t limit(double chance) {
    const double exact = chance * (1 << 24);  // 24 random bits
    return std::uint32_t(exact) + (exact > std::uint32_t(exact));
  }
  static Vec<Real> read(const std::int8_t* from) {
    Vec<Real> value{};
    for (int n = 0; n < V; ++n) value[n] = from[n];
    return value;
  }
  std::int8_t* place(Index j, Index number) const { return kept_ + (j * pairs_ + number) * 2 * V; }

  double h_, c_;
  bool draws_;
  std::uint32_t limit_h_, limit_c_;
  Index sequence_, first_step_;
  const Index* ends_;
  std::uint64_t seed_;
  std::int8_t* kept_;
  Index pairs_;
};

}  // namespace foretell::FORETELL_VARIANT
