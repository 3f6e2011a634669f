// Products of small matrices by rows: what the chunks of a scan consist of.
#pragma once

#include <stdint.h>

#include "vector.h"

namespace statespace {
namespace {

// Sums are held in R rows of V vectors: enough to keep two units busy that take four cycles, and few enough for registers.
#if VECTOR_BYTES == 64
constexpr int TALL_TILE = 8;
#else
constexpr int TALL_TILE = 4;
#endif

// A matrix whose element (i, k) stands at ``at[i down + k along]``: by rows, or turned.
template <typename T>
struct Factor {
    const T* at;
    int64_t down, along;
};

template <typename T, int R, int V, bool add>
ALWAYS_INLINE void tile(T* out, int64_t width, const Factor<T>& a, const T* b, int64_t b_width, int64_t inner) {
    constexpr int W = Vector<T>::lanes;
    Vec<T> sum[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[r][v] = add ? load(out + r * width + v * W) : Vec<T>{};
    const T* from = a.at;
    for (int64_t k = 0; k < inner; ++k, from += a.along, b += b_width) {
        Vec<T> row[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) row[v] = load(b + v * W);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const T x = from[r * a.down];
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) sum[r][v] = sum[r][v] + row[v] * x;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) store<T>(out + r * width + v * W, sum[r][v]);
}

template <typename T, int R, bool add>
void strip(T* out, int64_t width, const Factor<T>& a, const T* b, int64_t b_width, int64_t inner, int64_t vectors) {
    constexpr int W = Vector<T>::lanes;
    for (; vectors >= 2; vectors -= 2, out += 2 * W, b += 2 * W) tile<T, R, 2, add>(out, width, a, b, b_width, inner);
    if (vectors) tile<T, R, 1, add>(out, width, a, b, b_width, inner);
}

// out = a b, or out += a b: `rows` by `columns`, the latter a whole number of vectors, with `inner` products in each sum.
template <typename T, bool add, int R = TALL_TILE>
void product(T* out, int64_t width, Factor<T> a, const T* b, int64_t b_width, int64_t rows, int64_t inner,
             int64_t columns) {
    for (; rows >= R; rows -= R, out += R * width, a.at += R * a.down)
        strip<T, R, add>(out, width, a, b, b_width, inner, columns / Vector<T>::lanes);
    if constexpr (R > 1)
        if (rows) product<T, add, R / 2>(out, width, a, b, b_width, rows, inner, columns);
}

}  // namespace
}  // namespace statespace
