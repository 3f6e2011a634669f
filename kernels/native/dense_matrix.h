// One small matrix at a time: by columns, each padded with zeros to whole vectors. Its way in and out, and products.
//
// Columns are vectors and the elements of the right factor are broadcast, so further columns to the right, an input
// matrix beside a state matrix, cost their share and no more.
//
// Compiled once for each instruction set, as vector.h says.
#pragma once

#include "dense.h"
#include "square.h"

namespace statespace {
namespace {

template <typename T>
constexpr int64_t padded(int64_t n) {
    return (n + Vector<T>::lanes - 1) / Vector<T>::lanes * Vector<T>::lanes;
}

// Whole numbers as wide as T.
template <typename T>
struct Integer;
template <>
struct Integer<float> {
    typedef int32_t type;
    typedef int32_t vector __attribute__((vector_size(VECTOR_BYTES)));
};
template <>
struct Integer<double> {
    typedef int64_t type;
    typedef int64_t vector __attribute__((vector_size(VECTOR_BYTES)));
};

template <typename T>
ALWAYS_INLINE Vec<T> masked(const Vec<T>& x, const typename Integer<T>::vector& mask) {
    typename Integer<T>::vector bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= mask;
    Vec<T> result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

template <typename T>
ALWAYS_INLINE Vec<T> magnitude(const Vec<T>& x) {
    typedef typename Integer<T>::type Int;
    constexpr Int sign = Int(1) << (8 * sizeof(Int) - 1);
    return masked<T>(x, typename Integer<T>::vector{} + ~sign);
}

// to <- factor from, where `from` is (rows, columns) of matrix i in a batch. The padding below must be zero already.
template <typename T>
void read(T* to, int64_t ld, const Batch& batch, int64_t i, int64_t rows, int64_t columns, T factor) {
    constexpr int W = Vector<T>::lanes;
    const int64_t down = batch.stride[1], across = batch.stride[2];
    const T* from = static_cast<const T*>(batch.data) + i * batch.stride[0];
    const int64_t whole_rows = across == 1 ? rows / W * W : 0, whole_columns = columns / W * W;
    for (int64_t c = 0; c < whole_columns; c += W)
        for (int64_t r = 0; r < whole_rows; r += W) {
            Square<T> square;
#pragma GCC unroll 16
            for (int k = 0; k < W; ++k) square.row[k] = load(from + (r + k) * down + c);
            square.turn();
#pragma GCC unroll 16
            for (int k = 0; k < W; ++k) store<T>(to + (c + k) * ld + r, square.row[k] * factor);
        }
    for (int64_t c = 0; c < columns; ++c)
        for (int64_t r = c < whole_columns ? whole_rows : 0; r < rows; ++r)
            to[c * ld + r] = from[r * down + c * across] * factor;
}

// (rows, columns) into memory by rows.
template <typename T>
void write(T* to, const T* from, int64_t ld, int64_t rows, int64_t columns) {
    constexpr int W = Vector<T>::lanes;
    const int64_t whole_rows = rows / W * W, whole_columns = columns / W * W;
    for (int64_t r = 0; r < whole_rows; r += W)
        for (int64_t c = 0; c < whole_columns; c += W) {
            Square<T> square;
#pragma GCC unroll 16
            for (int k = 0; k < W; ++k) square.row[k] = load(from + (c + k) * ld + r);
            square.turn();
#pragma GCC unroll 16
            for (int k = 0; k < W; ++k) store<T>(to + (r + k) * columns + c, square.row[k]);
        }
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) to[r * columns + c] = from[c * ld + r];
}

// How many columns of the product, and how many vectors of each, are held in registers.
#if VECTOR_BYTES == 64
constexpr int WIDE = 9;
#else
constexpr int WIDE = 4;
#endif
constexpr int TALL = 3;

// V vectors of J columns: out += X Y, or out = X Y, with `n` columns of X.
template <typename T, int V, int J, bool add>
void product_block(T* out, const T* X, const T* Y, int64_t n, int64_t ld) {
    constexpr int W = Vector<T>::lanes;
    Vec<T> sum[J][V];
#pragma GCC unroll 9
    for (int j = 0; j < J; ++j)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[j][v] = add ? load(out + j * ld + v * W) : Vec<T>{};
#pragma GCC unroll 2
    for (int64_t k = 0; k < n; ++k) {
        Vec<T> x[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) x[v] = load(X + k * ld + v * W);
#pragma GCC unroll 9
        for (int j = 0; j < J; ++j) {
            const T y = Y[j * ld + k];
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sum[j][v] = sum[j][v] + x[v] * y;
        }
    }
#pragma GCC unroll 9
    for (int j = 0; j < J; ++j)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) store<T>(out + j * ld + v * W, sum[j][v]);
}

template <typename T, int V, bool add>
void product_strip(T* out, const T* X, const T* Y, int64_t n, int64_t ld, int width) {
    switch (width) {
        case 1: return product_block<T, V, 1, add>(out, X, Y, n, ld);
        case 2: return product_block<T, V, 2, add>(out, X, Y, n, ld);
        case 3: return product_block<T, V, 3, add>(out, X, Y, n, ld);
        case 4: return product_block<T, V, 4, add>(out, X, Y, n, ld);
#if VECTOR_BYTES == 64
        case 5: return product_block<T, V, 5, add>(out, X, Y, n, ld);
        case 6: return product_block<T, V, 6, add>(out, X, Y, n, ld);
        case 7: return product_block<T, V, 7, add>(out, X, Y, n, ld);
        case 8: return product_block<T, V, 8, add>(out, X, Y, n, ld);
        case 9: return product_block<T, V, 9, add>(out, X, Y, n, ld);
#endif
    }
}

// out = X Y or out += X Y: X is (n, n), Y and out are (n, columns). Strips are as wide as one another, near enough: a
// narrow one would wait for its own sums.
template <typename T, bool add>
void product(T* out, const T* X, const T* Y, int64_t n, int64_t columns, int64_t ld) {
    constexpr int W = Vector<T>::lanes;
    const int64_t strips = (columns + WIDE - 1) / WIDE, vectors = ld / W, panels = (vectors + TALL - 1) / TALL;
    for (int64_t s = 0; s < strips; ++s) {
        const int64_t begin = columns * s / strips;
        const int width = static_cast<int>(columns * (s + 1) / strips - begin);
        for (int64_t q = 0; q < panels; ++q) {
            const int64_t at = vectors * q / panels, row = at * W;
            T* to = out + begin * ld + row;
            const T *from = X + row, *of = Y + begin * ld;
            switch (vectors * (q + 1) / panels - at) {
                case 1: product_strip<T, 1, add>(to, from, of, n, ld, width); break;
                case 2: product_strip<T, 2, add>(to, from, of, n, ld, width); break;
                case 3: product_strip<T, 3, add>(to, from, of, n, ld, width); break;
            }
        }
    }
}

}  // namespace
}  // namespace statespace
