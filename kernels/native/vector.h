// Vectors of an instruction set, VECTOR_BYTES wide.
//
// This file and those that include it are compiled once for each instruction set, in an unnamed namespace. Inline
// functions of the standard library stay out: compiled here, they could become the copy that the linker keeps for every
// processor.
#pragma once

#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

namespace statespace {
namespace {

template <typename T>
struct Vector {
    static constexpr int lanes = VECTOR_BYTES / sizeof(T);
    typedef T type __attribute__((vector_size(VECTOR_BYTES)));
};
template <typename T>
using Vec = typename Vector<T>::type;

template <typename T>
struct Complex {
    Vec<T> re, im;
};

template <typename T>
ALWAYS_INLINE Vec<T> load(const T* from) {
    Vec<T> v;
    memcpy(&v, from, sizeof v);
    return v;
}

template <typename T>
ALWAYS_INLINE void store(T* to, const Vec<T>& v) {
    memcpy(to, &v, sizeof v);
}

// The numbers 0, 1 ... W - 1 as template arguments.
template <int... lane>
struct Lanes {};
template <int W, int... lane>
struct LanesTo : LanesTo<W - 1, W - 1, lane...> {};
template <int... lane>
struct LanesTo<0, lane...> {
    typedef Lanes<lane...> type;
};

template <typename T>
ALWAYS_INLINE void add(double* sum, const Vec<T>& v) {
    typedef double Wide __attribute__((vector_size(Vector<T>::lanes * sizeof(double))));
    Wide total;
    memcpy(&total, sum, sizeof total);
    total += __builtin_convertvector(v, Wide);
    memcpy(sum, &total, sizeof total);
}

}  // namespace
}  // namespace statespace
