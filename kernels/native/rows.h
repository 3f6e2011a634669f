// Rows of arrays (b, l, d) in any type, into tiles of the type of the computation, one channel in each lane, and back.
#pragma once

#include "halves.h"
#include "selective_scan.h"
#include "vector.h"

namespace statespace {
namespace {

// `count` numbers.
template <typename T, class Row>
ALWAYS_INLINE void widen(T* to, const typename Row::stored* from, int64_t count) {
    for (int64_t j = 0; j < count; ++j) to[j] = Row::widen(from[j]);
}
template <typename T, class Row>
ALWAYS_INLINE void narrow(typename Row::stored* to, const T* from, int64_t count) {
    for (int64_t j = 0; j < count; ++j) to[j] = Row::narrow(from[j]);
}

// One row of a full block, by way of memory that aliases nothing.
template <typename T, class Row>
ALWAYS_INLINE Vec<T> widen_lanes(const typename Row::stored* row) {
    constexpr int W = Vector<T>::lanes;
    typename Row::stored from[W];
    T to[W];
    memcpy(from, row, sizeof from);
    widen<T, Row>(to, from, W);
    return load(to);
}
template <typename T, class Row>
ALWAYS_INLINE void narrow_lanes(typename Row::stored* row, const Vec<T>& lanes) {
    constexpr int W = Vector<T>::lanes;
    typename Row::stored to[W];
    T from[W];
    store<T>(from, lanes);
    narrow<T, Row>(to, from, W);
    memcpy(row, to, sizeof to);
}

// Rows `ahead` of these are fetched meanwhile: strides of whole pages defeat the processor's own foresight.
template <typename T, class Row>
void read_rows(T* tile, const void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count, int64_t ahead) {
    constexpr int64_t W = Vector<T>::lanes;
    const typename Row::stored* row = static_cast<const typename Row::stored*>(base) + offset;
    if (count < W) memset(tile, 0, steps * W * sizeof(T));
    for (int64_t t = 0; t < steps; ++t, row += stride, tile += W) {
        __builtin_prefetch(row + ahead * stride, 0, 2);
        if (count == W)
            store<T>(tile, widen_lanes<T, Row>(row));
        else
            widen<T, Row>(tile, row, count);
    }
}

template <typename T, class Row>
void write_rows(const T* tile, void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count) {
    constexpr int64_t W = Vector<T>::lanes;
    typename Row::stored* row = static_cast<typename Row::stored*>(base) + offset;
    for (int64_t t = 0; t < steps; ++t, row += stride, tile += W) {
        if (count == W)
            narrow_lanes<T, Row>(row, load(tile));
        else
            narrow<T, Row>(row, tile, count);
    }
}

// The same for a type that is known when it runs. Halves come with T = float alone.
template <typename T>
void read_tile(int64_t type, T* tile, const void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count,
               int64_t ahead) {
    if (sizeof(T) == sizeof(float) && type == BFLOAT16)
        read_rows<T, BFloat16>(tile, base, offset, stride, steps, count, ahead);
    else if (sizeof(T) == sizeof(float) && type == FLOAT16)
        read_rows<T, Float16>(tile, base, offset, stride, steps, count, ahead);
    else
        read_rows<T, Same<T>>(tile, base, offset, stride, steps, count, ahead);
}

template <typename T>
void write_tile(int64_t type, const T* tile, void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count) {
    if (sizeof(T) == sizeof(float) && type == BFLOAT16)
        write_rows<T, BFloat16>(tile, base, offset, stride, steps, count);
    else if (sizeof(T) == sizeof(float) && type == FLOAT16)
        write_rows<T, Float16>(tile, base, offset, stride, steps, count);
    else
        write_rows<T, Same<T>>(tile, base, offset, stride, steps, count);
}

// Rows of `count` numbers one behind the other: what all lanes share.
template <typename T>
void read_shared(int64_t type, T* to, const void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count) {
    for (int64_t t = 0; t < steps; ++t, offset += stride, to += count) {
        if (sizeof(T) == sizeof(float) && type == BFLOAT16)
            widen<T, BFloat16>(to, static_cast<const uint16_t*>(base) + offset, count);
        else if (sizeof(T) == sizeof(float) && type == FLOAT16)
            widen<T, Float16>(to, static_cast<const uint16_t*>(base) + offset, count);
        else
            memcpy(to, static_cast<const T*>(base) + offset, count * sizeof(T));
    }
}

}  // namespace
}  // namespace statespace
