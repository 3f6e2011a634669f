// What the driver of the running rotation and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace statespace {

// One call, as it comes from Python: `kernels/rotation/native.py` holds the same list. Arrays are contiguous, of the type of
// the computation where it says no other. Null: not given, or not wanted.
struct Rotation {
    int64_t batch, length, heads, groups, states, angles;
    int64_t is_double;
    int64_t threads;
    int64_t instruction_set;    // an index into the list that `statespace_instruction_set` walks
    double eps;
    const void* rows[2];        // B and C, (b, l, g, n)
    const void* weights[2];     // of their norms, (n)
    const void* biases[2];      // (h, n)
    const void* rate;           // (b, l, r)
    const void* step;           // (b, l, h)
    const double* before;       // (b, h, r)
    void* turned[2];            // (b, l, h, n)
    void* products;             // (b, l, h)
    double* after;              // (b, h, r)
    const void* grad_turned[2]; // (b, l, h, n)
    const void* grad_products;  // (b, l, h)
    const double* grad_after;   // (b, h, r)
    void* grad_rows[2];         // (b, l, g, n)
    double* grad_weights[2];    // (n)
    double* grad_biases[2];     // (h, n)
    void* grad_rate;            // (b, l, r)
    void* grad_step;            // (b, l, h)
    double* grad_before;        // (b, h, r)
};

// Time is cut into pieces of so many steps. Vectors are filled up to a whole number of vectors of any set and type, and a
// pair of coordinates that turns has its angle twice, so that there are as many angles as coordinates.
constexpr int64_t ROTATION_STEPS = 128, ROTATION_FILL = 16;
constexpr int64_t rotation_filled(int64_t count) { return (count + ROTATION_FILL - 1) / ROTATION_FILL * ROTATION_FILL; }

// A piece, and what passes from one to the next.
struct RotationPiece {
    const Rotation& call;
    int64_t batch, begin, end;
    double* sums;    // (heads, turning): what the angles of the piece add up to; then what they stood at before it
    double* vectors; // (2, heads + 1, states): gradients of the biases of the heads and of the weights

    int64_t turning() const { return rotation_filled(2 * call.angles); }
    int64_t filled() const { return rotation_filled(call.states); }
};

struct RotationKernels {
    void (*sum)(const RotationPiece&, void* scratch);
    void (*forward)(const RotationPiece&, void* scratch);
    // Gradients as if nothing came after the piece, whose angles' gradients are left in `later`, as wide as `sums`.
    void (*backward)(const RotationPiece&, double* later, void* scratch);
    // Adds what comes from after the piece.
    void (*add_later)(const RotationPiece&, const double* later, void* scratch);
};

// Numbers of the computation's type that one call of a kernel needs.
inline size_t rotation_scratch(const RotationPiece& piece) {
    const size_t heads = size_t(piece.call.heads), turning = size_t(piece.turning()), filled = size_t(piece.filled());
    return 3 * heads * turning + (4 * heads + 6 * size_t(piece.call.groups) + 4) * filled + 2 * turning + 256;
}

// Float, double.
extern const RotationKernels rotation_baseline[2];
#if defined(__x86_64__)
extern const RotationKernels rotation_avx2[2];
extern const RotationKernels rotation_avx512[2];
#endif

}  // namespace statespace
