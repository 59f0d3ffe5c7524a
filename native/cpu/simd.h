// Vectors of the instruction set that this file is compiled for.
//
// Everything under native/cpu lives in the namespace of its variant and includes no standard header with inline
// functions: the linker keeps one copy of those, perhaps the one that only the newest CPU can run.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace foretell::FORETELL_VARIANT {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, registers = 32;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32, registers = 16;
#elif defined(__aarch64__)
constexpr int vector_bytes = 16, registers = 32;
#else
constexpr int vector_bytes = 16, registers = 16;
#endif

constexpr int cache_line = 64;  // bytes

#define FORETELL_UNROLL _Pragma("GCC unroll 16")

// Do products go to a unit that multiplies matrices (matrices.h)?
#if defined(FORETELL_MATRICES)
constexpr bool has_matrices = true;
#else
constexpr bool has_matrices = false;
#endif

template <class Real>
struct Bits;
template <>
struct Bits<float> {
  using Int = std::int32_t;
  static constexpr int mantissa = 23, bias = 127;
};
template <>
struct Bits<double> {
  using Int = std::int64_t;
  static constexpr int mantissa = 52, bias = 1023;
};

template <class Real>
struct Simd {
  using Int = typename Bits<Real>::Int;
  typedef Real Vec __attribute__((vector_size(vector_bytes)));
  typedef Int Mask __attribute__((vector_size(vector_bytes)));  // all ones where true
  typedef Real Loose __attribute__((vector_size(vector_bytes), aligned(sizeof(Real)), may_alias));
  static constexpr int lanes = vector_bytes / sizeof(Real);
};

template <class Real>
using Vec = typename Simd<Real>::Vec;
template <class Real>
constexpr int lanes = Simd<Real>::lanes;

template <class Real>
inline Vec<Real> load(const Real* from) {
  return *reinterpret_cast<const typename Simd<Real>::Loose*>(from);
}

template <class Real>
inline void store(Real* to, Vec<Real> value) {
  *reinterpret_cast<typename Simd<Real>::Loose*>(to) = value;
}

template <class Real>
inline Vec<Real> all(Real value) {
  return value - Vec<Real>{};
}

// A value in its first `count` lanes, and 0 in the others.
template <class V>
inline V only(V value, int count) {
  using Mask = decltype(value < value);
  Mask number;
  for (int lane = 0; lane < int(sizeof(V) / sizeof(value[0])); ++lane) number[lane] = lane;
  return (V)((Mask)value & (number < Mask{} + count));
}

#if defined(__AVX512F__)
inline __mmask16 first_lanes(int count) { return __mmask16((1u << count) - 1); }
#endif

// The first `count` lanes; the others are 0.
template <class Real>
inline Vec<Real> load(const Real* from, int count) {
  if (count == lanes<Real>) return load(from);
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4) return (Vec<Real>)_mm512_maskz_loadu_ps(first_lanes(count), from);
  else return (Vec<Real>)_mm512_maskz_loadu_pd(__mmask8(first_lanes(count)), from);
#else
  Vec<Real> value{};
  for (int lane = 0; lane < count; ++lane) value[lane] = from[lane];
  return value;
#endif
}

template <class Real>
inline void store(Real* to, Vec<Real> value, int count) {
  if (count == lanes<Real>) return store(to, value);
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4) return _mm512_mask_storeu_ps(to, first_lanes(count), (__m512)value);
  else return _mm512_mask_storeu_pd(to, __mmask8(first_lanes(count)), (__m512d)value);
#else
  for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
#endif
}

// Sum in a fixed order.
template <class Real>
inline Real sum(Vec<Real> value) {
  Real total = 0;
  for (int lane = 0; lane < lanes<Real>; ++lane) total += value[lane];
  return total;
}

// a * b + c, rounded once where the instruction set can.
template <class V>
inline V fma(V a, V b, V c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  else return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  else return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
  if constexpr (sizeof(a[0]) == 4) return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
  else return (V)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}

// Holds a value in a register: a compiler that folds a load into each of its uses makes several loads of one.
template <class V>
inline void hold(V& value) {
#if defined(__AVX512F__)
  asm("" : "+v"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#else
  asm("" : "+x"(value));
#endif
}

// a, but at most (at least) the limit; a NaN stays one: these instructions give their second operand then.
template <class V>
inline V at_most(V a, V limit) {
#if defined(__AVX512F__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm512_maskz_min_ps(0xffff, (__m512)limit, (__m512)a);
  else return (V)_mm512_maskz_min_pd(0xff, (__m512d)limit, (__m512d)a);
#elif defined(__AVX2__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm256_min_ps((__m256)limit, (__m256)a);
  else return (V)_mm256_min_pd((__m256d)limit, (__m256d)a);
#elif defined(__x86_64__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm_min_ps((__m128)limit, (__m128)a);
  else return (V)_mm_min_pd((__m128d)limit, (__m128d)a);
#else
  return limit < a ? limit : a;
#endif
}
template <class V>
inline V at_least(V a, V limit) {
#if defined(__AVX512F__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm512_maskz_max_ps(0xffff, (__m512)limit, (__m512)a);
  else return (V)_mm512_maskz_max_pd(0xff, (__m512d)limit, (__m512d)a);
#elif defined(__AVX2__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm256_max_ps((__m256)limit, (__m256)a);
  else return (V)_mm256_max_pd((__m256d)limit, (__m256d)a);
#elif defined(__x86_64__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm_max_ps((__m128)limit, (__m128)a);
  else return (V)_mm_max_pd((__m128d)limit, (__m128d)a);
#else
  return limit > a ? limit : a;
#endif
}

template <class V>
inline V square_root(V a) {
#if defined(__AVX512F__)
  if constexpr (sizeof(a[0]) == 4) return (V)_mm512_maskz_sqrt_ps(0xffff, (__m512)a);
  else return (V)_mm512_maskz_sqrt_pd(0xff, (__m512d)a);
#else
  for (int lane = 0; lane < int(sizeof(V) / sizeof(a[0])); ++lane) {
    if constexpr (sizeof(a[0]) == 4) a[lane] = __builtin_sqrtf(a[lane]);
    else a[lane] = __builtin_sqrt(a[lane]);
  }
  return a;
#endif
}

// 1 / a for a >= 1, to about an ulp.
template <class V>
inline V reciprocal(V a) {
#if defined(__AVX512F__)
  if constexpr (sizeof(a[0]) == 4) {
    const V guess = (V)_mm512_maskz_rcp14_ps(0xffff, (__m512)a);  // 14 bits, and Newton's step doubles them
    return fma(guess, fma(-guess, a, V{} + 1), guess);
  }
#endif
  return 1 / a;
}

}  // namespace foretell::FORETELL_VARIANT
