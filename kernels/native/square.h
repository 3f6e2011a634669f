// Sums across the lanes of a vector, and squares of numbers turned over their diagonal.
//
// Compiled once for each instruction set, as vector.h says.
#pragma once

#include "vector.h"

namespace statespace {
namespace {

// The lanes of two rows that change places between them: `step` lanes of every other `step`.
template <int step, typename V, int... lane>
ALWAYS_INLINE void exchange(V& upper, V& lower, Lanes<lane...>) {
    constexpr int W = sizeof...(lane);
    const V a = upper, b = lower;
    upper = __builtin_shufflevector(a, b, (lane & step ? W + (lane ^ step) : lane)...);
    lower = __builtin_shufflevector(a, b, (lane & step ? W + lane : lane ^ step)...);
}

// Sum and maximum over all lanes, where halves meet until one number is left.
template <typename T, int step, int... lane>
ALWAYS_INLINE Vec<T> across(const Vec<T>& x, Lanes<lane...>) {
    return __builtin_shufflevector(x, x, (lane ^ step)...);
}
template <typename T, int step = Vector<T>::lanes / 2>
ALWAYS_INLINE T total(const Vec<T>& x) {
    if constexpr (step == 0) return x[0];
    else return total<T, step / 2>(x + across<T, step>(x, typename LanesTo<Vector<T>::lanes>::type()));
}
template <typename T, int step = Vector<T>::lanes / 2>
ALWAYS_INLINE T maximum(const Vec<T>& x) {
    if constexpr (step == 0) return x[0];
    else {
        const Vec<T> y = across<T, step>(x, typename LanesTo<Vector<T>::lanes>::type());
        return maximum<T, step / 2>(x > y ? x : y);
    }
}

// A square of W x W numbers, turned over its diagonal: log2(W) rounds, each of which exchanges halves of halves.
template <typename T>
struct Square {
    static constexpr int W = Vector<T>::lanes;
    Vec<T> row[W];

    template <int step>
    ALWAYS_INLINE void round() {
        if constexpr (step < W) {
#pragma GCC unroll 16
            for (int i = 0; i < W; ++i)
                if (!(i & step)) exchange<step>(row[i], row[i + step], typename LanesTo<W>::type());
            round<2 * step>();
        }
    }
    ALWAYS_INLINE void turn() { round<1>(); }
};

}  // namespace
}  // namespace statespace
