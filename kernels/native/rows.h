// Rows of arrays (b, l, d) in any type, into tiles of the type of the computation, one channel in each lane, and back.
#pragma once

#include "storage.h"

namespace statespace {
namespace {

// `steps` rows that lie `stride` apart, the first `count` lanes of each; the others are zero.
template <typename T, typename S>
void read_rows(T* tile, const void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count) {
    constexpr int64_t W = Vector<T>::lanes;
    const S* row = static_cast<const S*>(base) + offset;
    for (int64_t t = 0; t < steps; ++t, row += stride, tile += W) store<T>(tile, widen_some(row, count));
}

template <typename T, typename S>
void write_rows(const T* tile, void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count) {
    constexpr int64_t W = Vector<T>::lanes;
    S* row = static_cast<S*>(base) + offset;
    for (int64_t t = 0; t < steps; ++t, row += stride, tile += W) narrow_some(row, load(tile), count);
}

// `count` numbers that lie one behind the other, from one type to another.
template <typename T, typename To, typename From>
void convert(To* to, const From* from, int64_t count) {
    constexpr int64_t W = Vector<T>::lanes;
    for (; count > 0; count -= W, from += W, to += W) narrow_some(to, widen_some(from, count), count);
}

// f(S{}) for the type S that is stored. Halves come with T = float alone.
template <typename T, class Function>
ALWAYS_INLINE void for_dtype(int64_t dtype, const Function& f) {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (dtype == BFLOAT16) return f(BFloat16{});
        if (dtype == FLOAT16) return f(Float16{});
    }
    f(T{});
}

template <typename T>
void read_tile(int64_t dtype, T* tile, const void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count) {
    for_dtype<T>(dtype, [&](auto s) { read_rows<T, decltype(s)>(tile, base, offset, stride, steps, count); });
}

template <typename T>
void write_tile(int64_t dtype, const T* tile, void* base, int64_t offset, int64_t stride, int64_t steps, int64_t count) {
    for_dtype<T>(dtype, [&](auto s) { write_rows<T, decltype(s)>(tile, base, offset, stride, steps, count); });
}

// What stands from `offset` on.
template <typename T>
void write_numbers(int64_t dtype, const T* from, void* base, int64_t offset, int64_t count) {
    for_dtype<T>(dtype, [&](auto s) { convert<T>(static_cast<decltype(s)*>(base) + offset, from, count); });
}

// Rows of `count` numbers, which all lanes share, to rows that are `row` numbers apart.
template <typename T>
void read_shared(int64_t dtype, T* to, int64_t row, const void* base, int64_t offset, int64_t stride, int64_t steps,
                 int64_t count) {
    for_dtype<T>(dtype, [&](auto s) {
        const auto* from = static_cast<const decltype(s)*>(base) + offset;
        for (int64_t t = 0; t < steps; ++t, from += stride, to += row) convert<T>(to, from, count);
    });
}

}  // namespace
}  // namespace statespace
