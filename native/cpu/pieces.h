// Numbers in pieces, for a unit that multiplies matrices of bfloat16.
//
// A float is exactly the sum of three numbers of 8 bits.  Of the nine products of two such sums the six largest are
// taken; what is left out is at most 2^-26 of the whole, a quarter of what a float is rounded by.  So six products of
// bfloat16 give one of floats (Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for
// higher-precision computations", ARITH 2019).  Pieces below 2^-126 are 0, so that floats below 2^-108 lose bits.
//
// A row of numbers lies by 32: a cache line of their first pieces, one of the second and one of the third.
#pragma once

#include "factors.h"

namespace foretell::FORETELL_VARIANT {

// Of a vector of numbers.
template <class Number>
struct Pieces {
  __m256i of[pieces<Number>];
};

template <class Number>
inline Pieces<Number> split(Vec<float> value) {
  return {{narrow(value)}};
}
// An infinity becomes the largest number, whose products saturate as well, but do not become NaN where a piece of the
// other number is 0.
template <>
inline Pieces<float> split<float>(Vec<float> value) {
  constexpr float largest = 0x1.fep127f;
  value = at_least(at_most(value, all(largest)), all(-largest));
  Pieces<float> found;
  FORETELL_UNROLL for (int p = 0; p < pieces<float>; ++p) {
    found.of[p] = narrow(value);
    value -= widen(found.of[p]);
  }
  return found;
}

// The first `count` numbers from `from` on, as many as a vector has or fewer.
inline Pieces<float> pieces_of(const float* from, Index count) { return split<float>(load(from, int(count))); }
inline Pieces<BFloat16> pieces_of(const BFloat16* from, Index count) {
  return {{_mm256_maskz_loadu_epi16(first_lanes(int(count)), from)}};
}

// Where vector v of a row of factors begins, half a line of each piece.
template <class Number>
inline Index bytes_before(Index v) {
  return v / 2 * pieces<Number> * cache_line + v % 2 * (cache_line / 2);
}

template <class Number>
inline void store_pieces(Factor<Number>* row, Index v, const Pieces<Number>& from) {
  char* to = reinterpret_cast<char*>(row) + bytes_before<Number>(v);
  FORETELL_UNROLL for (int p = 0; p < pieces<Number>; ++p, to += cache_line) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), from.of[p]);
  }
}
// Vectors v, which is even, and v + 1: whole lines, for a matrix that is loaded soon has to wait for halves.
template <class Number>
inline void store_pieces(Factor<Number>* row, Index v, const Pieces<Number>& first, const Pieces<Number>& second) {
  char* to = reinterpret_cast<char*>(row) + bytes_before<Number>(v);
  FORETELL_UNROLL for (int p = 0; p < pieces<Number>; ++p, to += cache_line) {
    const __m512i lower = _mm512_maskz_broadcast_i64x4(0x0f, first.of[p]);
    _mm512_storeu_si512(to, _mm512_mask_broadcast_i64x4(lower, 0xf0, second.of[p]));
  }
}
template <class Number>
inline Pieces<Number> load_pieces(const Factor<Number>* row, Index v) {
  const char* from = reinterpret_cast<const char*>(row) + bytes_before<Number>(v);
  Pieces<Number> found;
  FORETELL_UNROLL for (int p = 0; p < pieces<Number>; ++p, from += cache_line) {
    found.of[p] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  return found;
}

template <>
struct Product<float> {
  struct Factor {
    Pair piece[pieces<float>];
  };
  static constexpr Index together = 2, unit = 16;

  static Vec<float> load_vector(const Factor* row, Index v) {
    const Pieces<float> found = load_pieces<float>(row, v);
    return widen(found.of[0]) + widen(found.of[1]) + widen(found.of[2]);
  }
  static void store_vector(Factor* row, Index v, Vec<float> value) { store_pieces<float>(row, v, split<float>(value)); }
};

}  // namespace foretell::FORETELL_VARIANT
