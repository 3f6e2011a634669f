// The forward scan of a panel of channels: discretization, recurrence, read-out, feedthrough and gate in one pass.
#pragma once

#include "selective_scan_block.h"

namespace statespace {
namespace {

template <class F>
struct ForwardScratch {
    typedef typename F::Scalar T;
    Arena arena;
    Shared<F> shared;
    T *delta, *x, *y;  // (STEPS, W)
    Tree<T> tree;
    Block<F>* blocks;

    ForwardScratch(const SelectiveScan& call, const SelectivePanel& panel, void* memory) : arena(memory), shared(call, arena), tree(arena) {
        delta = arena.take<T>(STEPS * Vector<T>::lanes);
        x = arena.take<T>(STEPS * Vector<T>::lanes);
        y = arena.take<T>(STEPS * Vector<T>::lanes);
        blocks = blocks_of<F>(call, panel, arena);
    }
};

template <class F>
size_t forward_scratch(const SelectiveScan& call, int64_t width) {
    return ForwardScratch<F>(call, {0, 0, width}, nullptr).arena.used;
}

// h <- a h + B x, where x is delta u, or u and (a - 1) / A does the rest; y += Re(C h).
template <class F, int G, int method, bool mixed>
ALWAYS_INLINE void advance(const Block<F>& block, const ForwardScratch<F>& scratch, const Ahead ahead, int64_t n,
                           int64_t k, int64_t steps) {
    typedef typename F::Scalar T;
    typedef typename F::Number Number;
    constexpr int W = Vector<T>::lanes;
    // Held in variables of their own: seen through a reference, each store might change them.
    const T *const delta_tile = scratch.delta, *const x_tile = scratch.x, *const inverse = block.inverse + k * F::parts * W;
    const T *const fixed_vectors_B = block.B, *const fixed_vectors_C = block.C;
    const T *const shared_B = scratch.shared.B, *const shared_C = scratch.shared.C;
    T* const y_tile = scratch.y;
    const bool fixed_B = mixed && block.fixed_B, fixed_C = mixed && block.fixed_C;
    Number h[G];
    typename F::Pole pole[G];
    for (int g = 0; g < G; ++g) {
        h[g] = F::load_number(block.state + (k + g) * F::parts * W);
        pole[g] = F::load_pole(block.poles + (k + g) * F::pole_parts * W);
    }
    for (int64_t t = 0; t < steps; ++t) {
        const Vec<T> delta = load(delta_tile + t * W), x = load(x_tile + t * W);
        Vec<T> y = load(y_tile + t * W);
        ahead.fetch(t);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            const Number B = vector_at<F, mixed>(fixed_vectors_B, fixed_B, shared_B, n, t, k + g);
            const Number C = vector_at<F, mixed>(fixed_vectors_C, fixed_C, shared_C, n, t, k + g);
            const Number decay = F::decay(delta, pole[g]);
            const Number drive = method == ZOH ? F::times(F::times(decay, F::load_number(inverse + g * F::parts * W)), B) : B;
            h[g] = F::add_scaled(F::add_times(h[g], decay, h[g]), drive, x);
            y = F::add_real(y, C, method == EXPONENTIAL_TRAPEZOIDAL ? F::add_scaled(h[g], B, x * T(-0.5)) : h[g]);
        }
        store<T>(y_tile + t * W, y);
    }
    for (int g = 0; g < G; ++g) F::store_number(block.state + (k + g) * F::parts * W, h[g]);
}

template <class F>
struct AdvanceAll {
    const Block<F>& block;
    const ForwardScratch<F>& scratch;
    const Foresight& foresight;
    int64_t n, origin, first, last, steps;  // states; `origin` is the first of all that are computed here

    template <int method, bool mixed>
    __attribute__((noinline)) void run() const {
        int64_t k = first;
        constexpr int G = GROUP<F>;
        for (; k + G <= last; k += G) advance<F, G, method, mixed>(block, scratch, foresight[(k - origin) / G], n, k, steps);
        for (; k < last; ++k) advance<F, 1, method, mixed>(block, scratch, foresight[(k - origin) / G], n, k, steps);
    }
};

// The gate, and y to where it belongs. `room` is a tile.
template <class F>
void write_y(const SelectiveScan& call, const SelectiveSequence& sequence, const Block<F>& block, typename F::Scalar* y,
             typename F::Scalar* room, int64_t begin, int64_t steps) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes;
    if (call.z) {
        const int64_t offset = sequence.batch * call.z_stride[0] + begin * call.z_stride[1] + block.channel;
        read_tile<T>(call.row_type, room, call.z, offset, call.z_stride[1], steps, block.count);
        for (int64_t t = 0; t < steps; ++t) {
            const Vec<T> z = load(room + t * W);
            store<T>(y + t * W, load(y + t * W) * (z * logistic<T>(z)));
        }
    }
    const int64_t offset = (sequence.batch * call.length + begin) * call.channels + block.channel;
    write_tile<T>(call.row_type, y, call.y, offset, call.channels, steps, block.count);
}

template <class F>
void forward(const SelectiveScan& call, const SelectiveSequence& sequence, const SelectivePanel& panel, void* memory,
             const SelectiveExchange& exchange) {
    typedef typename F::Scalar T;
    constexpr int W = Vector<T>::lanes;
    const int64_t d = call.channels, row = F::parts * W;
    const ForwardScratch<F> scratch(call, panel, memory);
    const StateRange<F> mine(call, panel);
    for (int64_t v = 0; v < panel.width; ++v) scratch.blocks[v].load_parameters(call);
    enter<F>(call, sequence, panel, scratch.blocks, sequence.starts, call.initial, exchange);
    int64_t chunk = 0;
    for (int64_t begin = sequence.begin; begin < sequence.end; begin += STEPS, ++chunk) {
        const int64_t steps = sequence.end - begin < STEPS ? sequence.end - begin : STEPS;
        scratch.shared.read(call, sequence.batch, panel.group, mine, begin, steps);
        for (int64_t v = 0; v < panel.width; ++v) {
            const Block<F>& block = scratch.blocks[v];
            auto offset = [&](const int64_t* stride) {
                return sequence.batch * stride[0] + begin * stride[1] + block.channel;
            };
            if (call.checkpoints)
                memcpy(block.checkpoint(call, panel, sequence.first_chunk + chunk) + mine.first * row,
                       block.state + mine.first * row, (mine.last - mine.first) * row * sizeof(T));
            read_delta<T>(call, scratch.delta, block.bias, offset(call.dt_stride), steps, block.count);
            read_tile<T>(call.row_type, scratch.x, call.u, offset(call.u_stride), call.u_stride[1], steps, block.count);
            const Vec<T> D = panel.piece ? Vec<T>{} : load(block.D);
            for (int64_t t = 0; t < steps; ++t) {
                const Vec<T> u = load(scratch.x + t * W);
                store<T>(scratch.y + t * W, D * u);
                if (call.method != ZOH) store<T>(scratch.x + t * W, u * load(scratch.delta + t * W));
            }
            Foresight foresight;
            auto later = [&](const void* base, const int64_t* strides) {
                foresight.add(Ahead(call, base, strides, sequence.batch, block.channel, begin + STEPS));
            };
            const int64_t stride[] = {call.length * d, d};
            later(call.u, call.u_stride);
            later(call.dt, call.dt_stride);
            if (exchange.rows)  // rows of y that nobody has touched yet would cost a walk through the page table each
                foresight.add({exchanged<T>(sequence, panel, exchange, v, chunk, panel.piece, 0, FORWARD_TILES), W * sizeof(T)});
            else
                later(call.y, stride);
            if (call.z && !exchange.rows) later(call.z, call.z_stride);
            const int64_t parts = panel.parts_of_piece();
            for (int64_t part = 0; part < parts; ++part) {
                const StateRange<F> states(call, panel, part, 1);
                if (part) memset(scratch.y, 0, steps * W * sizeof(T));
                specialised(call, AdvanceAll<F>{block, scratch, foresight, call.states, mine.first, states.first,
                                                states.last, steps});
                if (parts > 1) scratch.tree.add(scratch.y, part, steps);
            }
            T* const y = parts > 1 ? scratch.tree.total(parts) : scratch.y;
            if (exchange.rows)
                memcpy(exchanged<T>(sequence, panel, exchange, v, chunk, panel.piece, 0, FORWARD_TILES), y,
                       steps * W * sizeof(T));
            else
                write_y<F>(call, sequence, block, y, scratch.x, begin, steps);
        }
    }
    leave<F>(call, sequence, panel, scratch.blocks, sequence.ends, call.final, exchange);
}

template <class F>
void forward_sum(const SelectiveScan& call, const SelectiveSequence& sequence, const SelectivePanel& panel, void* memory,
                 const SelectiveExchange& exchange, int64_t first_chunk, int64_t last_chunk) {
    typedef typename F::Scalar T;
    const ForwardScratch<F> scratch(call, panel, memory);
    for (int64_t chunk = first_chunk; chunk < last_chunk; ++chunk) {
        const int64_t begin = sequence.begin + chunk * STEPS;
        const int64_t steps = sequence.end - begin < STEPS ? sequence.end - begin : STEPS;
        for (int64_t v = 0; v < panel.width; ++v) {
            for (int64_t piece = 0; piece < panel.pieces; ++piece)
                scratch.tree.add(exchanged<T>(sequence, panel, exchange, v, chunk, piece, 0, FORWARD_TILES), piece, steps);
            write_y<F>(call, sequence, scratch.blocks[v], scratch.tree.total(panel.pieces), scratch.x, begin, steps);
        }
    }
}

}  // namespace
}  // namespace statespace
