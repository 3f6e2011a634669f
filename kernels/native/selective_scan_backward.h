// The adjoint of a panel of channels: chunks from the last to the first, each computed again from the state before it.
//
// kernels/selective_scan/README.md has the derivation and the names: g is the gradient of the state h, p = a h[t-1] what
// is left of the state before, w = g bar(p).
#pragma once

#include "selective_scan_block.h"

namespace statespace {
namespace {

template <class F>
struct BackwardScratch {
    typedef typename F::Scalar T;
    Arena arena;
    Shared<F> shared;
    T *delta, *slope, *u, *x, *z, *dy, *y;  // (STEPS, W)
    T *of_x, *of_delta;                     // (STEPS, W), sums over the states
    T *a, *p, *excess;                      // (STEPS, GROUP, parts, W), what the way back needs of the way there
    T *lanes_B, *lanes_C;                   // (n, STEPS, parts, W) by groups of states: gradients before the sum over lanes
    T* zeros;                               // (parts, W)
    Block<F>* blocks;

    BackwardScratch(const SelectiveScan& call, const Panel& panel, void* memory) : arena(memory), shared(call, arena) {
        const int64_t W = Vector<T>::lanes, tile = STEPS * W, group = tile * GROUP * F::parts;
        T** const tiles[] = {&delta, &slope, &u, &x, &z, &dy, &y, &of_x, &of_delta};
        for (T** at : tiles) *at = arena.take<T>(tile);
        a = arena.take<T>(group);
        p = arena.take<T>(group);
        excess = arena.take<T>(call.method == ZOH ? group : 0);
        lanes_B = arena.take<T>(call.fixed_B ? 0 : tile * call.states * F::parts);
        lanes_C = arena.take<T>(call.fixed_C ? 0 : tile * call.states * F::parts);
        zeros = arena.take<T>(F::parts * W);
        blocks = blocks_of<F>(call, panel, arena);
    }
};

template <class F>
size_t backward_scratch(const SelectiveScan& call, int64_t width) {
    return BackwardScratch<F>(call, {0, 0, width}, nullptr).arena.used;
}

// The derivative of (exp(delta A) - 1) / A with respect to A: (delta a - phi) / A, by its series where that cancels.
template <typename T>
struct Curvature;
template <>
struct Curvature<float> {
    static constexpr float c[] = {1.f / 2, 1.f / 3, 1.f / 8, 1.f / 30, 1.f / 144, 1.f / 840};
};
template <>
struct Curvature<double> {
    static constexpr double c[] = {1. / 2,    1. / 3,     1. / 8,       1. / 30,       1. / 144,       1. / 840,
                                   1. / 5760, 1. / 45360, 1. / 403200., 1. / 3991680., 1. / 43545600., 1. / 518918400.};
};
template <class F>
ALWAYS_INLINE typename F::Number curvature(const Vec<typename F::Scalar>& delta, const typename F::Pole& pole,
                                           const typename F::Number& inverse, const typename F::Number& a,
                                           const typename F::Number& phi) {
    typedef typename F::Scalar T;
    typedef typename F::Number Number;
    const auto& c = Curvature<T>::c;
    constexpr int terms = sizeof(c) / sizeof(T);
    const Number z = F::exponent(delta, pole);
    Number series = F::plus(F::zero(), c[terms - 1]);
#pragma GCC unroll 12
    for (int i = terms - 2; i >= 0; --i) series = F::plus(F::times(series, z), c[i]);
    const Number far = F::times(F::add_scaled(F::scaled(phi, splat<T>(-1)), a, delta), inverse);
    return F::choose(F::within(z, T(0.25)), F::scaled(series, delta * delta), far);
}

// What stands in the sums over the blocks of a panel so far: nothing, whatever the memory holds, for the first block.
template <typename T>
struct Before {
    const T* base;
    int64_t mask;
    ALWAYS_INLINE Before(bool first, const T* zeros, const T* sums) : base(first ? zeros : sums), mask(first ? 0 : -1) {}
    ALWAYS_INLINE const T* at(int64_t index) const { return base + (index & mask); }
};

template <class F>
ALWAYS_INLINE void add_number(double* sum, const typename F::Number& z) {
    typename F::Scalar lanes[F::parts * Vector<typename F::Scalar>::lanes];
    F::store_number(lanes, z);
    for (int j = 0; j < F::parts * Vector<typename F::Scalar>::lanes; ++j) sum[j] += lanes[j];
}

// Forward again over the steps of a chunk, keeping a and p; gradients of C on the way.
template <class F, int G, int method, bool mixed, bool gated>
ALWAYS_INLINE void repeat(const Block<F>& block, const BackwardScratch<F>& scratch, const typename F::Scalar* state,
                          bool first, int64_t n, int64_t k, int64_t steps, double* sum_C) {
    typedef typename F::Scalar T;
    typedef typename F::Number Number;
    constexpr int W = Vector<T>::lanes, P = F::parts * W;
    Number h[G], of_C[G];
    typename F::Pole pole[G];
    for (int g = 0; g < G; ++g) {
        h[g] = F::load_number(state + (k + g) * P);
        pole[g] = F::load_pole(block.poles + (k + g) * F::pole_parts * W);
        of_C[g] = F::zero();
    }
    const bool fixed_C = mixed && block.fixed_C;
    T* lanes = scratch.lanes_C + (fixed_C ? 0 : k * STEPS * P);
    const Before<T> before(first, scratch.zeros, lanes);
    for (int64_t t = 0; t < steps; ++t) {
        const Vec<T> delta = load(scratch.delta + t * W), x = load(scratch.x + t * W), dy = load(scratch.dy + t * W);
        Vec<T> y = gated ? load(scratch.y + t * W) : Vec<T>{};
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            const int64_t at = (t * G + g) * P;
            const Number B = vector_at<F, mixed>(block.B, block.fixed_B, scratch.shared.B, n, t, k + g);
            Number drive = B;
            Number a;
            if (method == ZOH) {
                const Decay<Number> decay = F::full_decay(delta, pole[g]);
                const Number phi = F::times(decay.minus_one, F::load_number(block.inverse + (k + g) * P));
                F::store_number(scratch.excess + at, phi);
                a = decay.a;
                drive = F::times(phi, B);
            } else {
                a = F::decay(delta, pole[g]);
            }
            const Number p = F::times(a, h[g]);
            F::store_number(scratch.a + at, a);
            F::store_number(scratch.p + at, p);
            h[g] = F::add_scaled(p, drive, x);
            const Number seen = method == EXPONENTIAL_TRAPEZOIDAL ? F::add_scaled(h[g], B, x * T(-0.5)) : h[g];
            if (gated) y = F::add_real(y, vector_at<F, mixed>(block.C, block.fixed_C, scratch.shared.C, n, t, k + g), seen);
            if (fixed_C)
                of_C[g] = F::add_conj_scaled(of_C[g], seen, dy);
            else
                F::store_number(lanes + at, F::add_conj_scaled(F::load_number(before.at(at)), seen, dy));
        }
        if (gated) store<T>(scratch.y + t * W, y);
    }
    if (fixed_C)
        for (int g = 0; g < G; ++g) add_number<F>(sum_C + g * P, of_C[g]);
}

// Back over the steps of a chunk: g <- C dy + bar(a) g, and its products with everything.
template <class F, int G, int method, bool mixed>
ALWAYS_INLINE void retreat(const Block<F>& block, const BackwardScratch<F>& scratch, bool first, int64_t n, int64_t k,
                           int64_t steps, double* sum_A, double* sum_B) {
    typedef typename F::Scalar T;
    typedef typename F::Number Number;
    constexpr int W = Vector<T>::lanes, P = F::parts * W;
    Number carried[G], of_A[G], of_B[G];
    typename F::Pole pole[G];
    for (int g = 0; g < G; ++g) {
        carried[g] = F::load_number(block.state + (k + g) * P);
        pole[g] = F::load_pole(block.poles + (k + g) * F::pole_parts * W);
        of_A[g] = of_B[g] = F::zero();
    }
    const bool fixed_B = mixed && block.fixed_B;
    T* lanes = scratch.lanes_B + (fixed_B ? 0 : k * STEPS * P);
    const Before<T> before(first, scratch.zeros, lanes);
    for (int64_t t = steps - 1; t >= 0; --t) {
        const Vec<T> delta = load(scratch.delta + t * W), x = load(scratch.x + t * W), dy = load(scratch.dy + t * W);
        Vec<T> of_x = load(scratch.of_x + t * W), of_delta = load(scratch.of_delta + t * W);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            const int64_t at = (t * G + g) * P;
            const Number B = vector_at<F, mixed>(block.B, block.fixed_B, scratch.shared.B, n, t, k + g);
            const Number C = vector_at<F, mixed>(block.C, block.fixed_C, scratch.shared.C, n, t, k + g);
            const Number a = F::load_number(scratch.a + at), p = F::load_number(scratch.p + at);
            const Number of_h = F::add_conj_scaled(carried[g], C, dy);
            Number of_drive = of_h;  // beside B x
            if (method == EXPONENTIAL_TRAPEZOIDAL) of_drive = F::add_conj_scaled(of_h, C, dy * T(-0.5));
            if (method == ZOH) {
                const Number phi = F::load_number(scratch.excess + at);
                const Number of_phi = F::scaled(F::conj_times(B, of_h), x);
                of_drive = F::conj_times(phi, of_h);
                of_delta = F::add_conj_real(of_delta, a, F::scaled(of_phi, splat<T>(F::step_unit)));
                const Number slope = curvature<F>(delta, pole[g], F::load_number(block.inverse + (k + g) * P), a, phi);
                of_A[g] = F::sum(of_A[g], F::conj_times(slope, of_phi));
            }
            of_x = F::add_conj_real(of_x, B, of_drive);
            if (fixed_B)
                of_B[g] = F::add_scaled(of_B[g], of_drive, x);
            else
                F::store_number(lanes + at, F::add_scaled(F::load_number(before.at(at)), of_drive, x));
            const Number w = F::conj_times(p, of_h);
            of_A[g] = F::add_scaled(of_A[g], w, delta);
            of_delta = F::add_of_step(of_delta, pole[g], w);
            carried[g] = F::conj_times(a, of_h);
        }
        store<T>(scratch.of_x + t * W, of_x);
        store<T>(scratch.of_delta + t * W, of_delta);
    }
    for (int g = 0; g < G; ++g) {
        F::store_number(block.state + (k + g) * P, carried[g]);
        add_number<F>(sum_A + g * P, of_A[g]);
        if (fixed_B) add_number<F>(sum_B + g * P, of_B[g]);
    }
}

template <class F>
struct Differentiate {
    typedef typename F::Scalar T;
    const Block<F>& block;
    const BackwardScratch<F>& scratch;
    const T* state;  // before the chunk
    bool first, gated;
    int64_t n, steps;
    double* sums;

    template <int G, int method, bool mixed>
    ALWAYS_INLINE void states(int64_t k) const {
        constexpr int64_t P = F::parts * Vector<T>::lanes;
        double *of_A = sums + k * P, *of_B = of_A + n * P, *of_C = of_B + (block.fixed_B ? n * P : 0);
        // Without a gate, only its gradient would want y again: the commonest case goes without.
        if (gated || method != EULER_B || mixed)
            repeat<F, G, method, mixed, true>(block, scratch, state, first, n, k, steps, of_C);
        else
            repeat<F, G, EULER_B, false, false>(block, scratch, state, first, n, k, steps, of_C);
        retreat<F, G, method, mixed>(block, scratch, first, n, k, steps, of_A, of_B);
    }
    template <int method, bool mixed>
    void run() const {
        int64_t k = 0;
        for (; k + GROUP <= n; k += GROUP) states<GROUP, method, mixed>(k);
        for (; k < n; ++k) states<1, method, mixed>(k);
    }
};

// The tiles of a chunk before the states are gone through.
template <class F>
void prepare(const SelectiveScan& call, const Sequence& sequence, const Block<F>& block,
             const BackwardScratch<F>& scratch, int64_t begin, int64_t steps) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes;
    auto read = [&](T* tile, const void* base, const int64_t* stride, int64_t ahead) {
        const int64_t offset = sequence.batch * stride[0] + begin * stride[1] + block.channel;
        read_tile<T>(call.row_type, tile, base, offset, stride[1], steps, block.count, ahead);
    };
    read(scratch.u, call.u, call.u_stride, -STEPS);
    read(scratch.dy, call.grad_y, call.grad_y_stride, -STEPS);
    if (call.z) read(scratch.z, call.z, call.z_stride, -STEPS);
    read(scratch.delta, call.dt, call.dt_stride, -STEPS);
    const Vec<T> D = load(block.D), bias = load(block.bias);
    for (int64_t t = 0; t < steps * W; t += W) {
        const Vec<T> u = load(scratch.u + t);
        Vec<T> delta = load(scratch.delta + t) + bias;
        if (call.softplus) {
            store<T>(scratch.slope + t, logistic<T>(delta));
            delta = softplus<T>(delta);
        }
        store<T>(scratch.delta + t, delta);
        store<T>(scratch.x + t, call.method == ZOH ? u : delta * u);
        store<T>(scratch.of_x + t, Vec<T>{});
        store<T>(scratch.of_delta + t, Vec<T>{});
        if (call.z) {
            const Vec<T> z = load(scratch.z + t), dy = load(scratch.dy + t), s = logistic<T>(z);
            store<T>(scratch.y + t, D * u);
            store<T>(scratch.dy + t, dy * z * s);
            store<T>(scratch.z + t, dy * s * (T(1) + z * (T(1) - s)));  // silu' dy, to which y is missing
        }
    }
}

// And after that: the gradients of u, dt and z, and sums over time.
template <class F>
void finish(const SelectiveScan& call, const Sequence& sequence, const Block<F>& block,
            const BackwardScratch<F>& scratch, int64_t begin, int64_t steps, double* sum_D, double* sum_bias) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes;
    const Vec<T> D = load(block.D);
    Vec<T> of_D = {}, of_bias = {};
    for (int64_t t = 0; t < steps * W; t += W) {
        const Vec<T> u = load(scratch.u + t), dy = load(scratch.dy + t), of_x = load(scratch.of_x + t);
        Vec<T> of_delta = F::of_step(load(scratch.of_delta + t)), of_u = of_x;
        if (call.method != ZOH) {
            of_delta = of_delta + u * of_x;
            of_u = load(scratch.delta + t) * of_x;
        }
        if (call.softplus) of_delta = of_delta * load(scratch.slope + t);
        of_D = of_D + dy * u;
        of_bias = of_bias + of_delta;
        store<T>(scratch.of_x + t, of_u + D * dy);
        store<T>(scratch.of_delta + t, of_delta);
        if (call.z) store<T>(scratch.z + t, load(scratch.z + t) * load(scratch.y + t));
    }
    add<T>(sum_D, of_D);
    add<T>(sum_bias, of_bias);
    auto write = [&](const T* tile, void* base) {
        const int64_t offset = (sequence.batch * call.length + begin) * call.channels + block.channel;
        write_tile<T>(call.row_type, tile, base, offset, call.channels, steps, block.count);
    };
    write(scratch.of_x, call.grad_u);
    write(scratch.of_delta, call.grad_dt);
    if (call.z) write(scratch.z, call.grad_z);
}

// Sums over the lanes of `steps` x G numbers, to `to`, where steps are `stride` apart.
template <class F, int G>
void sum_lanes(const typename F::Scalar* lanes, int64_t steps, typename F::Scalar* to, int64_t stride) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes, P = F::parts;
    for (int64_t t = 0; t < steps; ++t, to += stride)
        for (int64_t i = 0; i < G * P; ++i, lanes += W) {
            T part[W];
            memcpy(part, lanes, sizeof part);
            for (int half = W / 2; half; half /= 2)
                for (int j = 0; j < half; ++j) part[j] += part[j + half];
            to[i] = part[0];
        }
}

template <class F>
void sum_all_lanes(const SelectiveScan& call, const Sequence& sequence, const Panel& panel,
                   const typename F::Scalar* lanes, int64_t begin, int64_t steps, void* to) {
    typedef typename F::Scalar T;
    const int64_t n = call.states, stride = call.groups * n * F::parts, of_state = STEPS * F::parts * Vector<T>::lanes;
    T* at = static_cast<T*>(to) + (sequence.batch * call.length + begin) * stride + panel.group * n * F::parts;
    int64_t k = 0;
    for (; k + GROUP <= n; k += GROUP) sum_lanes<F, GROUP>(lanes + k * of_state, steps, at + k * F::parts, stride);
    for (; k < n; ++k) sum_lanes<F, 1>(lanes + k * of_state, steps, at + k * F::parts, stride);
}

template <class F>
void backward(const SelectiveScan& call, const Sequence& sequence, const Panel& panel, void* memory, void* grad_B,
              void* grad_C, double* sums) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes;
    const int64_t n = call.states, size = n * F::parts * W, of_states = call.channels * n * F::parts;
    const int64_t count = number_of_sums(call);
    const BackwardScratch<F> scratch(call, panel, memory);
    memset(scratch.zeros, 0, F::parts * W * sizeof(T));
    for (int64_t v = 0; v < panel.width; ++v) {
        const Block<F>& block = scratch.blocks[v];
        block.load_parameters(call);
        if (call.grad_final)
            block.spread(call, block.state, static_cast<const T*>(call.grad_final) + sequence.index * of_states);
        else
            memset(block.state, 0, size * sizeof(T));
    }
    const int64_t chunks = (sequence.end - sequence.begin + STEPS - 1) / STEPS;
    for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
        const int64_t begin = sequence.begin + chunk * STEPS;
        const int64_t steps = sequence.end - begin < STEPS ? sequence.end - begin : STEPS;
        scratch.shared.read(call, sequence.batch, panel.group, begin, steps);
        for (int64_t v = 0; v < panel.width; ++v) {
            const Block<F>& block = scratch.blocks[v];
            double* of_block = sums + v * count * W;
            const T* state = block.checkpoint(call, panel, v, sequence.first_chunk + chunk);
            prepare<F>(call, sequence, block, scratch, begin, steps);
            specialised(call, Differentiate<F>{block, scratch, state, v == 0, call.z != nullptr, n, steps, of_block});
            finish<F>(call, sequence, block, scratch, begin, steps, of_block + (count - 2) * W,
                      of_block + (count - 1) * W);
        }
        if (!call.fixed_B) sum_all_lanes<F>(call, sequence, panel, scratch.lanes_B, begin, steps, grad_B);
        if (!call.fixed_C) sum_all_lanes<F>(call, sequence, panel, scratch.lanes_C, begin, steps, grad_C);
    }
    if (call.grad_initial)
        for (int64_t v = 0; v < panel.width; ++v)
            scratch.blocks[v].gather(call, scratch.blocks[v].state,
                                     static_cast<T*>(call.grad_initial) + sequence.index * of_states);
}

}  // namespace
}  // namespace statespace
