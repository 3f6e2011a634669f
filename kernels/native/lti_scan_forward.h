// The forward scan of one block of lanes.
#pragma once

#include "lti_scan_poles.h"

namespace statespace {
namespace {

// States that advance together: enough to hide the latency of one, with 16 registers as with 32.
constexpr int FORWARD_GROUP = 4;

// G states over the steps of one segment, held in registers: x <- a x + u (from rest) or a x + b u, y += Re(read x).
template <typename T, int G, bool from_rest>
ALWAYS_INLINE void advance(const Pole<T>* poles, Complex<T>* states, const T* u, T* y, int64_t steps, T turned) {
    constexpr int W = Vector<T>::lanes;
    Complex<T> x[G], a[G], read[G], b[G];
    for (int g = 0; g < G; ++g) {
        x[g] = states[g];
        a[g] = poles[g].a;
        read[g] = poles[g].read;
        b[g] = poles[g].b;
        turn<T, false>(x[g], poles[g].drift, turned);
    }
    for (int64_t t = 0; t < steps; ++t) {
        const Vec<T> input = load(u + t * W);
        Vec<T> sum = load(y + t * W);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            const Vec<T> drive = from_rest ? input : b[g].re * input;
            const Vec<T> re = drive + a[g].re * x[g].re - a[g].im * x[g].im;
            Vec<T> im = a[g].re * x[g].im + a[g].im * x[g].re;
            if (!from_rest) im = im + b[g].im * input;
            x[g].re = re;
            x[g].im = im;
            sum = sum + read[g].re * re;
            sum = sum - read[g].im * im;
        }
        store<T>(y + t * W, sum);
    }
    for (int g = 0; g < G; ++g) states[g] = x[g];
}

// The states of the lanes whose sequences end at `end`.
template <typename T, bool from_rest>
void write_final(const Block<T>& block, const Pole<T>* poles, const Complex<T>* states, int64_t end, T turned) {
    const int64_t n = block.call.states;
    T* array = static_cast<T*>(block.call.final);
    for (int j = 0; j < block.count; ++j) {
        if (block.length[j] != end) continue;
        T* to = array + 2 * block.pair[j] * n;
        for (int64_t k = 0; k < n; ++k) {
            Complex<T> x = states[k];
            turn<T, false>(x, poles[k].drift, turned);
            const Complex<T>& b = poles[k].b;
            to[2 * k] = from_rest ? b.re[j] * x.re[j] - b.im[j] * x.im[j] : x.re[j];
            to[2 * k + 1] = from_rest ? b.re[j] * x.im[j] + b.im[j] * x.re[j] : x.im[j];
        }
    }
}

template <typename T>
void start(const Block<T>& block, Complex<T>* states) {
    const int64_t n = block.call.states;
    for (int j = 0; j < block.count; ++j) {
        const T* from = static_cast<const T*>(block.call.initial) + 2 * block.pair[j] * n;
        for (int64_t k = 0; k < n; ++k) {
            states[k].re[j] = from[2 * k];
            states[k].im[j] = from[2 * k + 1];
        }
    }
}

template <typename T, bool from_rest>
void forward_panel(const LtiScan& call, const Pole<T>* poles, int64_t first, int width, void* scratch) {
    constexpr int W = Vector<T>::lanes;
    const Block<T> blocks[WIDEST] = {{call, first}, {call, first + W}, {call, first + 2 * W}, {call, first + 3 * W}};
    const int64_t n = call.states;
    T* u = static_cast<T*>(scratch);
    T* y = u + SEGMENT * W;
    auto* states = reinterpret_cast<Complex<T>*>(y + SEGMENT * W);

    memset(static_cast<void*>(states), 0, width * n * sizeof *states);
    for (int v = 0; v < width; ++v) {
        if (!from_rest) start(blocks[v], states + v * n);
        write_final<T, from_rest>(blocks[v], poles + v * n, states + v * n, 0, 0);
        blocks[v].write_padding(call.y);
    }
    T half_before = 0;
    for (int64_t begin = 0; begin < blocks[0].longest;) {
        const int64_t end = blocks[0].segment_end(begin), steps = end - begin;
        const T half = T(0.5) * T(steps), turned = half_before + half;
        for (int v = 0; v < width; ++v) {
            const Pole<T>* of_block = poles + v * n;
            Complex<T>* x = states + v * n;
            blocks[v].read(u, call.u, call.u_stride, begin, end, SEGMENT);
            const Vec<T> D = blocks[v].feedthrough();
            for (int64_t t = 0; t < steps; ++t) store<T>(y + t * W, D * load(u + t * W));
            int64_t k = 0;
            for (; k + FORWARD_GROUP <= n; k += FORWARD_GROUP)
                advance<T, FORWARD_GROUP, from_rest>(of_block + k, x + k, u, y, steps, turned);
            for (; k < n; ++k) advance<T, 1, from_rest>(of_block + k, x + k, u, y, steps, turned);
            blocks[v].write(y, call.y, begin, end, SEGMENT);
            write_final<T, from_rest>(blocks[v], of_block, x, end, half);
        }
        half_before = half;
        begin = end;
    }
}

template <typename T>
void forward(const LtiScan& call, const void* poles, int64_t first, int width, void* scratch) {
    auto panel = call.initial ? forward_panel<T, false> : forward_panel<T, true>;
    panel(call, static_cast<const Pole<T>*>(poles), first, width, scratch);
}

}  // namespace
}  // namespace statespace
