// Scalars and vectors, real and complex, under one set of names: what an elementwise kernel is written in.
//
// A complex array is pairs (re, im) in memory, and a vector of it holds pairs. Widths are counted in T, twice as many as
// there are complex numbers, so that one kernel serves both kinds.
#pragma once

#include <stdint.h>

#include "vector.h"

namespace statespace {
namespace {

template <typename T>
struct RealScalar {
    using Element = T;
    static constexpr int width = 1;
    T v;

    ALWAYS_INLINE static RealScalar read(const T* from) { return {*from}; }
    ALWAYS_INLINE void write(T* to) const { *to = v; }
    ALWAYS_INLINE RealScalar plus(const RealScalar& x) const { return {v + x.v}; }
    ALWAYS_INLINE RealScalar plus_product(const RealScalar& a, const RealScalar& h) const { return {v + a.v * h.v}; }
    ALWAYS_INLINE RealScalar times(const RealScalar& x) const { return {v * x.v}; }
    ALWAYS_INLINE RealScalar conj() const { return *this; }
};

template <typename T>
struct RealVector {
    using Element = T;
    static constexpr int width = Vector<T>::lanes;
    Vec<T> v;

    ALWAYS_INLINE static RealVector read(const T* from) { return {load(from)}; }
    ALWAYS_INLINE void write(T* to) const { store<T>(to, v); }
    ALWAYS_INLINE RealVector plus(const RealVector& x) const { return {v + x.v}; }
    ALWAYS_INLINE RealVector plus_product(const RealVector& a, const RealVector& h) const { return {v + a.v * h.v}; }
    ALWAYS_INLINE RealVector times(const RealVector& x) const { return {v * x.v}; }
    ALWAYS_INLINE RealVector conj() const { return *this; }
};

template <typename T>
struct ComplexScalar {
    using Element = T;
    static constexpr int width = 2;
    T re, im;

    ALWAYS_INLINE static ComplexScalar read(const T* from) { return {from[0], from[1]}; }
    ALWAYS_INLINE void write(T* to) const { to[0] = re, to[1] = im; }
    ALWAYS_INLINE ComplexScalar plus(const ComplexScalar& x) const { return {re + x.re, im + x.im}; }
    ALWAYS_INLINE ComplexScalar plus_product(const ComplexScalar& a, const ComplexScalar& h) const {
        return {re + a.re * h.re - a.im * h.im, im + a.re * h.im + a.im * h.re};
    }
    ALWAYS_INLINE ComplexScalar times(const ComplexScalar& x) const {
        return {re * x.re - im * x.im, re * x.im + im * x.re};
    }
    ALWAYS_INLINE ComplexScalar conj() const { return {re, -im}; }
};

// A vector of pairs (p0, p1) as one of pairs (p[first], p[second]).
template <int first, int second, typename T, int... I>
ALWAYS_INLINE Vec<T> pairs(const Vec<T>& v) {
    constexpr int next = sizeof...(I);
    if constexpr (next < Vector<T>::lanes)
        return pairs<first, second, T, I..., next + first, next + second>(v);
    else
        return __builtin_shufflevector(v, v, I...);
}

template <typename T>
struct ComplexVector {
    using Element = T;
    static constexpr int width = Vector<T>::lanes;
    Vec<T> v;

    ALWAYS_INLINE static ComplexVector read(const T* from) { return {load(from)}; }
    ALWAYS_INLINE void write(T* to) const { store<T>(to, v); }
    ALWAYS_INLINE ComplexVector plus(const ComplexVector& x) const { return {v + x.v}; }
    ALWAYS_INLINE ComplexVector plus_product(const ComplexVector& a, const ComplexVector& h) const {
        return {v + pairs<0, 0, T>(a.v) * h.v + a.turned() * pairs<1, 0, T>(h.v)};
    }
    ALWAYS_INLINE ComplexVector times(const ComplexVector& x) const {
        return {pairs<0, 0, T>(v) * x.v + turned() * pairs<1, 0, T>(x.v)};
    }
    ALWAYS_INLINE ComplexVector conj() const { return {v * signs(1, -1)}; }

private:
    ALWAYS_INLINE static Vec<T> signs(T even, T odd) {
        Vec<T> sign;
        for (int j = 0; j < width; j += 2) sign[j] = even, sign[j + 1] = odd;
        return sign;
    }
    // (-im, im): what multiplies the swapped pairs of the other factor.
    ALWAYS_INLINE Vec<T> turned() const { return pairs<1, 1, T>(v) * signs(-1, 1); }
};

}  // namespace
}  // namespace statespace
