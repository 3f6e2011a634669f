// Elementary functions of vectors: powers of two, softplus, the logistic function, and the normal distribution.
//
// Errors are of the order of the last digit, relative to the result, over the whole range of the argument.
#pragma once

#include <stdint.h>

#include "vector.h"

#if VECTOR_BYTES >= 32
#include <immintrin.h>
#endif

namespace statespace {
namespace {

template <typename T>
struct Bits;
template <>
struct Bits<float> {
    typedef int32_t type;
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float magic = 12582912.f;  // 1.5 2^23: added and taken away again, it rounds to a whole number
};
template <>
struct Bits<double> {
    typedef int64_t type;
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double magic = 6755399441055744.;  // 1.5 2^52
};
template <typename T>
struct IntegerVector {
    typedef typename Bits<T>::type type __attribute__((vector_size(VECTOR_BYTES)));
};
template <typename T>
using Ints = typename IntegerVector<T>::type;

template <typename T>
ALWAYS_INLINE Ints<T> bits(const Vec<T>& v) {
    return (Ints<T>)v;
}
template <typename T>
ALWAYS_INLINE Vec<T> from_bits(const Ints<T>& v) {
    return (Vec<T>)v;
}
template <typename T>
ALWAYS_INLINE Vec<T> splat(T x) {
    return x - Vec<T>{};
}
template <typename T>
ALWAYS_INLINE Vec<T> larger(const Vec<T>& a, const Vec<T>& b) {
    return a > b ? a : b;
}
template <typename T>
ALWAYS_INLINE Vec<T> absolute(const Vec<T>& a) {
    return from_bits<T>(bits<T>(a) & ~((Ints<T>{} + 1) << (8 * sizeof(T) - 1)));
}

// c[0] + c[1] x + ... + c[N - 1] x^(N - 1).
template <typename T, int N>
ALWAYS_INLINE Vec<T> polynomial(const T (&c)[N], const Vec<T>& x) {
    Vec<T> sum = splat<T>(c[N - 1]);
#pragma GCC unroll 20
    for (int i = N - 2; i >= 0; --i) sum = sum * x + c[i];
    return sum;
}

// The coefficients of (2^x - 1) / x, for |x| up to 1/2: an even spread of the error, constant term held at ln 2. Where x
// is small, so is the error of 2^x: a state with a long memory does not see it grow.
template <typename T>
struct Exp2;
template <>
struct Exp2<float> {
    static constexpr float c[] = {0.693147181f,   0.240226477f,  0.0555036217f,
                                  0.00961852632f, 0.00133901613f, 0.000153211542f};
};
template <>
struct Exp2<double> {
    static constexpr double c[] = {
        6.9314718055994530942e-01, 2.4022650695910071233e-01, 5.5504108664821579953e-02, 9.6181291076284771619e-03,
        1.3333558146428443423e-03, 1.5403530393381609954e-04, 1.5252733804059840280e-05, 1.3215486790144309488e-06,
        1.0178086009239699728e-07, 7.0549116208011233299e-09, 4.4455382718708114976e-10, 2.5678435993488205141e-11,
        1.3691488853904128881e-12};
};

// 2^(x y) as scale (1 + rest), with |rest| below 0.42: 2^(x y) - 1 follows without cancellation where x y is small.
template <typename T>
struct Power {
    Vec<T> scale, rest;
    ALWAYS_INLINE Vec<T> value() const { return scale + scale * rest; }
    ALWAYS_INLINE Vec<T> minus_one() const { return (scale - T(1)) + scale * rest; }
};

template <typename T>
ALWAYS_INLINE Power<T> power_of_two(const Vec<T>& x, const Vec<T>& y) {
    const Vec<T> z = x * y, shifted = z + Bits<T>::magic, r = z - (shifted - Bits<T>::magic);
    // The whole part is in the last bits of `shifted`, as a whole number. It is clamped to what an exponent holds: the
    // least stands for zero, and above the most lies nothing that is of use.
    const Ints<T> zero = bits<T>(splat<T>(Bits<T>::magic)) - Bits<T>::bias, most = zero + 2 * Bits<T>::bias;
    Ints<T> whole = bits<T>(shifted);
    whole = whole > zero ? whole : zero;
    whole = whole < most ? whole : most;
    return {from_bits<T>((whole - zero) << Bits<T>::mantissa), r * polynomial<T>(Exp2<T>::c, r)};
}

#if VECTOR_BYTES == 32
// 2^(j / 4) in a register leaves |r| <= 1/8, where four terms do; AVX looks them up within each half of a register. From
// the bits of 2^(j / 4), j is taken away where it adds to the exponent: four quarters carry over into one whole.
template <>
ALWAYS_INLINE Power<float> power_of_two<float>(const Vec<float>& x, const Vec<float>& y) {
    const Ints<float> powers = {0x3f800000, 0x3f7837f0, 0x3f7504f3, 0x3f7744fd,
                                0x3f800000, 0x3f7837f0, 0x3f7504f3, 0x3f7744fd};
    static constexpr float c[] = {0.693147182f, 0.240226492f, 0.0555222183f, 0.00962179154f};
    constexpr float magic = 3145728.f;  // 1.5 2^21: the last two bits are quarters
    const Vec<float> z = x * y, shifted = z + magic, r = z - (shifted - magic);
    const Ints<float> one = bits<float>(splat<float>(magic));
    const Ints<float> zero = one - 4 * Bits<float>::bias, most = one + 4 * Bits<float>::bias + 3;
    Ints<float> quarters = bits<float>(shifted);
    quarters = quarters > zero ? quarters : zero;
    quarters = quarters < most ? quarters : most;
    const Ints<float> found = (Ints<float>)_mm256_permutevar_ps((__m256)powers, (__m256i)quarters);
    return {from_bits<float>(found + (quarters << 21)), r * polynomial<float>(c, r)};
}
#endif

#if VECTOR_BYTES == 64
// 2^(j / 16) in a register leaves |r| <= 1/32, where three terms do; AVX-512 looks 16 of them up at once, and scales by
// the whole part of a number, with zero and infinity beyond the range.
template <>
ALWAYS_INLINE Power<float> power_of_two<float>(const Vec<float>& x, const Vec<float>& y) {
    static constexpr float table[16] = {1.f,         1.04427378f, 1.09050773f, 1.13878863f, 1.18920712f, 1.24185781f,
                                        1.29683955f, 1.35425555f, 1.41421356f, 1.47682615f, 1.54221083f, 1.61049033f,
                                        1.68179283f, 1.75625216f, 1.83400809f, 1.91520656f};
    static constexpr float c[] = {0.693147181f, 0.240234271f, 0.0555042811f};
    constexpr float magic = 786432.f;  // 1.5 2^19: the last four bits are sixteenths
    const __m512 shifted = x * y + magic;
    const __m512 k = shifted - magic;
    const __m512 r = x * y - k;
    const __m512 fraction = _mm512_maskz_permutexvar_ps(-1, _mm512_castps_si512(shifted), _mm512_loadu_ps(table));
    return {_mm512_maskz_scalef_ps(-1, fraction, k), r * polynomial<float>(c, r)};
}

template <>
ALWAYS_INLINE Power<double> power_of_two<double>(const Vec<double>& x, const Vec<double>& y) {
    constexpr double magic = Bits<double>::magic;
    const __m512d k = (x * y + magic) - magic;
    const __m512d r = x * y - k;
    return {_mm512_maskz_scalef_pd(-1, splat<double>(1), k), r * polynomial<double>(Exp2<double>::c, r)};
}
#endif

template <typename T>
struct Constants {
    static constexpr T log2e = T(1.44269504088896340736), ln2 = T(0.69314718055994530942);
};

// x between -1024 and 1024, beyond which e^x is zero or infinite, and infinity less infinity would be met on the way to
// it. A NaN stays one.
template <typename T>
ALWAYS_INLINE Vec<T> bounded(const Vec<T>& x) {
    const Vec<T> most = splat<T>(T(1024)), below = x > most ? most : x;
    return below < -most ? -most : below;
}

template <typename T>
ALWAYS_INLINE Vec<T> logistic(const Vec<T>& x) {
    const Power<T> power = power_of_two<T>(bounded<T>(x), splat<T>(-Constants<T>::log2e));
    return T(1) / (T(1) + power.scale * (T(1) + power.rest));  // scale + scale rest is NaN where scale is infinite
}

// 1, 1/3, 1/5 ...: artanh(s) / s in powers of s^2, for s up to 1/3.
template <typename T>
struct Artanh;
template <>
struct Artanh<float> {
    static constexpr float c[] = {2.f, 2.f / 3, 2.f / 5, 2.f / 7, 2.f / 9, 2.f / 11, 2.f / 13, 2.f / 15};
};
template <>
struct Artanh<double> {
    static constexpr double c[] = {2.,      2. / 3,  2. / 5,  2. / 7,  2. / 9,  2. / 11, 2. / 13, 2. / 15,
                                   2. / 17, 2. / 19, 2. / 21, 2. / 23, 2. / 25, 2. / 27, 2. / 29, 2. / 31};
};

// max(x, 0) + log(1 + e^-|x|), where log(1 + v) = 2 artanh(v / (2 + v)): tiny steps keep all their digits.
template <typename T>
ALWAYS_INLINE Vec<T> softplus(const Vec<T>& x) {
    const Vec<T> v = power_of_two<T>(bounded<T>(absolute<T>(x)), splat<T>(-Constants<T>::log2e)).value();
    const Vec<T> s = v / (v + T(2));
    return larger<T>(x, Vec<T>{}) + s * polynomial<T>(Artanh<T>::c, s * s);
}

// Phi(-t) = exp(-t^2 / 2) P(s) / (t + 4) with s = (t - 4) / (t + 4), for all t from 0 on: coefficients of P.
template <typename T>
struct Tail;
template <>
struct Tail<float> {
    static constexpr float c[] = {0.755285131f,      -0.607896631f,     0.387137394f,    -0.18652216f,
                                  0.0603966483f,     -0.00753771716f,   -0.00347995464f, 0.00162204011f,
                                  0.000133653387f,   -0.000215573776f,  -1.7310823e-06f, 2.11829843e-05f};
};
template <>
struct Tail<double> {
    static constexpr double c[] = {
        7.5528513041575145148e-01,  -6.0789664197189295760e-01, 3.8713740074222660182e-01,  -1.8652185795957871575e-01,
        6.0396574890360918447e-02,  -7.5401889688916189934e-03, -3.4796923566515026190e-03, 1.6308184854735857230e-03,
        1.3334420916014779282e-04,  -2.3109513778728933605e-04, -1.9076760307190981492e-06, 3.5145602359044514813e-05,
        7.1460215312674617640e-07,  -5.9228937775419281270e-06, -6.2495510775651778622e-07, 1.0269840701431929465e-06,
        2.6473372819798678256e-07,  -1.6223163208535670597e-07, -7.8783603426936377807e-08, 1.9569608939974048569e-08,
        1.6067386957329401814e-08,  -1.2772351432957720088e-09, -1.6886576966786734900e-09};
};

// The distribution function of the normal distribution, with the relative error of exp(-x^2 / 2) far below 0.
template <typename T>
ALWAYS_INLINE Vec<T> normal_cdf(const Vec<T>& x) {
    const Vec<T> t = bounded<T>(absolute<T>(x)), inverse = T(1) / (t + T(4));
    const Vec<T> density = power_of_two<T>(t * t, splat<T>(Constants<T>::log2e * T(-0.5))).value();
    const Vec<T> below = density * polynomial<T>(Tail<T>::c, T(1) - T(8) * inverse) * inverse;
    return x < Vec<T>{} ? below : T(1) - below;
}

}  // namespace
}  // namespace statespace
