// What the driver of the batched dense kernels, and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace statespace {

// A batch of matrices that is read: element (i, r, c) lies `i stride[0] + r stride[1] + c stride[2]` elements from it.
struct Batch {
    const void* data;
    int64_t stride[3];
};

// One call each, as it comes from Python: native.py of kernels/expm and of kernels/resolvent hold the same lists, and
// ABI_VERSION counts their changes. Arrays hold float or double, by `is_double`; what is written is contiguous.
struct ExpmCall {
    int64_t count, n, m;
    int64_t order;  // F holds phi_1 B ... phi_order B, and is not written at order 0
    int64_t is_double;
    int64_t threads;
    int64_t instruction_set;  // an index into the list that `statespace_instruction_set` walks
    Batch A;                  // (count, n, n)
    Batch B;                  // (count, n, m)
    Batch t;                  // (count, 1, 1)
    void* E;                  // (count, n, n)
    void* F;                  // (count, n, order m)
};

struct ResolventCall {
    int64_t count, n, m, p;
    int64_t is_double;
    int64_t threads;
    int64_t instruction_set;
    double scale, shift;  // R is scale (I - tA)⁻¹ + shift I
    Batch A;        // (count, n, n)
    Batch B;        // (count, n, m)
    Batch C;        // (count, p, n)
    Batch t;        // (count, 1, 1)
    void* R;        // (count, n, n)
    void* RB;       // (count, n, m)
    void* CR;       // (count, p, n)
    bool* singular; // (count)
};

// Matrices first..last of a call, with scratch memory for one of them at a time.
struct DenseKernels {
    size_t (*expm_scratch)(const ExpmCall&);
    void (*expm)(const ExpmCall&, int64_t first, int64_t last, void* scratch);
    size_t (*resolvent_scratch)(const ResolventCall&);
    void (*resolvent)(const ResolventCall&, int64_t first, int64_t last, void* scratch);
};

// [0] for float, [1] for double.
extern const DenseKernels dense_baseline[2];
#if defined(__x86_64__)
extern const DenseKernels dense_avx2[2];
extern const DenseKernels dense_avx512[2];
#endif

}  // namespace statespace
