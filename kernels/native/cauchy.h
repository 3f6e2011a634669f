// What the driver of the Cauchy product and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace statespace {

// One call, as it comes from Python: `kernels/cauchy/native.py` holds the same list. Arrays hold complex numbers as pairs
// of float or double, by `is_double`, and are contiguous. Null: not wanted.
struct Cauchy {
    int64_t residues, systems, states, points;
    int64_t is_double;
    int64_t threads;
    int64_t instruction_set;
    int64_t conjugate;      // whether the conjugate poles and residues count too
    int64_t points_stride;  // from one system's points to the next one's, 0 where all share them
    const void* v;          // (r, d, n)
    const void* z;          // (d, l) or (l)
    const void* w;          // (d, n)
    void* y;                // (r, d, l)
    const void* grad_y;     // (r, d, l)
    double* grad_v;         // (r, d, n)
    double* grad_w;         // (d, n)
    void* grad_z;           // (d, l)
};

// Points that are worked on at once: their tiles stay in the first-level cache, and sums over them in single precision.
constexpr int64_t CAUCHY_SEGMENT = 512;

struct CauchyKernels {
    size_t scratch_bytes;
    // Points first ... first + count of one system, at most CAUCHY_SEGMENT.
    void (*forward)(const Cauchy&, int64_t system, int64_t first, int64_t count, void* scratch);
    // Adds to `sums`: for each state two numbers for the gradient of w, and then two for each residue.
    void (*backward)(const Cauchy&, int64_t system, int64_t first, int64_t count, void* scratch, double* sums);
};

// Indexed by Cauchy::is_double.
extern const CauchyKernels cauchy_baseline[2];
#if defined(__x86_64__)
extern const CauchyKernels cauchy_avx2[2];
extern const CauchyKernels cauchy_avx512[2];
#endif

}  // namespace statespace
