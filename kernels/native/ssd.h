// What the driver of the scan of Mamba-2 and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace statespace {

// One call, as it comes from Python: `kernels/ssd/native.py` holds the same list. Arrays that are read by time carry
// strides in elements; everything else is contiguous, of the type of the computation where it says no other. Null: not
// given, or not wanted.
struct Ssd {
    int64_t batch, length, heads, width, groups, states;
    int64_t sequences;          // as many as `batch`, unless they are packed into one row
    int64_t is_double;
    int64_t threads;
    int64_t instruction_set;    // an index into the list that `statespace_instruction_set` walks
    const void* x;              // (b, l, h, p)
    int64_t x_stride[4];
    const void* dt;             // (b, l, h)
    int64_t dt_stride[3];
    const void* A;              // (h)
    const void* B;              // (b, l, g, n)
    int64_t B_stride[4];
    const void* C;              // (b, l, g, n)
    int64_t C_stride[4];
    const void* D;              // (h)
    const void* initial;        // (sequences, h, p, n)
    const int64_t* cu_seqlens;  // (sequences + 1)
    void* y;                    // (b, l, h, p)
    void* final;                // (sequences, h, p, n)
    const void* grad_y;         // (b, l, h, p)
    int64_t grad_y_stride[4];
    const void* grad_final;     // (sequences, h, p, n)
    void* grad_x;               // (b, l, h, p)
    void* grad_dt;              // (b, l, h)
    void* grad_B;               // (b, l, g, n)
    void* grad_C;               // (b, l, g, n)
    double* grad_A;             // (h)
    double* grad_D;             // (h)
    void* grad_initial;         // (sequences, h, p, n)
};

// Channels and states are filled up with zeros to a multiple of this, a whole number of vectors of any set and type; steps
// to a multiple of SSD_ROWS. A chunk has SSD_STEPS steps, or less at the end of a sequence.
constexpr int64_t SSD_FILL = 16, SSD_ROWS = 8, SSD_STEPS = 64;
constexpr int64_t ssd_filled(int64_t count, int64_t to = SSD_FILL) { return (count + to - 1) / to * to; }

// Some steps that follow one another: `steps` from row `first` of a batch element on.
struct SsdChunk {
    int64_t sequence, batch, first, steps;
};

// A call, cut into chunks, and what one pass leaves for the next. States lie as (chunks, heads, p, n filled up).
struct SsdWork {
    const Ssd& call;
    const SsdChunk* chunks;
    void* states;     // what a chunk adds to the state; after the scan over chunks, the state before each
    void* adjoints;   // the same backwards: what a chunk adds to the gradient, and the gradient of the state after each
    double* whole;    // (chunks, heads): the decay over a chunk
    double* of_A;     // (chunks, heads): gradients
    double* of_D;     // (chunks, heads)

    int64_t state_size() const { return call.width * ssd_filled(call.states); }
};

struct SsdKernels {
    // What chunk `c` adds to the states of the heads of a group, and, if `back`, to their gradient.
    void (*gather)(const SsdWork&, int64_t c, int64_t group, bool back, void* scratch);
    // The scan over the chunks first .. last of a sequence, of one head.
    void (*carry)(const SsdWork&, int64_t sequence, int64_t first, int64_t last, int64_t head, void* scratch);
    void (*carry_back)(const SsdWork&, int64_t sequence, int64_t first, int64_t last, int64_t head, void* scratch);
    // Outputs of a chunk and group, and gradients.
    void (*forward)(const SsdWork&, int64_t c, int64_t group, void* scratch);
    void (*backward)(const SsdWork&, int64_t c, int64_t group, void* scratch);
};

// Numbers of the computation's type that one call of a kernel needs; the arrays are those of ssd_kernels.h.
inline size_t ssd_scratch(const SsdWork& work) {
    const size_t t = size_t(ssd_filled(SSD_STEPS)), p = size_t(ssd_filled(work.call.width)),
                 n = size_t(ssd_filled(work.call.states));
    return 6 * t * n + 8 * t * p + 6 * t * t + 3 * p * n + 32 * t + 256;
}

// Float, double.
extern const SsdKernels ssd_baseline[2];
#if defined(__x86_64__)
extern const SsdKernels ssd_avx2[2];
extern const SsdKernels ssd_avx512[2];
#endif

}  // namespace statespace
