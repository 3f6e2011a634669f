// The adjoint of a panel of channels: chunks from the last to the first, each computed again from the state before it.
//
// kernels/selective_scan/README.md has the derivation and the names: of_h is the gradient g of the state h, p = a h[t-1]
// what is left of the state before, w = g bar(p); `decay` is a - 1.
#pragma once

#include "selective_scan_block.h"

namespace statespace {
namespace {

// What the steps of a chunk hold for one block, (STEPS, W) each.
template <typename T>
struct Tiles {
    T *delta, *slope, *u, *x, *z, *dy, *y;  // slope: of the softplus; z: silu'(z) times the gradient of y
    T *of_x, *of_delta;                     // sums over the states
    explicit Tiles(Arena& arena) {
        T** const all[] = {&delta, &slope, &u, &x, &z, &dy, &y, &of_x, &of_delta};
        for (T** at : all) *at = arena.take<T>(STEPS * Vector<T>::lanes);
    }
};

// States that go back together: fewer than forward, so that what they hold over a chunk leaves room in the first cache.
template <class F>
constexpr int GROUP_BACK = VECTOR_BYTES == 64 ? 2 : GROUP<F>;

template <class F>
struct BackwardScratch {
    typedef typename F::Scalar T;
    Arena arena;
    Shared<F> shared;
    T *decay, *p, *excess;  // (STEPS, GROUP_BACK, parts, W), what the way back needs of the way there
    T *lanes_B, *lanes_C;  // (STEPS, GROUP_BACK, parts, W), gradients of some states, summed over blocks but not yet over lanes
    Block<F>* blocks;
    Tiles<T>* tiles;  // of each block

    BackwardScratch(const SelectiveScan& call, const SelectivePanel& panel, void* memory) : arena(memory), shared(call, arena) {
        const int64_t W = Vector<T>::lanes, group = STEPS * GROUP_BACK<F> * F::parts * W;
        decay = arena.take<T>(group);
        p = arena.take<T>(group);
        lanes_B = arena.take<T>(group);
        lanes_C = arena.take<T>(group);
        excess = arena.take<T>(call.method == ZOH ? group : 0);
        blocks = blocks_of<F>(call, panel, arena);
        tiles = arena.take<Tiles<T>>(panel.width);
        for (int64_t v = 0; v < panel.width; ++v) {
            const Tiles<T> of_block(arena);
            if (tiles) tiles[v] = of_block;
        }
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
                                           const typename F::Number& inverse, const typename F::Number& decay,
                                           const typename F::Number& phi) {
    typedef typename F::Scalar T;
    typedef typename F::Number Number;
    const auto& c = Curvature<T>::c;
    constexpr int terms = sizeof(c) / sizeof(T);
    const Number z = F::exponent(delta, pole);
    Number series = F::plus(F::zero(), c[terms - 1]);
#pragma GCC unroll 12
    for (int i = terms - 2; i >= 0; --i) series = F::plus(F::times(series, z), c[i]);
    const Number rest = F::add_scaled(F::scaled(phi, splat<T>(-1)), F::plus(decay, T(1)), delta);
    const Number far = F::times(rest, inverse);
    return F::choose(F::within(z, T(0.25)), F::scaled(series, delta * delta), far);
}

// Forward again over the steps of a chunk, keeping a and p; gradients of C on the way.
template <class F, int G, int method, bool mixed, bool gated>
ALWAYS_INLINE void repeat(const Block<F>& block, const Tiles<typename F::Scalar>& tiles, const BackwardScratch<F>& scratch,
                          const typename F::Scalar* state, const Ahead ahead, int64_t n, int64_t k,
                          int64_t steps, double* sum_C) {
    typedef typename F::Scalar T;
    typedef typename F::Number Number;
    constexpr int W = Vector<T>::lanes, P = F::parts * W;
    // Held in variables of their own: seen through a reference, each store might change them.
    const T *const delta_tile = tiles.delta, *const x_tile = tiles.x, *const dy_tile = tiles.dy;
    const T *const fixed_vectors_B = block.B, *const fixed_vectors_C = block.C, *const inverse = block.inverse + k * P;
    const T *const shared_B = scratch.shared.B, *const shared_C = scratch.shared.C;
    T *const y_tile = tiles.y, *const kept_decay = scratch.decay, *const kept_p = scratch.p, *const excess = scratch.excess;
    T* const lanes = scratch.lanes_C;
    const bool fixed_B = mixed && block.fixed_B, fixed_C = mixed && block.fixed_C;
    Number h[G], of_C[G];
    typename F::Pole pole[G];
    for (int g = 0; g < G; ++g) {
        h[g] = F::load_number(state + (k + g) * P);
        pole[g] = F::load_pole(block.poles + (k + g) * F::pole_parts * W);
        of_C[g] = F::zero();
    }
    for (int64_t t = 0; t < steps; ++t) {
        const Vec<T> delta = load(delta_tile + t * W), x = load(x_tile + t * W), dy = load(dy_tile + t * W);
        Vec<T> y = gated ? load(y_tile + t * W) : Vec<T>{};
        ahead.fetch(t);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            const int64_t at = (t * G + g) * P;
            const Number B = vector_at<F, mixed>(fixed_vectors_B, fixed_B, shared_B, n, t, k + g);
            Number drive = B;
            const Number decay = F::decay(delta, pole[g]), p = F::add_times(h[g], decay, h[g]);
            if (method == ZOH) {
                const Number phi = F::times(decay, F::load_number(inverse + g * P));
                F::store_number(excess + at, phi);
                drive = F::times(phi, B);
            }
            F::store_number(kept_decay + at, decay);
            F::store_number(kept_p + at, p);
            h[g] = F::add_scaled(p, drive, x);
            const Number seen = method == EXPONENTIAL_TRAPEZOIDAL ? F::add_scaled(h[g], B, x * T(-0.5)) : h[g];
            if (gated) y = F::add_real(y, vector_at<F, mixed>(fixed_vectors_C, fixed_C, shared_C, n, t, k + g), seen);
            if (fixed_C)
                of_C[g] = F::add_conj_scaled(of_C[g], seen, dy);
            else
                F::store_number(lanes + at, F::add_conj_scaled(F::load_number(lanes + at), seen, dy));
        }
        if (gated) store<T>(y_tile + t * W, y);
    }
    if (fixed_C)
        for (int g = 0; g < G; ++g) F::add_to(sum_C + g * P, of_C[g]);
}

// Back over the steps of a chunk: g <- C dy + bar(a) g, and its products with everything.
template <class F, int G, int method, bool mixed>
ALWAYS_INLINE void retreat(const Block<F>& block, const Tiles<typename F::Scalar>& tiles,
                           const BackwardScratch<F>& scratch, const Ahead ahead, int64_t n, int64_t k,
                           int64_t steps, double* sum_A, double* sum_B) {
    typedef typename F::Scalar T;
    typedef typename F::Number Number;
    constexpr int W = Vector<T>::lanes, P = F::parts * W;
    const T *const delta_tile = tiles.delta, *const x_tile = tiles.x, *const dy_tile = tiles.dy;
    const T *const fixed_vectors_B = block.B, *const fixed_vectors_C = block.C, *const inverse = block.inverse + k * P;
    const T *const shared_B = scratch.shared.B, *const shared_C = scratch.shared.C;
    const T *const kept_decay = scratch.decay, *const kept_p = scratch.p, *const excess = scratch.excess;
    T *const of_x_tile = tiles.of_x, *const of_delta_tile = tiles.of_delta, *const lanes = scratch.lanes_B;
    const bool fixed_B = mixed && block.fixed_B, fixed_C = mixed && block.fixed_C;
    Number carried[G], of_A[G], of_B[G];
    typename F::Pole pole[G];
    for (int g = 0; g < G; ++g) {
        carried[g] = F::load_number(block.state + (k + g) * P);
        pole[g] = F::load_pole(block.poles + (k + g) * F::pole_parts * W);
        of_A[g] = of_B[g] = F::zero();
    }
    for (int64_t t = steps - 1; t >= 0; --t) {
        const Vec<T> delta = load(delta_tile + t * W), x = load(x_tile + t * W), dy = load(dy_tile + t * W);
        Vec<T> of_x = load(of_x_tile + t * W), of_delta = load(of_delta_tile + t * W);
        ahead.fetch(t);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            const int64_t at = (t * G + g) * P;
            const Number B = vector_at<F, mixed>(fixed_vectors_B, fixed_B, shared_B, n, t, k + g);
            const Number C = vector_at<F, mixed>(fixed_vectors_C, fixed_C, shared_C, n, t, k + g);
            const Number decay = F::load_number(kept_decay + at), p = F::load_number(kept_p + at);
            const Number of_h = F::add_conj_scaled(carried[g], C, dy);
            Number of_drive = of_h;  // beside B x
            if (method == EXPONENTIAL_TRAPEZOIDAL) of_drive = F::add_conj_scaled(of_h, C, dy * T(-0.5));
            if (method == ZOH) {
                const Number phi = F::load_number(excess + at);
                const Number of_phi = F::scaled(F::conj_times(B, of_h), x);
                of_drive = F::conj_times(phi, of_h);
                of_delta = F::add_conj_real(of_delta, F::plus(decay, T(1)), F::scaled(of_phi, splat<T>(F::step_unit)));
                const Number slope = curvature<F>(delta, pole[g], F::load_number(inverse + g * P), decay, phi);
                of_A[g] = F::add_conj_times(of_A[g], slope, of_phi);
            }
            of_x = F::add_conj_real(of_x, B, of_drive);
            if (fixed_B)
                of_B[g] = F::add_scaled(of_B[g], of_drive, x);
            else
                F::store_number(lanes + at, F::add_scaled(F::load_number(lanes + at), of_drive, x));
            const Number w = F::conj_times(p, of_h);
            of_A[g] = F::add_scaled(of_A[g], w, delta);
            of_delta = F::add_of_step(of_delta, pole[g], w);
            carried[g] = F::add_conj_times(of_h, decay, of_h);
        }
        store<T>(of_x_tile + t * W, of_x);
        store<T>(of_delta_tile + t * W, of_delta);
    }
    for (int g = 0; g < G; ++g) {
        F::store_number(block.state + (k + g) * P, carried[g]);
        F::add_to(sum_A + g * P, of_A[g]);
        if (fixed_B) F::add_to(sum_B + g * P, of_B[g]);
    }
}

// Neighbouring pieces of H lanes: those of a added up in the even places, those of b in the odd ones.
template <typename T, int H, int... lane>
ALWAYS_INLINE Vec<T> fold(const Vec<T>& a, const Vec<T>& b, Lanes<lane...>) {
    constexpr int W = Vector<T>::lanes;
#if defined(__clang__)
    return __builtin_shufflevector(a, b, (lane & H ? W + lane : lane)...) +
           __builtin_shufflevector(a, b, (lane & H ? W + lane - H : lane + H)...);
#else
    return __builtin_shuffle(a, b, Ints<T>{(lane & H ? W + lane : lane)...}) +
           __builtin_shuffle(a, b, Ints<T>{(lane & H ? W + lane - H : lane + H)...});
#endif
}

// In lane j, the sum over the lanes of vector j, of 2 H vectors that lie one behind the other.
template <typename T, int H>
struct Fold {
    static ALWAYS_INLINE Vec<T> of(const T* at) {
        return fold<T, H>(Fold<T, H / 2>::of(at), Fold<T, H / 2>::of(at + H * Vector<T>::lanes),
                          typename LanesTo<Vector<T>::lanes>::type());
    }
};
template <typename T>
struct Fold<T, 0> {
    static ALWAYS_INLINE Vec<T> of(const T* at) { return load(at); }
};

// Sums over the lanes of (steps, N) vectors, to `to`, where steps are `stride` apart.
template <typename T, int N>
void sum_lanes(const T* lanes, int64_t steps, T* to, int64_t stride) {
    constexpr int W = Vector<T>::lanes, PIECE = N < W ? N : W;
    for (int64_t i = 0; i < steps * N; i += W) {
        T sums[W];
        store<T>(sums, Fold<T, W / 2>::of(lanes + i * W));
        for (int64_t j = i; j < i + W && j < steps * N; j += PIECE)
            memcpy(to + j / N * stride + j % N, sums + (j - i), PIECE * sizeof(T));
    }
}

// The states of a panel over one chunk, some at a time: what they leave for B and C in each lane stays in the first cache
// until all blocks have added to it.
template <class F>
struct Differentiate {
    typedef typename F::Scalar T;
    const SelectiveScan& call;
    const SelectiveSequence& sequence;
    const SelectivePanel& panel;
    const BackwardScratch<F>& scratch;
    int64_t begin, chunk, steps;
    double* sums;
    T *grad_B, *grad_C;  // at the first step of the chunk, and the first state
    int64_t stride;      // from step to step

    template <int G, int method, bool mixed>
    ALWAYS_INLINE void states(int64_t k) const {
        constexpr int64_t W = Vector<T>::lanes, P = F::parts * W;
        const int64_t n = call.states, count = number_of_sums(call) * W;
        memset(scratch.lanes_B, 0, steps * G * P * sizeof(T));
        memset(scratch.lanes_C, 0, steps * G * P * sizeof(T));
        for (int64_t v = 0; v < panel.width; ++v) {
            const Block<F>& block = scratch.blocks[v];
            const Tiles<T>& tiles = scratch.tiles[v];
            const T* state = block.checkpoint(call, panel, chunk);
            double *of_A = sums + v * count + k * P, *of_B = of_A + n * P, *of_C = of_B + (call.fixed_B ? n * P : 0);
            Foresight inputs, results;
            auto later = [&](Foresight& to, const void* base, const int64_t* strides, int64_t from) {
                to.add(Ahead(call, base, strides, sequence.batch, block.channel, from));
            };
            const int64_t dense[] = {call.length * call.channels, call.channels};
            later(inputs, call.u, call.u_stride, begin - STEPS);
            later(inputs, call.dt, call.dt_stride, begin - STEPS);
            later(inputs, call.grad_y, call.grad_y_stride, begin - STEPS);
            later(results, call.grad_u, dense, begin);
            later(results, call.grad_dt, dense, begin);
            if (call.z) {
                later(inputs, call.z, call.z_stride, begin - STEPS);
                later(results, call.grad_z, dense, begin);
            }
            // Without a gate, only its gradient would want y again: the commonest case goes without.
            if (call.z || method != EULER_B || mixed)
                repeat<F, G, method, mixed, true>(block, tiles, scratch, state, inputs[k / GROUP_BACK<F>], n, k, steps, of_C);
            else
                repeat<F, G, EULER_B, false, false>(block, tiles, scratch, state, inputs[k / GROUP_BACK<F>], n, k, steps, of_C);
            retreat<F, G, method, mixed>(block, tiles, scratch, results[k / GROUP_BACK<F>], n, k, steps, of_A, of_B);
        }
        if (!call.fixed_B) sum_lanes<T, G * F::parts>(scratch.lanes_B, steps, grad_B + k * F::parts, stride);
        if (!call.fixed_C) sum_lanes<T, G * F::parts>(scratch.lanes_C, steps, grad_C + k * F::parts, stride);
    }
    template <int method, bool mixed>
    __attribute__((noinline)) void run() const {
        int64_t k = 0;
        constexpr int G = GROUP_BACK<F>;
        for (; k + G <= call.states; k += G) states<G, method, mixed>(k);
        for (; k < call.states; ++k) states<1, method, mixed>(k);
    }
};

// The tiles of a chunk before the states are gone through.
template <class F>
void prepare(const SelectiveScan& call, const SelectiveSequence& sequence, const Block<F>& block,
             const Tiles<typename F::Scalar>& tiles, int64_t begin, int64_t steps) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes;
    auto read = [&](T* tile, const void* base, const int64_t* stride) {
        const int64_t offset = sequence.batch * stride[0] + begin * stride[1] + block.channel;
        read_tile<T>(call.row_type, tile, base, offset, stride[1], steps, block.count);
    };
    read(tiles.u, call.u, call.u_stride);
    read(tiles.dy, call.grad_y, call.grad_y_stride);
    if (call.z) read(tiles.z, call.z, call.z_stride);
    read(tiles.delta, call.dt, call.dt_stride);
    const Vec<T> D = load(block.D), bias = load(block.bias);
    for (int64_t t = 0; t < steps * W; t += W) {
        const Vec<T> u = load(tiles.u + t);
        Vec<T> delta = load(tiles.delta + t) + bias;
        if (call.softplus) {
            store<T>(tiles.slope + t, logistic<T>(delta));
            delta = softplus<T>(delta);
        }
        store<T>(tiles.delta + t, delta);
        store<T>(tiles.x + t, call.method == ZOH ? u : delta * u);
        store<T>(tiles.of_x + t, Vec<T>{});
        store<T>(tiles.of_delta + t, Vec<T>{});
        if (call.z) {
            const Vec<T> z = load(tiles.z + t), dy = load(tiles.dy + t), s = logistic<T>(z);
            store<T>(tiles.y + t, D * u);
            store<T>(tiles.dy + t, dy * z * s);
            store<T>(tiles.z + t, dy * s * (T(1) + z * (T(1) - s)));  // silu' dy, to which y is missing
        }
    }
}

// And after that: the gradients of u, dt and z, and sums over time.
template <class F>
void finish(const SelectiveScan& call, const SelectiveSequence& sequence, const Block<F>& block,
            const Tiles<typename F::Scalar>& tiles, int64_t begin, int64_t steps, double* sum_D, double* sum_bias) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes;
    const Vec<T> D = load(block.D);
    Vec<T> of_D = {}, of_bias = {};
    for (int64_t t = 0; t < steps * W; t += W) {
        const Vec<T> u = load(tiles.u + t), dy = load(tiles.dy + t), of_x = load(tiles.of_x + t);
        Vec<T> of_delta = F::of_step(load(tiles.of_delta + t)), of_u = of_x;
        if (call.method != ZOH) {
            of_delta = of_delta + u * of_x;
            of_u = load(tiles.delta + t) * of_x;
        }
        if (call.softplus) of_delta = of_delta * load(tiles.slope + t);
        of_D = of_D + dy * u;
        of_bias = of_bias + of_delta;
        store<T>(tiles.of_x + t, of_u + D * dy);
        store<T>(tiles.of_delta + t, of_delta);
        if (call.z) store<T>(tiles.z + t, load(tiles.z + t) * load(tiles.y + t));
    }
    add<T>(sum_D, of_D);
    add<T>(sum_bias, of_bias);
    auto write = [&](const T* tile, void* base) {
        const int64_t offset = (sequence.batch * call.length + begin) * call.channels + block.channel;
        write_tile<T>(call.row_type, tile, base, offset, call.channels, steps, block.count);
    };
    write(tiles.of_x, call.grad_u);
    write(tiles.of_delta, call.grad_dt);
    if (call.z) write(tiles.z, call.grad_z);
}

template <class F>
void backward(const SelectiveScan& call, const SelectiveSequence& sequence, const SelectivePanel& panel, void* memory, void* grad_B,
              void* grad_C, double* sums) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes;
    const int64_t n = call.states, size = n * F::parts * W, of_states = call.channels * n * F::parts;
    const int64_t count = number_of_sums(call), stride = call.groups * n * F::parts;
    const BackwardScratch<F> scratch(call, panel, memory);
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
        for (int64_t v = 0; v < panel.width; ++v)
            prepare<F>(call, sequence, scratch.blocks[v], scratch.tiles[v], begin, steps);
        const int64_t at = (sequence.batch * call.length + begin) * stride + panel.group * n * F::parts;
        specialised(call, Differentiate<F>{call, sequence, panel, scratch, begin, sequence.first_chunk + chunk, steps, sums,
                                           static_cast<T*>(grad_B) + at, static_cast<T*>(grad_C) + at, stride});
        for (int64_t v = 0; v < panel.width; ++v) {
            double* end = sums + (v + 1) * count * W;
            finish<F>(call, sequence, scratch.blocks[v], scratch.tiles[v], begin, steps, end - 2 * W, end - W);
        }
    }
    if (call.grad_initial)
        for (int64_t v = 0; v < panel.width; ++v)
            scratch.blocks[v].gather(call, scratch.blocks[v].state,
                                     static_cast<T*>(call.grad_initial) + sequence.index * of_states);
}

}  // namespace
}  // namespace statespace
