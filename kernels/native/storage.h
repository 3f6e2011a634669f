// Vectors read from and written to memory that holds another type: bfloat16 and float16, rounded to nearest, ties to even.
//
// By integer arithmetic alone, so that every instruction set takes part and gives the same bits.
#pragma once

#include <stdint.h>

#include "dtype.h"
#include "elementary.h"

namespace statespace {
namespace {

typedef uint32_t Words __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t HalfWords __attribute__((vector_size(VECTOR_BYTES / 2)));

ALWAYS_INLINE Words half_words(const void* from) {
    HalfWords bits;
    memcpy(&bits, from, sizeof bits);
    return __builtin_convertvector(bits, Words);
}

ALWAYS_INLINE void store_half_words(void* to, const Words& words) {
    const HalfWords bits = __builtin_convertvector(words, HalfWords);
    memcpy(to, &bits, sizeof bits);
}

ALWAYS_INLINE Vec<float> widen(const float* from) { return load(from); }
ALWAYS_INLINE Vec<double> widen(const double* from) { return load(from); }
ALWAYS_INLINE Vec<float> widen(const BFloat16* from) { return (Vec<float>)(half_words(from) << 16); }
ALWAYS_INLINE Vec<float> widen(const Float16* from) {
    const Words word = half_words(from), size = word & 0x7fff;
    // The exponent moves from a bias of 15 to one of 127, and that of infinity and NaN to the top.
    const Words normal = (size << 13) + (size < 0x7c00 ? Words{} + 0x38000000 : Words{} + 0x70000000);
    // Below 2^-14 the number is a multiple of 2^-24. Made from an integer, it never is a denormal float32.
    const Vec<float> small = __builtin_convertvector((Ints<float>)size, Vec<float>) * 0x1p-24f;
    return (Vec<float>)((size < 0x0400 ? (Words)small : normal) | (word & 0x8000) << 16);
}

ALWAYS_INLINE void narrow(float* to, const Vec<float>& v) { store<float>(to, v); }
ALWAYS_INLINE void narrow(double* to, const Vec<double>& v) { store<double>(to, v); }
ALWAYS_INLINE void narrow(BFloat16* to, const Vec<float>& v) {
    const Words word = (Words)v, rounded = (word + 0x7fff + (word >> 16 & 1)) >> 16;
    const Words quiet = word >> 16 | 0x40;
    store_half_words(to, (word & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}
ALWAYS_INLINE void narrow(Float16* to, const Vec<float>& v) {
    const Words word = (Words)v, size = word & 0x7fffffff;
    // From 2^-14 on: drop 13 bits of the significand and move the exponent; an overflow runs into infinity by itself.
    const Words normal = (size - 0x38000000 + 0x0fff + (size >> 13 & 1)) >> 13;
    // Below: at 1/2, the last bit of a float32 is 2^-24, the spacing of these.
    const Words small = (Words)((Vec<float>)size + 0.5f) - 0x3f000000;
    const Words nan_or_infinity = size > 0x7f800000 ? Words{} + 0x7e00 : Words{} + 0x7c00;
    Words half = size < 0x38800000 ? small : normal;
    half = size < 0x47800000 ? half : nan_or_infinity;
    store_half_words(to, half | (word >> 16 & 0x8000));
}

// The first `count` of W elements; the others are zero.
template <typename S, typename T = typename Precision<S>::type>
ALWAYS_INLINE Vec<T> widen_some(const S* from, int64_t count) {
    constexpr int W = Vector<T>::lanes;
    if (count >= W) return widen(from);
    S lane[W] = {};
    for (int64_t j = 0; j < count; ++j) lane[j] = from[j];
    return widen(lane);
}

template <typename S, typename T = typename Precision<S>::type>
ALWAYS_INLINE void narrow_some(S* to, const Vec<T>& v, int64_t count) {
    constexpr int W = Vector<T>::lanes;
    if (count >= W) return narrow(to, v);
    S lane[W];
    narrow(lane, v);
    for (int64_t j = 0; j < count; ++j) to[j] = lane[j];
}

}  // namespace
}  // namespace statespace
