// The convolution of one piece and its backward, block of channels by block of channels.
#pragma once

#include "causal_conv1d_tile.h"
#include "elementary.h"

namespace statespace {
namespace {

// Taps of one block of channels. K is the width where it is known to the compiler, which then keeps them in registers, or 0.
template <typename T, int K>
struct Taps {
    static constexpr int W = Vector<T>::lanes;
    const T* from;
    const int64_t width;

    ALWAYS_INLINE Vec<T> operator[](int64_t j) const { return load(from + j * W); }

    // The sum over the window that begins at `past`.
    ALWAYS_INLINE Vec<T> sum(const T* past) const {
        const int64_t k = K ? K : width;
        Vec<T> z = load(from + k * W);
#pragma GCC unroll 4
        for (int64_t j = 0; j < k; ++j) z = z + load(from + j * W) * load(past + j * W);
        return z;
    }
};

template <typename T, int K, bool with_silu>
void convolve(const T* taps, int64_t width, const T* past, T* y, int64_t steps) {
    constexpr int W = Vector<T>::lanes;
    const Taps<T, K> filter{taps, width};
    for (int64_t t = 0; t < steps; ++t) {
        const Vec<T> z = filter.sum(past + t * W);
        store<T>(y + t * W, with_silu ? z * logistic<T>(z) : z);
    }
}

// From the gradients of y in `grad` to those of the sums, in place.
template <typename T, int K>
void through_silu(const T* taps, int64_t width, const T* past, T* grad, int64_t steps) {
    constexpr int W = Vector<T>::lanes;
    const Taps<T, K> filter{taps, width};
    for (int64_t t = 0; t < steps; ++t) {
        const Vec<T> z = filter.sum(past + t * W), s = logistic<T>(z);
        store<T>(grad + t * W, load(grad + t * W) * s * (1 + z * (1 - s)));
    }
}

// Gradients of the taps and the bias. They are summed up in T over a piece, and in double over the pieces.
template <typename T, int K>
void sum_taps(int64_t width, const T* past, const T* grad, int64_t steps, double* sums) {
    constexpr int W = Vector<T>::lanes, G = K ? K : 4;
    Vec<T> of_bias = {};
    for (int64_t t = 0; t < steps; ++t) of_bias = of_bias + load(grad + t * W);
    const int64_t k = K ? K : width;
    add<T>(sums + k * W, of_bias);
    for (int64_t j = 0; j < k; j += G) {  // G taps at a time; beyond the last, steps that are there but not wanted
        Vec<T> of_tap[G] = {};
        const int64_t many = k - j < G ? k - j : G;
        for (int64_t t = 0; t < steps; ++t) {
            const Vec<T> dz = load(grad + t * W);
#pragma GCC unroll 4
            for (int64_t g = 0; g < (K ? G : many); ++g) of_tap[g] = of_tap[g] + dz * load(past + (t + j + g) * W);
        }
        for (int64_t g = 0; g < many; ++g) add<T>(sums + (j + g) * W, of_tap[g]);
    }
}

// dx[t] = sum_j weight[j] dz[t + (k - 1) - j]
template <typename T, int K>
void correlate(const T* taps, int64_t width, const T* grad, T* grad_x, int64_t steps) {
    constexpr int W = Vector<T>::lanes;
    const int64_t k = K ? K : width;
    const Taps<T, K> filter{taps, width};
    for (int64_t t = 0; t < steps; ++t) {
        Vec<T> dx = {};
#pragma GCC unroll 4
        for (int64_t j = 0; j < k; ++j) dx = dx + filter[j] * load(grad + (t + k - 1 - j) * W);
        store<T>(grad_x + t * W, dx);
    }
}

template <typename S, int K>
void forward_of_width(const CausalConv1d& call, const void* all_taps, const ConvPiece& piece, int64_t first,
                      int64_t last, void* scratch) {
    using T = typename Precision<S>::type;
    constexpr int W = Vector<T>::lanes;
    const int64_t k = call.width, steps = piece.end - piece.begin;
    T *past = static_cast<T*>(scratch), *y = past + (conv_steps(call) + k - 1) * W;
    for (int64_t channel = first; channel < last; channel += W) {
        const Column<S> column(call, piece, channel);
        const T* taps = static_cast<const T*>(all_taps) + channel * (k + 1);
        column.read_past(past, piece.begin - (k - 1), piece.end);
        call.silu ? convolve<T, K, true>(taps, k, past, y, steps) : convolve<T, K, false>(taps, k, past, y, steps);
        column.write(y, call.y, nullptr, piece.begin, piece.end);
    }
}

// Inputs are wanted from begin on, or from the state on in the first piece; they were used up to k - 1 steps later, but
// for the end of the sequence.
template <typename S, int K>
void backward_of_width(const CausalConv1d& call, const void* all_taps, const ConvPiece& piece, int64_t first,
                       int64_t last, void* scratch, double* sums) {
    using T = typename Precision<S>::type;
    constexpr int W = Vector<T>::lanes;
    const int64_t k = call.width, most = conv_steps(call) + 2 * (k - 1);
    const int64_t wanted = piece.begin == 0 ? -(k - 1) : piece.begin;
    const int64_t used = piece.length - piece.end < k - 1 ? piece.length : piece.end + k - 1;
    T *past = static_cast<T*>(scratch), *grad = past + most * W, *grad_x = grad + most * W;
    for (int64_t channel = first; channel < last; channel += W) {
        const Column<S> column(call, piece, channel);
        const T* taps = static_cast<const T*>(all_taps) + channel * (k + 1);
        column.read_past(past, piece.begin - (k - 1), used);
        T* here = grad + (piece.begin - wanted) * W;  // no sum stands before the first step
        memset(grad, 0, (piece.begin - wanted) * W * sizeof(T));
        column.read(here, call.grad_y, call.grad_y_stride, piece.begin, used);
        memset(here + (used - piece.begin) * W, 0, (piece.end + k - 1 - used) * W * sizeof(T));
        if (call.silu) through_silu<T, K>(taps, k, past, here, used - piece.begin);
        sum_taps<T, K>(k, past, here, piece.end - piece.begin, sums + channel * (k + 1));
        correlate<T, K>(taps, k, grad, grad_x, piece.end - wanted);
        for (int64_t i = 0; call.grad_final && i < k - 1; ++i) {
            const int64_t step = piece.length - (k - 1) + i;
            if (step < wanted || step >= piece.end) continue;
            T* to = grad_x + (step - wanted) * W;
            const S* from = column.state_row(const_cast<void*>(call.grad_final), i - (k - 1));
            store<T>(to, load(to) + column.gather(from, 1));
        }
        column.write(grad_x, call.grad_x, call.grad_initial, wanted, piece.end);
    }
}

template <typename S>
void forward(const CausalConv1d& call, const void* taps, const ConvPiece& piece, int64_t first, int64_t last,
             void* scratch) {
    auto kernel = call.width == 2   ? forward_of_width<S, 2>
                  : call.width == 3 ? forward_of_width<S, 3>
                  : call.width == 4 ? forward_of_width<S, 4>
                                    : forward_of_width<S, 0>;
    kernel(call, taps, piece, first, last, scratch);
}

template <typename S>
void backward(const CausalConv1d& call, const void* taps, const ConvPiece& piece, int64_t first, int64_t last,
              void* scratch, double* sums) {
    auto kernel = call.width == 2   ? backward_of_width<S, 2>
                  : call.width == 3 ? backward_of_width<S, 3>
                  : call.width == 4 ? backward_of_width<S, 4>
                                    : backward_of_width<S, 0>;
    kernel(call, taps, piece, first, last, scratch, sums);
}

}  // namespace
}  // namespace statespace

#define CAUSAL_CONV1D_KERNELS_OF(S) \
    { Vector<typename Precision<S>::type>::lanes, forward<S>, backward<S> }
#define CAUSAL_CONV1D_KERNELS                                                                              \
    {                                                                                                      \
        CAUSAL_CONV1D_KERNELS_OF(float), CAUSAL_CONV1D_KERNELS_OF(double), CAUSAL_CONV1D_KERNELS_OF(BFloat16), \
            CAUSAL_CONV1D_KERNELS_OF(Float16)                                                              \
    }
