// What the driver of the selective scan and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dtype.h"

namespace statespace {

enum Method : int64_t { EULER_B, ZOH, EXPONENTIAL_TRAPEZOIDAL };

// One call, as it comes from Python: `kernels/selective_scan/native.py` holds the same list. "Row" arrays hold the
// Dtype `row_type`, all others float or double, by it; complex numbers, of which everything with an axis n consists where
// `is_complex`, are pairs. Strides count elements (a pair is one); the last axis of every array is contiguous, and arrays
// without strides are wholly so. B and C are (b, l, g, n), in their `vector_type`, or (d, n), where they are fixed. Null: not given, or not
// wanted.
struct SelectiveScan {
    int64_t batch, length, channels, groups, states;
    int64_t sequences;        // of `cu_seqlens`; 0 where each row of the batch is one sequence
    int64_t row_type, is_complex, method, softplus;
    int64_t fixed_B, fixed_C;
    int64_t threads;
    int64_t instruction_set;  // an index into the list that `statespace_instruction_set` walks
    const void* u;            // (b, l, d), row
    int64_t u_stride[2];
    const void* dt;           // (b, l, d), row
    int64_t dt_stride[2];
    const void* z;            // (b, l, d), row
    int64_t z_stride[2];
    const void* B;
    int64_t B_stride[3];
    const void* C;
    int64_t C_stride[3];
    const void* A;              // (d, n)
    const void* D;              // (d)
    const void* dt_bias;        // (d)
    const void* initial;        // (sequences, d, n)
    const int64_t* cu_seqlens;  // (sequences + 1)
    void* y;                    // (b, l, d), row
    void* final;                // (sequences, d, n)
    void* checkpoints;          // (chunks, padded d, n): the state before each chunk, in an order of the kernel's own
    const void* grad_y;         // (b, l, d), row
    int64_t grad_y_stride[2];
    const void* grad_final;  // (sequences, d, n)
    void* grad_u;            // (b, l, d), row
    void* grad_dt;           // (b, l, d), row
    void* grad_z;            // (b, l, d), row
    void* grad_B;            // (b, l, g, n), like B; (d, n), double, where B is fixed
    void* grad_C;            // likewise
    double* grad_A;          // (d, n)
    double* grad_D;          // (d)
    double* grad_bias;       // (d)
    void* grad_initial;      // (sequences, d, n)
};

// How B and C are stored: like the other rows, but there are no complex halves.
inline int64_t vector_type(const SelectiveScan& call) {
    return call.is_complex && call.row_type != FLOAT64 ? static_cast<int64_t>(FLOAT32) : call.row_type;
}

// Steps between two states that are kept for the backward pass, which computes those in between again. The tiles of one
// chunk stay in the first cache.
constexpr int64_t STEPS = 32;

// Channels of a group are padded to a multiple of this in `checkpoints`: a multiple of every number of lanes.
constexpr int64_t PADDING = 16;

// One sequence, or a stretch of one, in whole chunks but for the last.
struct SelectiveSequence {
    int64_t batch, begin, end, index;
    int64_t first_chunk;  // chunks of STEPS are numbered through all sequences
    bool starts, ends;    // whether it has the first and the last step of its sequence
};

// A block is up to `lanes` neighbouring channels of one group, one in each lane of a vector. A panel is some blocks side
// by side in one group: they read the same B and C. Its states come in a power of two of parts. Sums over the states are
// taken part by part, then in pairs, in pairs of pairs and so on: a piece, a number of parts that stands in this tree, may be
// computed apart from the others, and no bit changes.
struct SelectivePanel {
    int64_t group, first, width;  // `first` counts blocks from the beginning of the group
    int64_t parts = 1, pieces = 1, piece = 0;  // how many there are, and which piece is meant here

    int64_t parts_of_piece() const { return parts / pieces; }

    int64_t first_state(int64_t states, int64_t at_once, int64_t index) const {
        const int64_t runs = (states + at_once - 1) / at_once, first = runs * index / parts * at_once;
        return first < states ? first : states;
    }
};

// Where the pieces of a panel are computed apart: what they leave to the next stretch and to their sum. Else null.
struct SelectiveExchange {
    void* state = nullptr;  // (width, n, lanes): the state, or its gradient, at the border of two stretches
    void* rows = nullptr;   // (width, chunks of a stretch, pieces, tiles, STEPS, lanes)
};
constexpr int64_t MOST_PARTS = 8, LEVELS = 4;              // of the tree, that of single parts among them
constexpr int64_t FORWARD_TILES = 1, BACKWARD_TILES = 3;  // the last one for a gate alone
inline int64_t backward_tiles(const SelectiveScan& call) { return BACKWARD_TILES - (call.z == nullptr); }

// What the backward pass adds up over time for each block, in double: (width, number_of_sums, lanes). The gradients of A,
// of a fixed B and of a fixed C, n numbers each, then those of D and of dt_bias.
inline int64_t number_of_sums(const SelectiveScan& call) {
    return (1 + call.fixed_B + call.fixed_C) * call.states * (1 + call.is_complex) + 2;
}

struct SelectiveScanKernels {
    int64_t lanes, states_at_once;
    size_t (*forward_scratch)(const SelectiveScan&, int64_t width);
    size_t (*backward_scratch)(const SelectiveScan&, int64_t width);
    void (*forward)(const SelectiveScan&, const SelectiveSequence&, const SelectivePanel&, void* scratch,
                    const SelectiveExchange&);
    // Adds up the rows that all pieces have left, over the chunks from `begin` to `end` of the stretch.
    void (*forward_sum)(const SelectiveScan&, const SelectiveSequence&, const SelectivePanel&, void* scratch,
                        const SelectiveExchange&, int64_t begin, int64_t end);
    // Writes what the panel adds to the gradients of B and C, in the type of the computation, to arrays in which the
    // steps of the whole batch are (groups x states) numbers apart; adds to `sums`.
    void (*backward)(const SelectiveScan&, const SelectiveSequence&, const SelectivePanel&, void* scratch,
                     const SelectiveExchange&, void* grad_B, void* grad_C, double* sums);
    void (*backward_sum)(const SelectiveScan&, const SelectiveSequence&, const SelectivePanel&, void* scratch,
                         const SelectiveExchange&, double* sums);
};

// Indexed by whether the computation is in double, and by SelectiveScan::is_complex.
extern const SelectiveScanKernels selective_scan_baseline[2][2];
#if defined(__x86_64__)
extern const SelectiveScanKernels selective_scan_avx2[2][2];
extern const SelectiveScanKernels selective_scan_avx512[2][2];
#endif

}  // namespace statespace
