// What products multiply: numbers as they are, or bfloat16 by twos, of which one instruction adds both products to a
// sum.  Such a factor has as many bytes as the sum: vectors hold as many of each, and memory for one suits the other.
// Where a unit for matrices multiplies, floats are pairs in pieces (pieces.h).
#pragma once

#include "foretell/lstm.h"
#include "simd.h"

namespace foretell::FORETELL_VARIANT {

// No vectors of it: it is widened on its way into one.
template <>
struct Simd<BFloat16> {};

// Two neighbours of a row; or, where a product sums over pairs (step, row), of a column.
struct Pair {
  BFloat16 first, second;
};

template <class Number>
struct Product {
  using Factor = Number;
  using Factors = Vec<Number>;
  static constexpr Index together = 1, unit = 1;  // numbers of a factor; factors of a row that products take at once

  static Factors broadcast(const Factor* from) { return all(*from); }
  static Factors load(const Factor* from) { return FORETELL_VARIANT::load(from); }
  static Vec<Number> add(Factors a, Factors b, Vec<Number> sum) { return fma(a, b, sum); }

  // A vector of factors from the first `count` numbers of a row; what is not there is 0.
  static Vec<Number> of_row(const Number* row, Index count) {
    return FORETELL_VARIANT::load(row, int(count < lanes<Number> ? count : lanes<Number>));
  }
  // The same from a vector of each of as many rows as make a factor.
  static Vec<Number> of_rows(Vec<Number> first, Vec<Number>) { return first; }

  // Vector v of a row of factors.
  static Vec<Number> load_vector(const Factor* row, Index v) { return load(row + v * lanes<Number>); }
  static void store_vector(Factor* row, Index v, Vec<Number> value) { store(row + v * lanes<Number>, value); }
  // Vectors v, which is even, and v + 1.
  static void store_vectors(Factor* row, Index v, Vec<Number> first, Vec<Number> second) {
    store_vector(row, v, first);
    store_vector(row, v + 1, second);
  }
};

#if defined(FORETELL_BFLOAT16)

inline Vec<float> widen(__m256i numbers) {
  return (Vec<float>)_mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, numbers), 16);
}
inline Vec<float> load(const BFloat16* from) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline Vec<float> load(const BFloat16* from, int count) {
  return widen(_mm256_maskz_loadu_epi16(first_lanes(count), from));
}

// Rounded to the nearest, or the even one of two; denormals become 0.
inline __m256i narrow(Vec<float> value) { return (__m256i)_mm512_maskz_cvtneps_pbh(0xffff, (__m512)value); }
inline __m512i narrow(Vec<float> first, Vec<float> second) {
  return (__m512i)_mm512_maskz_cvtne2ps_pbh(0xffffffff, (__m512)second, (__m512)first);
}
inline void store(BFloat16* to, Vec<float> value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(value));
}
inline void store(BFloat16* to, Vec<float> value, int count) {
  _mm256_mask_storeu_epi16(to, first_lanes(count), narrow(value));
}

// Lane by lane the first and the second of a pair.
inline __m512i join(__m256i first, __m256i second) {
  const __m512i upper = _mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, second), 16);
  return _mm512_or_si512(_mm512_maskz_cvtepu16_epi32(0xffff, first), upper);
}

template <>
struct Product<BFloat16> {
  using Factor = Pair;
  using Factors = __m512i;
  static constexpr Index together = 2, unit = has_matrices ? 16 : 1;

  static Factors broadcast(const Factor* from) {
    int bits;
    __builtin_memcpy(&bits, from, sizeof(bits));
    return _mm512_set1_epi32(bits);
  }
  static Factors load(const Factor* from) { return _mm512_loadu_si512(from); }
  static Vec<float> add(Factors a, Factors b, Vec<float> sum) {
    return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
  static Vec<float> of_row(const float* row, Index count) {
    constexpr Index V = lanes<float>;
    const Vec<float> lower = FORETELL_VARIANT::load(row, int(count < V ? count : V));
    const Index left = count < V ? 0 : count < 2 * V ? count - V : V;
    const Vec<float> upper = left ? FORETELL_VARIANT::load(row + V, int(left)) : Vec<float>{};
    return (Vec<float>)narrow(lower, upper);
  }
  static Vec<float> of_rows(Vec<float> first, Vec<float> second) {
    return (Vec<float>)join(narrow(first), narrow(second));
  }
  static Vec<float> load_vector(const Factor* row, Index v) {
    return FORETELL_VARIANT::load(reinterpret_cast<const BFloat16*>(row) + v * lanes<float>);
  }
  static void store_vector(Factor* row, Index v, Vec<float> value) {
    store(reinterpret_cast<BFloat16*>(row) + v * lanes<float>, value);
  }
  static void store_vectors(Factor* row, Index v, Vec<float> first, Vec<float> second) {
    _mm512_storeu_si512(reinterpret_cast<BFloat16*>(row) + v * lanes<float>, narrow(first, second));
  }
};

// Of two rows their first `count` numbers, side by side; a second row that is null counts as zeros.
inline void join_rows(const BFloat16* first, const BFloat16* second, Index count, Pair* to) {
  constexpr Index V = lanes<float>;
  for (Index k = 0; k < count; k += V) {
    const __mmask16 there = first_lanes(count - k < V ? count - k : V);
    const __m256i b = second ? _mm256_maskz_loadu_epi16(there, second + k) : _mm256_setzero_si256();
    _mm512_mask_storeu_epi32(to + k, there, join(_mm256_maskz_loadu_epi16(there, first + k), b));
  }
}

#endif

// Of a number, as products take it.
template <class Number>
constexpr int pieces = has_matrices && sizeof(Number) == sizeof(float) ? 3 : 1;

template <class Number>
using Factor = typename Product<Number>::Factor;
template <class Number>
constexpr Index together = Product<Number>::together;

template <class Number>
constexpr Number number_one() {
  if constexpr (sizeof(Number) == sizeof(BFloat16)) return {0x3f80};
  else return 1;
}

// Of a row whose numbers are whole factors.
template <class Number>
inline const Factor<Number>* factors(const Number* row) {
  return reinterpret_cast<const Factor<Number>*>(row);
}

}  // namespace foretell::FORETELL_VARIANT

#if defined(FORETELL_MATRICES)
#include "pieces.h"
#endif
