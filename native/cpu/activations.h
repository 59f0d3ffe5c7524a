// The sigmoid, tanh and softplus, to about two units in the last place.  Infinities saturate, NaN stays NaN.
#pragma once

#include "simd.h"

namespace foretell::FORETELL_VARIANT {

// (e^r - 1 - r) / r^2 for |r| <= log(2) / 2: interpolation at Chebyshev nodes, of relative error 5e-10 and 4e-17
// in the result.  Highest power first.
template <class Real>
inline Vec<Real> tail_of_exponential(Vec<Real> r);

template <>
inline Vec<float> tail_of_exponential<float>(Vec<float> r) {
  Vec<float> q = all(1.9890990824673653848e-4f);
  q = fma(q, r, all(1.393364999630925043e-3f));
  q = fma(q, r, all(8.3333109254809008349e-3f));
  q = fma(q, r, all(4.1666464925285905408e-2f));
  q = fma(q, r, all(1.6666666681623231402e-1f));
  return fma(q, r, all(5.0000000134658092001e-1f));
}

template <>
inline Vec<double> tail_of_exponential<double>(Vec<double> r) {
  Vec<double> q = all(2.5100385495510319078e-8);
  q = fma(q, r, all(2.7620088445409748161e-7));
  q = fma(q, r, all(2.7557268459997064772e-6));
  q = fma(q, r, all(2.4801521295954375131e-5));
  q = fma(q, r, all(1.9841269863053616878e-4));
  q = fma(q, r, all(1.3888888917213716901e-3));
  q = fma(q, r, all(8.3333333333300618325e-3));
  q = fma(q, r, all(4.1666666666624127873e-2));
  q = fma(q, r, all(1.6666666666666667453e-1));
  return fma(q, r, all(5.0000000000000010221e-1));
}

template <class Real>
struct Exponent;
template <>
struct Exponent<float> {  // log(2) in two parts, the first with zeros at its end so that its multiples are exact
  static constexpr float high = 0.693359375f, low = -2.12194440054690583e-4f, limit = 87;
};
template <>
struct Exponent<double> {
  static constexpr double high = 6.93147180369123816490e-01, low = 1.90821492927058770002e-10, limit = 708;
};

// e^a, or e^-a, = scale * (1 + p), with a clamped where the result's exponent ends.
template <class Real, bool NEGATED = false>
struct Power {
  Vec<Real> scale, p;

  explicit Power(Vec<Real> a) {
    using Bits = Bits<Real>;
    using Mask = typename Simd<Real>::Mask;
    const Vec<Real> limit = all(Exponent<Real>::limit);
    a = at_least(at_most(a, limit), -limit);
    // Adding 1.5 * 2^mantissa rounds to a whole number n and leaves it in the low bits; with the bias added to it these
    // are the exponent's bits of 2^n.
    constexpr typename Bits::Int half = typename Bits::Int(3) << (Bits::mantissa - 1);
    const Vec<Real> magic = all(Real(half + Bits::bias));
    const Vec<Real> shifted = fma(a, all(Real(NEGATED ? -1.44269504088896340736 : 1.44269504088896340736)), magic);
    const Vec<Real> n = shifted - magic;
    Vec<Real> r = fma(n, all(-Exponent<Real>::high), NEGATED ? -a : a);
    r = fma(n, all(-Exponent<Real>::low), r);
    p = fma(r * r, tail_of_exponential<Real>(r), r);  // e^r - 1
    scale = (Vec<Real>)((Mask)shifted << Bits::mantissa);
  }
};

template <class Real>
[[gnu::always_inline]] inline Vec<Real> sigmoid(Vec<Real> a) {
  const Power<Real, true> power(a);
  return reciprocal(fma(power.scale, power.p, power.scale) + 1);
}

template <class Real>
[[gnu::always_inline]] inline Vec<Real> tanh(Vec<Real> a) {
  // Beyond 44 tanh is 1 even in double precision, and the exponential's clamp would come too late for squares.
  const Power<Real> power(a + a);
  const Vec<Real> e = fma(power.scale, power.p, power.scale - 1);
  return e * reciprocal(e + 2);
}

// (artanh(s) / s - 1) / s^2 as a polynomial in w = s^2 <= 1/9: the same, of relative error 4e-10 and 5e-18.
template <class Real>
inline Vec<Real> tail_of_artanh(Vec<Real> w);

template <>
inline Vec<float> tail_of_artanh<float>(Vec<float> w) {
  Vec<float> q = all(1.1612164612011671744e-1f);
  q = fma(q, w, all(1.0853287900440186323e-1f));
  q = fma(q, w, all(1.4296178999151418861e-1f));
  q = fma(q, w, all(1.9999853165964858701e-1f));
  return fma(q, w, all(3.3333333660263706234e-1f));
}

template <>
inline Vec<double> tail_of_artanh<double>(Vec<double> w) {
  Vec<double> q = all(8.0820228059717661105e-2);
  q = fma(q, w, all(4.4003692430723369411e-2));
  q = fma(q, w, all(6.0005364047953562676e-2));
  q = fma(q, w, all(6.6570721048274680752e-2));
  q = fma(q, w, all(7.6927850324793115517e-2));
  q = fma(q, w, all(9.0908947180664290846e-2));
  q = fma(q, w, all(1.1111111358713931495e-1));
  q = fma(q, w, all(1.4285714283554378581e-1));
  q = fma(q, w, all(2.0000000000007291337e-1));
  return fma(q, w, all(3.3333333333333329281e-1));
}

// log(1 + e^a) in place, and its derivative in `slope`: of several vectors at once, for the operations on one wait for
// each other.
template <class Real, int COUNT>
inline void softplus(Vec<Real> (&a)[COUNT], Vec<Real> (&slope)[COUNT]) {
  Vec<Real> e[COUNT], s[COUNT];
  for (int n = 0; n < COUNT; ++n) {
    const Power<Real> power(a[n] > 0 ? -a[n] : a[n]);
    e[n] = fma(power.scale, power.p, power.scale);  // e^-|a|
  }
  for (int n = 0; n < COUNT; ++n) {
    const Vec<Real> inverse = reciprocal((e[n] + 1) * (e[n] + 2)), share = inverse * (e[n] + 2);
    s[n] = e[n] * inverse * (e[n] + 1);
    slope[n] = a[n] < 0 ? e[n] * share : share;
  }
  for (int n = 0; n < COUNT; ++n) {
    const Vec<Real> twice = s[n] + s[n], w = s[n] * s[n];  // log(1 + e) = 2 artanh(s)
    a[n] = (a[n] > 0 ? a[n] : Vec<Real>{}) + fma(twice * w, tail_of_artanh<Real>(w), twice);
  }
}

}  // namespace foretell::FORETELL_VARIANT
