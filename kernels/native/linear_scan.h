// What the driver of the linear scan and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace statespace {

// One call, as it comes from Python: `kernels/linear_scan/native.py` holds the same list. Arrays hold float or double, by
// `is_double`; complex numbers are pairs. Strides are those of batch and time, in numbers; neighbouring channels lie side
// by side. What has no strides is contiguous. Null: not given, or not wanted.
struct LinearScan {
    int64_t batch, length, channels;
    int64_t sequences;            // as many as `batch`, unless they are packed into one
    int64_t is_double, is_complex;
    int64_t threads;
    int64_t instruction_set;      // an index into the list that `statespace_instruction_set` walks
    const void* a;                // (b, l, d), a stride of 0 where it is shared
    int64_t a_stride[2];
    const void* b;                // (b, l, d)
    int64_t b_stride[2];
    const void* initial;          // (sequences, d)
    const int64_t* lengths;       // (b): the state is held beyond them
    const int64_t* bounds;        // (sequences + 1): where packed sequences begin and end
    void* h;                      // (b, l, d), written by the forward, read by the backward
    const void* grad_h;           // (b, l, d)
    int64_t grad_h_stride[2];
    void* grad_a;                 // (b, l, d), or
    double* grad_a_sums;          // (d), or (b, d) if a has a stride over the batch: sums over the time that shares an a
    void* grad_b;                 // (b, l, d)
    void* grad_initial;           // (sequences, d)
};

// A stretch of one sequence: a whole one, unless there are too few channels to share among threads.
struct LinearPiece {
    int64_t sequence, batch;
    int64_t first, steps;         // rows of the batch element
    int64_t hold;                 // rows of padding that follow
    bool begins, ends;            // its sequence
};

// The widest stretch of a row that one thread walks along: it and its neighbours in time stay in the nearest cache.
constexpr int64_t WIDEST_BYTES = 8192;

// Columns first .. first + width of a piece, counted in float or double, two for each complex number. `state` is that
// before the piece, or, on the way back, the gradient of the state after it; it ends as that on the other side.
struct LinearScanKernels {
    void (*forward)(const LinearScan&, const LinearPiece&, int64_t first, int64_t width, void* state);
    // With what of a state is left after the piece (its product of a); h is neither read nor written.
    void (*transfer)(const LinearScan&, const LinearPiece&, int64_t first, int64_t width, void* state, void* product);
    void (*transfer_back)(const LinearScan&, const LinearPiece&, int64_t first, int64_t width, void* state, void* product);
    // Adds to `sums`, `width` doubles, where the gradient of a is a sum; `scratch` holds 2 * width numbers.
    void (*backward)(const LinearScan&, const LinearPiece&, int64_t first, int64_t width, void* state, double* sums,
                     void* scratch);
};

// Indexed by LinearScan::is_complex and is_double.
extern const LinearScanKernels linear_scan_baseline[2][2];
#if defined(__x86_64__)
extern const LinearScanKernels linear_scan_avx2[2][2];
extern const LinearScanKernels linear_scan_avx512[2][2];
#endif

}  // namespace statespace
