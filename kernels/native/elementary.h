// exp, expm1, log(1 + exp(x)), the logistic function and SiLU, on vectors of float and double.
//
// Polynomials are minimax fits whose error is below a hundredth of the last place; what remains is rounding, one to two
// units in the last place (tests/kernels/native/test_elementary.py). Comparisons let NaN through.
#pragma once

#include <stdint.h>

#include "vector.h"

namespace statespace {
namespace {

template <typename T>
struct Constants;

template <>
struct Constants<float> {
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float round = 0x1.8p23f;  // added and taken away, it rounds to an integer, which its bits hold
    static constexpr float lowest = -87.0f, highest = 89.0f;
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;  // few bits: n times the first is exact
    // (exp(r) - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2]
    static constexpr float exponential[] = {0.49999993447801793f, 0.16666520632168275f, 0.041668388071674522f,
                                            0.0083687168495539633f, 0.0013814596493261854f};
    // 2 (atanh(s) / s - 1) / s^2 as a function of s^2 on [0, 1/9]
    static constexpr float logarithm[] = {0.66666413146711106f, 0.40021698404816622f, 0.27999150262525391f,
                                          0.28024418787462457f};
};

template <>
struct Constants<double> {
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double round = 0x1.8p52;
    static constexpr double lowest = -708.0, highest = 710.0;
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    static constexpr double exponential[] = {
        0.50000000000000106265, 0.16666666666666412491, 0.041666666666530162996,    0.0083333333334944860401,
        0.0013888888943629065822, 0.00019841269506519747545, 0.00002480149309988710116, 2.755758643031169191e-6,
        2.7630248063254842066e-7, 2.500004290284897542e-8};
    static constexpr double logarithm[] = {
        0.66666666666666303841, 0.40000000000157232158, 0.2857142854785500987,  0.22222223969669719864,
        0.18181743926875017785, 0.15386559884962145069, 0.13300974051800367032, 0.12106082787205700768,
        0.083401158844410983671, 0.17018549861366482882};
};

template <typename T, int N>
ALWAYS_INLINE Vec<T> polynomial(const T (&coefficient)[N], const Vec<T>& x) {
    Vec<T> sum = Vec<T>{} + coefficient[N - 1];
#pragma GCC unroll 16
    for (int i = N - 2; i >= 0; --i) sum = sum * x + coefficient[i];
    return sum;
}

// exp(x) = 2^n exp(r): half of 2^n, which stays finite up to the largest exp(x), and exp(r) - 1.
template <typename T>
struct Exponential {
    using K = Constants<T>;
    Vec<T> half_power, rest;

    ALWAYS_INLINE explicit Exponential(const Vec<T>& x) {
        using Integer = typename Vector<T>::Integer;
        const Vec<T> shifted = x * T(1.4426950408889634) + K::round, n = shifted - K::round;
        const Integer exponent = (Integer)shifted - (Integer)(Vec<T>{} + K::round);
        const Vec<T> r = x - n * K::ln2_high - n * K::ln2_low;
        rest = r + r * r * polynomial(K::exponential, r);
        half_power = (Vec<T>)((exponent + (K::bias - 1)) << K::mantissa);
    }
};

// Zero below exp(lowest), which is next to the smallest normal number.
template <typename T>
ALWAYS_INLINE Vec<T> exponential(const Vec<T>& x) {
    using K = Constants<T>;
    const Vec<T> bounded = x > K::highest ? Vec<T>{} + K::highest : x;
    const Exponential<T> e(bounded);
    const Vec<T> value = (e.rest + 1 + (e.rest + 1)) * e.half_power;
    return x < K::lowest ? Vec<T>{} : value;
}

// exp(x) - 1 for x <= 0, precise near zero too.
template <typename T>
ALWAYS_INLINE Vec<T> exponential_minus_1(const Vec<T>& x) {
    using K = Constants<T>;
    const Exponential<T> e(x < K::lowest ? Vec<T>{} + K::lowest : x);
    const Vec<T> power = e.half_power + e.half_power;
    return power * e.rest + (power - 1);
}

// log(1 + exp(x)): max(x, 0) + log(1 + z) with z = exp(-|x|), and log(1 + z) = 2 atanh(z / (2 + z)).
template <typename T>
ALWAYS_INLINE Vec<T> softplus(const Vec<T>& x) {
    const Vec<T> z = exponential<T>(x > 0 ? -x : x), s = z / (z + 2), q = s * s;
    const Vec<T> logarithm = s + s + s * q * polynomial(Constants<T>::logarithm, q);
    return (x > 0 ? x : Vec<T>{}) + logarithm;
}

template <typename T>
ALWAYS_INLINE Vec<T> logistic(const Vec<T>& x) {
    return 1 / (1 + exponential<T>(-x));
}

template <typename T>
ALWAYS_INLINE Vec<T> silu(const Vec<T>& x) {
    return x / (1 + exponential<T>(-x));
}

}  // namespace
}  // namespace statespace
