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

// Of a vector of numbers, as they lie in a row.
template <class Number>
struct Pieces {
  __m256i of[pieces<Number>];
};

// The same of floats before they are narrowed: the lower half of their bits is 0.
struct WidePieces {
  Vec<float> of[pieces<float>];
};

// Rounded to the nearest number of bfloat16; of two, to the one farther from 0.
inline Vec<float> rounded(Vec<float> value) {
  using Bits [[gnu::vector_size(vector_bytes)]] = std::uint32_t;
  return (Vec<float>)(((Bits)value + 0x8000u) & ~0xffffu);
}

// An infinity becomes the largest number, whose products saturate as well, but do not become NaN where a piece of the
// other number is 0.
template <class Number>
inline auto split(Vec<float> value) {
  if constexpr (pieces<Number> == 1) {
    return Pieces<Number>{{narrow(value)}};
  } else {
    constexpr float largest = 0x1.fep127f;
    value = at_least(at_most(value, all(largest)), all(-largest));
    WidePieces found;
    FORETELL_UNROLL for (int p = 0; p + 1 < pieces<float>; ++p) {
      found.of[p] = rounded(value);
      value -= found.of[p];
    }
    found.of[pieces<float> - 1] = value;
    return found;
  }
}

// Lane by lane the first and the second of a pair of wide pieces.
inline __m512i join(Vec<float> first, Vec<float> second) {
  return _mm512_or_si512(_mm512_maskz_srli_epi32(0xffff, (__m512i)first, 16), (__m512i)second);
}

// A line of the same piece of two vectors.
inline __m512i line_of(Vec<float> first, Vec<float> second) { return narrow(first, second); }
inline __m512i line_of(__m256i first, __m256i second) {
  return _mm512_mask_broadcast_i64x4(_mm512_maskz_broadcast_i64x4(0x0f, first), 0xf0, second);
}

// The first `count` numbers from `from` on, as many as a vector has or fewer.
inline WidePieces pieces_of(const float* from, Index count) { return split<float>(load(from, int(count))); }
inline Pieces<BFloat16> pieces_of(const BFloat16* from, Index count) {
  return {{_mm256_maskz_loadu_epi16(first_lanes(int(count)), from)}};
}

// Where vector v of a row of factors begins, half a line of each piece.
template <class Number>
inline Index bytes_before(Index v) {
  return v / 2 * pieces<Number> * cache_line + v % 2 * (cache_line / 2);
}

template <class Number>
inline void store_pieces(Factor<Number>* row, Index v, const WidePieces& from) {
  char* to = reinterpret_cast<char*>(row) + bytes_before<Number>(v);
  FORETELL_UNROLL for (int p = 0; p < pieces<Number>; ++p, to += cache_line) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(from.of[p]));
  }
}
// Vectors v, which is even, and v + 1: whole lines, for a matrix that is loaded soon has to wait for halves.
template <class Number, class These>
inline void store_pieces(Factor<Number>* row, Index v, const These& first, const These& second) {
  char* to = reinterpret_cast<char*>(row) + bytes_before<Number>(v);
  FORETELL_UNROLL for (int p = 0; p < pieces<Number>; ++p, to += cache_line) {
    _mm512_storeu_si512(to, line_of(first.of[p], second.of[p]));
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
  static void store_vectors(Factor* row, Index v, Vec<float> first, Vec<float> second) {
    store_pieces<float>(row, v, split<float>(first), split<float>(second));
  }
};

}  // namespace foretell::FORETELL_VARIANT
