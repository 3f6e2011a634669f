// What the driver of the selective scan's single step and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dtype.h"

namespace statespace {

enum UpdateRule : int64_t { UPDATE_EULER_B, UPDATE_ZOH, UPDATE_EXPONENTIAL_TRAPEZOIDAL };

// One call, as it comes from Python, packed: `kernels/selective_state_update/native.py` holds the same list. Arrays "of S"
// hold the type `dtype` names, those "of T" the precision that goes with it; where `is_complex`, everything with an axis n
// consists of pairs of T. Strides count elements (a pair is one), and the last axis of every array is contiguous. Null: not
// given.
struct SelectiveStateUpdate {
    int64_t batch, channels, groups, states;
    int64_t dtype;              // a Dtype
    int64_t is_complex, rule, softplus;
    int64_t threads;
    int64_t instruction_set;    // an index into the list that `statespace_instruction_set` walks
    void* state;                // (b, d, n), contiguous, read and written
    const void* x;              // (b, d) of S
    int64_t x_stride;
    const void* dt;             // (b, d) of S
    int64_t dt_stride;
    const void* A;              // (d, n), contiguous
    const void* B;              // (b, g, n) of S, or complex
    int64_t B_stride[2];
    const void* C;              // (b, g, n) of S, or complex
    int64_t C_stride[2];
    const void* D;              // (d) of T
    const void* z;              // (b, d) of S
    int64_t z_stride;
    const void* dt_bias;        // (d) of T
    void* y;                    // (b, d) of S, contiguous
};

struct SelectiveStateUpdateKernels {
    int64_t lanes;
    // Up to `lanes` channels of a batch element, from `first` on.
    void (*update)(const SelectiveStateUpdate&, int64_t batch, int64_t first);
};

// Indexed by Dtype and SelectiveStateUpdate::is_complex.
extern const SelectiveStateUpdateKernels selective_state_update_baseline[DTYPES][2];
#if defined(__x86_64__)
extern const SelectiveStateUpdateKernels selective_state_update_avx2[DTYPES][2];
extern const SelectiveStateUpdateKernels selective_state_update_avx512[DTYPES][2];
#endif

}  // namespace statespace
