// What the driver of the short causal convolution and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dtype.h"

namespace statespace {

// One call, as it comes from Python: `kernels/causal_conv1d/native.py` holds the same list. The (b, l, d) arrays that are
// read carry strides in elements; everything else is contiguous. Arrays "of S" hold the type `dtype` names, those "of T"
// the precision that goes with it. Null: not given, or not wanted.
struct CausalConv1d {
    int64_t batch, length, channels, width;
    int64_t sequences;          // as many as `batch`, unless they are packed into one row
    int64_t dtype;              // a Dtype
    int64_t silu;
    int64_t threads;
    int64_t instruction_set;    // an index into the list that `statespace_instruction_set` walks
    const void* x;              // (b, l, d) of S
    int64_t x_stride[3];
    const void* weight;         // (d, k) of T
    const void* bias;           // (d) of T
    const void* initial;        // (sequences, k - 1, d) of S
    const int64_t* lengths;     // (b)
    const int64_t* cu_seqlens;  // (sequences + 1)
    void* y;                    // (b, l, d) of S
    void* final;                // (sequences, k - 1, d) of S
    const void* grad_y;         // (b, l, d) of S
    int64_t grad_y_stride[3];
    const void* grad_final;     // (sequences, k - 1, d) of S
    void* grad_x;               // (b, l, d) of S
    double* grad_weight;        // (d, k)
    double* grad_bias;          // (d)
    void* grad_initial;         // (sequences, k - 1, d) of S
};

// Steps begin .. end of a sequence. Steps are counted from its first, which is row `first` of a batch element; those from
// -(k - 1) to -1 are its state.
struct ConvPiece {
    int64_t sequence, batch, first, length, begin, end;
};

// Steps of a piece. Those around it that it needs are computed twice, so a piece is long beside the filter.
inline int64_t conv_steps(const CausalConv1d& call) { return call.width <= 9 ? 64 : 8 * call.width; }

// Taps are laid out for vectors: for each block of `lanes` channels, the k taps and then the bias, (k + 1, lanes) of T.
struct CausalConv1dKernels {
    int64_t lanes;
    // Channels first .. last of a piece, `first` at the beginning of a block.
    void (*forward)(const CausalConv1d&, const void* taps, const ConvPiece&, int64_t first, int64_t last, void* scratch);
    // Adds to `sums`, one double for each tap.
    void (*backward)(const CausalConv1d&, const void* taps, const ConvPiece&, int64_t first, int64_t last, void* scratch,
                     double* sums);
};

// Bytes that one call of a kernel needs: two tiles, or three, of a piece and the steps around it.
inline size_t conv_scratch_bytes(const CausalConv1d& call, bool backward) {
    return size_t(conv_steps(call) + 2 * (call.width - 1)) * (backward ? 3 : 2) * 64;
}

// Indexed by Dtype.
extern const CausalConv1dKernels causal_conv1d_baseline[DTYPES];
#if defined(__x86_64__)
extern const CausalConv1dKernels causal_conv1d_avx2[DTYPES];
extern const CausalConv1dKernels causal_conv1d_avx512[DTYPES];
#endif

}  // namespace statespace
