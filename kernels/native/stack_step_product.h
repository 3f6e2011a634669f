// The product of some rows with a matrix in panels: the inner loop of a LINEAR instruction.
#pragma once

#include <stdint.h>

#include "stack_step.h"
#include "vector.h"

namespace statespace {
namespace {

// Sums that are formed side by side: enough to keep two units busy that take four cycles, and few enough for registers.
constexpr int SUMS = 8;

// P panels of R rows. Each sum runs over the inputs in order, so it has the same bits whatever R and P are.
template <typename T, int R, int P>
ALWAYS_INLINE void product(T* to, const T* plus, const T* from, const T* bias, const T* matrix, int64_t inputs,
                           int64_t width) {
    constexpr int W = Vector<T>::lanes, V = PANEL / W;
    Vec<T> sum[R][P * V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int j = 0; j < P * V; ++j) sum[r][j] = load(bias + j * W);
    for (int64_t i = 0; i < inputs; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < P * V; ++j) {
            const Vec<T> column = load(matrix + (j / V * inputs + i) * PANEL + j % V * W);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) sum[r][j] = sum[r][j] + column * from[r * width + i];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int j = 0; j < P * V; ++j) {
            // Last: products that are added to a large number one by one would lose their digits one by one.
            if (plus) sum[r][j] = sum[r][j] + load(plus + r * width + j * W);
            store<T>(to + r * width + j * W, sum[r][j]);
        }
}

template <typename T, int R, int P>
void all_panels(T* to, const T* plus, const T* from, const T* bias, const T* matrix, int64_t panels, int64_t inputs,
                int64_t width) {
    for (; panels >= P; panels -= P) {
        product<T, R, P>(to, plus, from, bias, matrix, inputs, width);
        to += P * PANEL;
        if (plus) plus += P * PANEL;
        bias += P * PANEL;
        matrix += P * PANEL * inputs;
    }
    if constexpr (P > 1)
        if (panels) all_panels<T, R, P / 2>(to, plus, from, bias, matrix, panels, inputs, width);
}

// to = plus + bias + matrix from, for `rows` rows that are `width` numbers apart; `plus` may be null. The matrix lies panel
// by panel: (panels, inputs, PANEL).
template <typename T, int R = (SUMS * Vector<T>::lanes / PANEL < 4 ? SUMS * Vector<T>::lanes / PANEL : 4)>
void linear(T* to, const T* plus, const T* from, const T* bias, const T* matrix, int64_t rows, int64_t panels,
            int64_t inputs, int64_t width) {
    constexpr int V = PANEL / Vector<T>::lanes;
    for (; rows >= R; rows -= R) {
        all_panels<T, R, SUMS / (R * V)>(to, plus, from, bias, matrix, panels, inputs, width);
        to += R * width;
        if (plus) plus += R * width;
        from += R * width;
    }
    if constexpr (R > 1)
        if (rows) linear<T, R / 2>(to, plus, from, bias, matrix, rows, panels, inputs, width);
}

}  // namespace
}  // namespace statespace
