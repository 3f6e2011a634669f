// (I - tA)⁻¹, and what it makes of B and C, by Gauss and Jordan's elimination with partial pivoting, without moving a row.
#pragma once

#include <math.h>

#include "dense_matrix.h"

namespace statespace {
namespace {

template <typename T>
class Elimination {
    static constexpr int W = Vector<T>::lanes;
    typedef typename Integer<T>::type Int;
    typedef typename Integer<T>::vector Ints;
    const ResolventCall& call;
    const int64_t n = call.n, m = call.m, ld = padded<T>(n), columns = n + m;
    T* const S;            // (ld, n + m): I - tA becomes the inverse, but for the order of rows and columns; then B
    T* const factor;       // (ld)
    Int* const candidate;  // (ld): ones for a row that has not been a pivot yet
    Int* const others;     // (ld): ones for all rows but the pivot's
    T* const row;          // (n + m): the pivot's
    Int* const order;      // (n): the pivot's row at each step

    // The row with the largest number of column k among the candidates; -1 where all are zero. The row's index takes the
    // lowest bits of the number, so that one maximum gives both: a pivot that is 2^-17 smaller (float, 64 rows) will do.
    int64_t pivot(const T* column) const {
        Int low = 1;
        while (low < ld) low *= 2;
        const Int sign = Int(1) << (8 * sizeof(Int) - 1), keep = ~(sign | (low - 1));
        Ints best = {};
        for (int64_t r = 0; r < ld; r += W) {
            Ints bits, may, number;
            memcpy(&bits, column + r, sizeof bits);
            memcpy(&may, candidate + r, sizeof may);
            for (int j = 0; j < W; ++j) number[j] = static_cast<Int>(r + j);
            bits = ((bits & keep) | number) & may;
            best = bits > best ? bits : best;
        }
        Int found = 0;
        for (int j = 0; j < W; ++j) found = best[j] > found ? best[j] : found;
        return found < low ? -1 : found & (low - 1);
    }

    enum Outcome { INVERTED, SINGULAR, NOT_FINITE };

    Outcome eliminate() {
        for (int64_t r = 0; r < ld; ++r) {
            candidate[r] = r < n ? ~Int(0) : 0;
            others[r] = ~Int(0);
        }
        for (int64_t k = 0; k < n; ++k) {
            T* column = S + k * ld;
            const int64_t p = pivot(column);
            if (p < 0) return SINGULAR;
            order[k] = static_cast<Int>(p);
            candidate[p] = 0;
            others[p] = 0;
            // Divided, not multiplied by the inverse: equal rows must leave a zero.
            const T top = column[p];
            if (top - top != 0) return NOT_FINITE;
            for (int64_t r = 0; r < ld; r += W) store<T>(factor + r, load(column + r) / -top);
            factor[p] = 1 / top;
            for (int64_t c = 0; c < columns; ++c) row[c] = S[c * ld + p];
            for (int64_t r = 0; r < ld; r += W) {
                const Vec<T> f = load(factor + r);
                Ints stay;
                memcpy(&stay, others + r, sizeof stay);
                for (int64_t c = 0; c < columns; ++c) {
                    T* at = S + c * ld + r;
                    store<T>(at, masked<T>(load(at), stay) + f * row[c]);
                }
            }
            memcpy(column, factor, ld * sizeof(T));
            others[p] = ~Int(0);
        }
        return INVERTED;
    }

public:
    static size_t scratch(const ResolventCall& call) {
        const int64_t ld = padded<T>(call.n);
        return (ld * (call.n + call.m) + 3 * ld + padded<T>(call.n + call.m) + ld) * sizeof(T);
    }

    Elimination(const ResolventCall& call, void* memory)
        : call(call),
          S(static_cast<T*>(memory)),
          factor(S + columns * ld),
          candidate(reinterpret_cast<Int*>(factor + ld)),
          others(candidate + ld),
          row(factor + 3 * ld),
          order(reinterpret_cast<Int*>(row + padded<T>(columns))) {
        memset(memory, 0, scratch(call));
    }

    void run(int64_t i) {
        T* R = static_cast<T*>(call.R) + i * n * n;
        T* RB = static_cast<T*>(call.RB) + i * n * m;
        T* CR = static_cast<T*>(call.CR) + i * call.p * n;
        const T t = static_cast<const T*>(call.t.data)[i * call.t.stride[0]];
        read(S, ld, call.A, i, n, n, -t);
        for (int64_t k = 0; k < n; ++k) S[k * ld + k] += 1;
        read(S + n * ld, ld, call.B, i, n, m, T(1));
        const Outcome outcome = eliminate();
        call.singular[i] = outcome == SINGULAR;
        if (outcome != INVERTED) {
            for (int64_t k = 0; k < n * n; ++k) R[k] = T(NAN);
            for (int64_t k = 0; k < n * m; ++k) RB[k] = T(NAN);
            for (int64_t k = 0; k < call.p * n; ++k) CR[k] = T(NAN);
            return;
        }
        const T scale = T(call.scale), shift = T(call.shift);
        const T* C = static_cast<const T*>(call.C.data) + i * call.C.stride[0];
        // Step k made a 1 of column k in row order[k], and left the column order[k] of the inverse in its place.
        for (int64_t r = 0; r < n; ++r) {
            const T* from = S + order[r];
            for (int64_t c = 0; c < n; ++c) row[order[c]] = from[c * ld];
            for (int64_t c = 0; c < n; ++c) R[r * n + c] = scale * row[c];
            R[r * n + r] += shift;
            for (int64_t q = 0; q < call.p; ++q) {
                const T weight = C[q * call.C.stride[1] + r * call.C.stride[2]];
                T* to = CR + q * n;
                for (int64_t c = 0; c < n; ++c) to[c] = (r ? to[c] : 0) + weight * row[c];
            }
            for (int64_t c = 0; c < m; ++c) RB[r * m + c] = from[(n + c) * ld];
        }
    }
};

template <typename T>
size_t resolvent_scratch(const ResolventCall& call) {
    return Elimination<T>::scratch(call);
}

template <typename T>
void resolvent(const ResolventCall& call, int64_t first, int64_t last, void* scratch) {
    Elimination<T> elimination(call, scratch);
    for (int64_t i = first; i < last; ++i) elimination.run(i);
}

}  // namespace
}  // namespace statespace
