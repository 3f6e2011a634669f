// What forward and backward share: the parameters of a block of channels, lane by lane, and the tiles of one chunk.
#pragma once

#include "fields.h"
#include "rows.h"
#include "selective_scan.h"

namespace statespace {
namespace {

// States that advance together: enough to hide the latency of one, few enough for the registers.
template <class F>
constexpr int GROUP = VECTOR_BYTES == 64 || (VECTOR_BYTES == 32 && F::parts == 1) ? 4 : 2;

// The smallest |A| that is told from zero in (exp(delta A) - 1) / A.
template <typename T>
struct Smallest;
template <>
struct Smallest<float> {
    static constexpr float value = 1e-20f;
};
template <>
struct Smallest<double> {
    static constexpr double value = 1e-150;
};

// Consecutive pieces of scratch memory, each on the boundary of a vector. With a null base it only counts bytes.
struct Arena {
    static constexpr size_t SKEW = 640;
    char* base;
    size_t used = 0;

    explicit Arena(void* base) : base(static_cast<char*>(base)) {}
    template <typename T>
    T* take(int64_t count) {
        T* at = base ? reinterpret_cast<T*>(base + used) : nullptr;
        if (count) used += (count * sizeof(T) + 63) / 64 * 64 + SKEW;
        return at;
    }
};

template <class F>
struct Block {
    typedef typename F::Scalar T;
    static constexpr int W = Vector<T>::lanes;
    int64_t first, padded;               // of the channels of the group: the first here, and all with their padding
    int64_t channel, count;              // the first one of all, and how many lanes are in use
    bool fixed_B, fixed_C;
    T *poles, *inverse, *B, *C, *state;  // (n, parts, W): A as the kernel wants it, 1 / A, fixed B and C, and the state
    T *D, *bias;                         // (W)

    Block(const SelectiveScan& call, const SelectivePanel& panel, int64_t index, Arena& arena) {
        const int64_t n = call.states, size = n * F::parts * W;
        const int64_t of_group = call.channels / call.groups;
        first = (panel.first + index) * W;
        padded = (of_group + PADDING - 1) / PADDING * PADDING;
        channel = panel.group * of_group + first;
        count = of_group - first < W ? of_group - first : W;
        fixed_B = call.fixed_B;
        fixed_C = call.fixed_C;
        poles = arena.take<T>(n * F::pole_parts * W);
        inverse = arena.take<T>(call.method == ZOH ? size : 0);
        B = arena.take<T>(call.fixed_B ? size : 0);
        C = arena.take<T>(call.fixed_C ? size : 0);
        state = arena.take<T>(size);
        D = arena.take<T>(W);
        bias = arena.take<T>(W);
    }

    // (d, n) to lanes, zeros in those that are not in use.
    void spread(const SelectiveScan& call, T* to, const void* from) const {
        const T* array = static_cast<const T*>(from) + channel * call.states * F::parts;
        const int64_t n = call.states * F::parts;
        for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < W; ++j) to[i * W + j] = j < count ? array[j * n + i] : T(0);
    }
    // The other way, of the states from `first` to `last`.
    void gather(const SelectiveScan& call, const T* from, void* to, int64_t first, int64_t last) const {
        T* array = static_cast<T*>(to) + channel * call.states * F::parts;
        const int64_t n = call.states * F::parts;
        for (int64_t j = 0; j < count; ++j)
            for (int64_t i = first * F::parts; i < last * F::parts; ++i) array[j * n + i] = from[i * W + j];
    }

    void load_parameters(const SelectiveScan& call) const {
        const int64_t n = call.states;
        const T* A = static_cast<const T*>(call.A) + channel * n * F::parts;
        for (int64_t k = 0; k < n; ++k) {
            for (int64_t j = 0; j < W; ++j) {
                const T* at = A + (j * n + k) * F::parts;
                T re = j < count ? at[0] : T(0), im = j < count && F::parts == 2 ? at[F::parts - 1] : T(0);
                const T least = Smallest<T>::value;
                const bool zero = re < least && -re < least && im < least && -im < least;
                if (call.method == ZOH && zero) re = -least, im = 0;
                F::pole(poles + k * F::pole_parts * W + j, W, re, im);
                if (call.method == ZOH) invert(inverse + k * F::parts * W + j, re, im);
            }
        }
        if (call.fixed_B) spread(call, B, call.B);
        if (call.fixed_C) spread(call, C, call.C);
        for (int64_t j = 0; j < W; ++j) {
            D[j] = j < count && call.D ? static_cast<const T*>(call.D)[channel + j] : T(0);
            bias[j] = j < count && call.dt_bias ? static_cast<const T*>(call.dt_bias)[channel + j] : T(0);
        }
    }

    // 1 / A, by way of the larger part so that no square overflows.
    static void invert(T* to, T re, T im) {
        if (F::parts == 1) {
            to[0] = 1 / re;
            return;
        }
        const bool tall = (im < 0 ? -im : im) > (re < 0 ? -re : re);
        const T q = tall ? re / im : im / re, d = tall ? re * q + im : re + im * q;
        to[0] = (tall ? q : 1) / d;
        to[W] = -(tall ? 1 : q) / d;
    }

    T* checkpoint(const SelectiveScan& call, const SelectivePanel& panel, int64_t chunk) const {
        const int64_t lane = (chunk * call.groups + panel.group) * padded + first;
        return static_cast<T*>(call.checkpoints) + lane * call.states * F::parts;
    }
};

// The blocks of a panel, in scratch memory like all that they point to.
template <class F>
Block<F>* blocks_of(const SelectiveScan& call, const SelectivePanel& panel, Arena& arena) {
    auto* blocks = arena.take<Block<F>>(panel.width);
    for (int64_t v = 0; v < panel.width; ++v) {
        const Block<F> block(call, panel, v, arena);
        if (blocks) blocks[v] = block;
    }
    return blocks;
}

// The states of a panel's piece, or of one part of it.
template <class F>
struct StateRange {
    int64_t first, last;
    StateRange(const SelectiveScan& call, const SelectivePanel& panel, int64_t part, int64_t count) {
        const int64_t begin = panel.piece * panel.parts_of_piece() + part;
        first = panel.first_state(call.states, GROUP<F>, begin);
        last = panel.first_state(call.states, GROUP<F>, begin + count);
    }
    StateRange(const SelectiveScan& call, const SelectivePanel& panel)
        : StateRange(call, panel, 0, panel.parts_of_piece()) {}
};

// The state, or its gradient, of each block at the border where a sequence or a stretch is entered, and where it is left:
// `outer` and `to` are those of the whole sequence, null for none.
template <class F>
void enter(const SelectiveScan& call, const SelectiveSequence& sequence, const SelectivePanel& panel, const Block<F>* blocks,
           bool first, const void* outer, const SelectiveExchange& exchange) {
    typedef typename F::Scalar T;
    const int64_t row = F::parts * Vector<T>::lanes, of_states = call.channels * call.states * F::parts;
    const StateRange<F> mine(call, panel);
    for (int64_t v = 0; v < panel.width; ++v) {
        if (!first)
            memcpy(blocks[v].state + mine.first * row,
                   static_cast<const T*>(exchange.state) + (v * call.states + mine.first) * row,
                   (mine.last - mine.first) * row * sizeof(T));
        else if (outer)
            blocks[v].spread(call, blocks[v].state, static_cast<const T*>(outer) + sequence.index * of_states);
        else
            memset(blocks[v].state, 0, call.states * row * sizeof(T));
    }
}
template <class F>
void leave(const SelectiveScan& call, const SelectiveSequence& sequence, const SelectivePanel& panel, const Block<F>* blocks,
           bool last, void* to, const SelectiveExchange& exchange) {
    typedef typename F::Scalar T;
    const int64_t row = F::parts * Vector<T>::lanes, of_states = call.channels * call.states * F::parts;
    const StateRange<F> mine(call, panel);
    for (int64_t v = 0; v < panel.width; ++v) {
        if (!last)
            memcpy(static_cast<T*>(exchange.state) + (v * call.states + mine.first) * row, blocks[v].state + mine.first * row,
                   (mine.last - mine.first) * row * sizeof(T));
        else if (to)
            blocks[v].gather(call, blocks[v].state, static_cast<T*>(to) + sequence.index * of_states, mine.first, mine.last);
    }
}

// A tile that a piece leaves to the sum over all of them.
template <typename T>
T* exchanged(const SelectiveSequence& sequence, const SelectivePanel& panel, const SelectiveExchange& exchange,
             int64_t block, int64_t chunk, int64_t piece, int64_t tile, int64_t tiles) {
    const int64_t chunks = (sequence.end - sequence.begin + STEPS - 1) / STEPS;
    return static_cast<T*>(exchange.rows) +
           (((block * chunks + chunk) * panel.pieces + piece) * tiles + tile) * STEPS * Vector<T>::lanes;
}

// Sums of tiles in pairs, pairs of pairs and so on: level i holds one of 2^i tiles until the next 2^i are there.
template <typename T>
struct Tree {
    T* levels;  // (LEVELS + 1, STEPS, W); the last is for a sum on its way up

    explicit Tree(Arena& arena) : levels(arena.take<T>((LEVELS + 1) * STEPS * Vector<T>::lanes)) {}
    T* level(int64_t i) const { return levels + i * STEPS * Vector<T>::lanes; }

    // Adds tile number i, counted from 0.
    void add(const T* tile, int64_t i, int64_t steps) const {
        constexpr int W = Vector<T>::lanes;
        int64_t height = 0;
        for (; i >> height & 1; ++height) {
            T *const sum = level(i >> (height + 1) & 1 ? LEVELS : height + 1), *const before = level(height);
            for (int64_t t = 0; t < steps * W; t += W) store<T>(sum + t, load(before + t) + load(tile + t));
            tile = sum;
        }
        if (!height) memcpy(level(0), tile, steps * W * sizeof(T));
    }
    // The sum, after a power of two of tiles.
    T* total(int64_t count) const {
        int64_t height = 0;
        while (int64_t(1) << height < count) ++height;
        return level(height);
    }
};

// B and C over the steps of a chunk, (STEPS, n, parts): all channels of a group read the same ones.
template <class F>
struct Shared {
    typedef typename F::Scalar T;
    T *B, *C;

    Shared(const SelectiveScan& call, Arena& arena) {
        B = arena.take<T>(call.fixed_B ? 0 : STEPS * call.states * F::parts);
        C = arena.take<T>(call.fixed_C ? 0 : STEPS * call.states * F::parts);
    }
    void read(const SelectiveScan& call, int64_t batch, int64_t group, const StateRange<F>& states, int64_t begin,
              int64_t steps) const {
        const int64_t row = call.states * F::parts, count = (states.last - states.first) * F::parts;
        auto one = [&](T* to, const void* base, const int64_t* stride) {
            const int64_t offset = batch * stride[0] + begin * stride[1] + group * stride[2] + states.first;
            read_shared<T>(vector_type(call), to + states.first * F::parts, row, base, offset * F::parts,
                           stride[1] * F::parts, steps, count);
        };
        if (!call.fixed_B) one(B, call.B, call.B_stride);
        if (!call.fixed_C) one(C, call.C, call.C_stride);
    }
};

// One of the vectors B and C at step t for the state `k`: the same number in all lanes, or fixed, one in each lane. Where
// neither is fixed, `mixed` is false and the compiler knows.
template <class F, bool mixed>
ALWAYS_INLINE typename F::Number vector_at(const typename F::Scalar* lanes, bool fixed, const typename F::Scalar* shared,
                                           int64_t n, int64_t t, int64_t k) {
    return mixed && fixed ? F::load_number(lanes + k * F::parts * Vector<typename F::Scalar>::lanes)
                          : F::broadcast(shared + (t * n + k) * F::parts);
}

// Rows that will be wanted with the next chunk, one in each step. A loop over steps that computes fetches them meanwhile:
// strides of whole pages defeat the processor's own foresight, and 32 of them at a time its buffers.
struct Ahead {
    const char* row = nullptr;
    int64_t stride = 0;

    Ahead() = default;
    Ahead(const void* tile, int64_t bytes) : row(static_cast<const char*>(tile)), stride(bytes) {}
    Ahead(const SelectiveScan& call, const void* base, const int64_t* strides, int64_t batch, int64_t channel,
          int64_t begin) {
        const int64_t width = size_of(call.row_type);
        row = static_cast<const char*>(base) + (batch * strides[0] + begin * strides[1] + channel) * width;
        stride = strides[1] * width;
    }
    ALWAYS_INLINE void fetch(int64_t t) const { __builtin_prefetch(row + t * stride, 0, 2); }
};

// One for each array of rows, dealt out to the groups of states; the last one to those that are left over.
struct Foresight {
    static constexpr int MOST = 4;
    Ahead ahead[MOST];
    int count = 0;

    void add(const Ahead& rows) { ahead[count++] = rows; }
    const Ahead& operator[](int64_t group) const { return ahead[group < count ? group : count - 1]; }
};

template <typename T>
void read_delta(const SelectiveScan& call, T* tile, const T* bias, int64_t offset, int64_t steps, int64_t count) {
    constexpr int W = Vector<T>::lanes;
    read_tile<T>(call.row_type, tile, call.dt, offset, call.dt_stride[1], steps, count);
    if (!call.dt_bias && !call.softplus) return;
    const Vec<T> more = load(bias);
    for (int64_t t = 0; t < steps; ++t) {
        const Vec<T> raw = load(tile + t * W) + more;
        store<T>(tile + t * W, call.softplus ? softplus<T>(raw) : raw);
    }
}

// f.template run<method, mixed>() for what the call says.
template <class Function>
void specialised(const SelectiveScan& call, const Function& f) {
    const bool mixed = call.fixed_B || call.fixed_C;
    if (call.method == ZOH)
        mixed ? f.template run<ZOH, true>() : f.template run<ZOH, false>();
    else if (call.method == EXPONENTIAL_TRAPEZOIDAL)
        mixed ? f.template run<EXPONENTIAL_TRAPEZOIDAL, true>() : f.template run<EXPONENTIAL_TRAPEZOIDAL, false>();
    else
        mixed ? f.template run<EULER_B, true>() : f.template run<EULER_B, false>();
}

}  // namespace
}  // namespace statespace
