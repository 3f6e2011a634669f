// One step of some channels: what is one number for each channel in the lanes of a vector, then the states of each.
#pragma once

#include "fields.h"
#include "selective_state_update.h"
#include "storage.h"

namespace statespace {
namespace {

// How numbers lie in memory: those of a real system as S or T, those of a complex one as pairs of T.
template <typename S, class Field>
struct Memory;

template <typename S, typename T>
struct Memory<S, Reals<T>> {
    using Number = typename Reals<T>::Number;
    using Row = S;
    static constexpr int W = Vector<T>::lanes;
    template <typename From>
    static ALWAYS_INLINE Number read(const From* from, int64_t at, int64_t count) {
        return {widen_some(from + at, count)};
    }
    static ALWAYS_INLINE void write(T* to, int64_t at, const Number& h, int64_t count) {
        narrow_some(to + at, h.re, count);
    }
    static ALWAYS_INLINE typename Reals<T>::Pole pole(const T* A, int64_t at, int64_t count) {
        return {widen_some(A + at, count) * Constants<T>::log2e};
    }
    static ALWAYS_INLINE Number quotient(const Number& a, const Number& b) { return {a.re / b.re}; }
    static ALWAYS_INLINE Ints<T> is_zero(const Number& a) { return a.re == 0; }
};

template <typename S, typename T>
struct Memory<S, Complexes<T>> {
    using Number = typename Complexes<T>::Number;
    using Row = T;
    static constexpr int W = Vector<T>::lanes;
    static ALWAYS_INLINE Number read(const T* from, int64_t at, int64_t count) {
        T re[W] = {}, im[W] = {};
        for (int64_t j = 0; j < W && j < count; ++j) re[j] = from[2 * (at + j)], im[j] = from[2 * (at + j) + 1];
        return {load(re), load(im)};
    }
    static ALWAYS_INLINE void write(T* to, int64_t at, const Number& h, int64_t count) {
        for (int64_t j = 0; j < W && j < count; ++j) to[2 * (at + j)] = h.re[j], to[2 * (at + j) + 1] = h.im[j];
    }
    static ALWAYS_INLINE typename Complexes<T>::Pole pole(const T* A, int64_t at, int64_t count) {
        T parts[Complexes<T>::pole_parts * W] = {};
        for (int64_t j = 0; j < W && j < count; ++j)
            Complexes<T>::pole(parts + j, W, A[2 * (at + j)], A[2 * (at + j) + 1]);
        return Complexes<T>::load_pole(parts);
    }
    static ALWAYS_INLINE Number quotient(const Number& a, const Number& b) {
        const Vec<T> scale = 1 / (b.re * b.re + b.im * b.im);
        return Complexes<T>::scaled(Complexes<T>::conj_times(b, a), scale);
    }
    static ALWAYS_INLINE Ints<T> is_zero(const Number& a) { return (a.re == 0) & (a.im == 0); }
};

// The states of one channel, whose step is delta and whose input is x: returns Re sum_n C h.
template <typename S, class Field, int64_t rule>
ALWAYS_INLINE typename Field::Scalar advance(typename Field::Scalar* h, const typename Field::Scalar* A,
                                             const typename Memory<S, Field>::Row* B,
                                             const typename Memory<S, Field>::Row* C, typename Field::Scalar delta,
                                             typename Field::Scalar x, int64_t n) {
    using T = typename Field::Scalar;
    using M = Memory<S, Field>;
    using Number = typename Field::Number;
    constexpr int W = Vector<T>::lanes;
    const Vec<T> step = splat<T>(delta), input = splat<T>(delta * x);
    Vec<T> sum = {};
    for (int64_t k = 0; k < n; k += W) {
        const int64_t count = n - k;
        const auto pole = M::pole(A, k, count);
        const Number decay = Field::decay(step, pole), h_before = M::read(h, k, count);  // exp(delta A) - 1
        Number drive = Field::scaled(M::read(B, k, count), input);
        if (rule == UPDATE_ZOH) {
            const Number exponent = Field::exponent(step, pole), one = Field::plus(Field::zero(), T(1));
            const Ints<T> still = M::is_zero(exponent);  // the input adds up where nothing decays
            const Number phi = M::quotient(decay, Field::choose(still, one, exponent));
            drive = Field::times(Field::choose(still, one, phi), drive);
        }
        const Number now = Field::add_scaled(Field::add_times(h_before, decay, h_before), drive, splat<T>(T(1)));
        M::write(h, k, now, count);
        const Number seen =
            rule == UPDATE_EXPONENTIAL_TRAPEZOIDAL ? Field::add_scaled(now, drive, splat<T>(T(-0.5))) : now;
        sum = Field::add_real(sum, M::read(C, k, count), seen);
    }
    T total = 0, lane[W];
    store(lane, sum);
    for (int j = 0; j < W; ++j) total += lane[j];
    return total;
}

template <typename S, class Field, int64_t rule>
void update_by(const SelectiveStateUpdate& call, int64_t batch, int64_t first) {
    using T = typename Field::Scalar;
    using Row = typename Memory<S, Field>::Row;
    constexpr int W = Vector<T>::lanes;
    const int64_t d = call.channels, n = call.states, count = d - first < W ? d - first : W;
    const Vec<T> x = widen_some(static_cast<const S*>(call.x) + batch * call.x_stride + first, count);
    Vec<T> delta = widen_some(static_cast<const S*>(call.dt) + batch * call.dt_stride + first, count);
    if (call.dt_bias) delta = delta + widen_some(static_cast<const T*>(call.dt_bias) + first, count);
    if (call.softplus) delta = softplus<T>(delta);
    T y[W] = {};
    const int64_t per_group = d / call.groups;
    for (int64_t j = 0; j < count; ++j) {
        const int64_t channel = first + j, group = channel / per_group;
        constexpr int parts = Field::parts;
        y[j] = advance<S, Field, rule>(
            static_cast<T*>(call.state) + (batch * d + channel) * n * Field::parts,
            static_cast<const T*>(call.A) + channel * n * Field::parts,
            static_cast<const Row*>(call.B) + (batch * call.B_stride[0] + group * call.B_stride[1]) * parts,
            static_cast<const Row*>(call.C) + (batch * call.C_stride[0] + group * call.C_stride[1]) * parts, delta[j],
            x[j], n);
    }
    Vec<T> out = load(y);
    if (call.D) out = out + widen_some(static_cast<const T*>(call.D) + first, count) * x;
    if (call.z) {
        const Vec<T> z = widen_some(static_cast<const S*>(call.z) + batch * call.z_stride + first, count);
        out = out * (z * logistic<T>(z));
    }
    narrow_some(static_cast<S*>(call.y) + batch * d + first, out, count);
}

template <typename S, class Field>
void update(const SelectiveStateUpdate& call, int64_t batch, int64_t first) {
    auto kernel = call.rule == UPDATE_EULER_B ? update_by<S, Field, UPDATE_EULER_B>
                  : call.rule == UPDATE_ZOH   ? update_by<S, Field, UPDATE_ZOH>
                                              : update_by<S, Field, UPDATE_EXPONENTIAL_TRAPEZOIDAL>;
    kernel(call, batch, first);
}

template <typename S>
using T_of = typename Precision<S>::type;

}  // namespace
}  // namespace statespace

#define STATE_UPDATE_KERNELS_OF(S)                                   \
    {                                                                \
        {Vector<T_of<S>>::lanes, update<S, Reals<T_of<S>>>},         \
            {Vector<T_of<S>>::lanes, update<S, Complexes<T_of<S>>>}, \
    }
#define STATE_UPDATE_KERNELS                                                                         \
    {                                                                                                \
        STATE_UPDATE_KERNELS_OF(float), STATE_UPDATE_KERNELS_OF(double), STATE_UPDATE_KERNELS_OF(BFloat16), \
            STATE_UPDATE_KERNELS_OF(Float16)                                                         \
    }
