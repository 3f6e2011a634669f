// What the driver of the diagonal LTI scan and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace statespace {

// One call, as it comes from Python: `kernels/lti_scan/native.py` holds the same list, and ABI_VERSION counts its changes.
// Arrays hold float or double, by `is_double`; complex numbers are pairs. The three (b, l, d) arrays that are read carry
// strides in elements; everything else is contiguous. Null: not given, or not wanted.
struct LtiScan {
    int64_t batch, length, channels, states;
    int64_t is_double;
    int64_t threads;
    int64_t instruction_set;  // an index into the list that `statespace_instruction_set` walks
    const void* u;            // (b, l, d)
    int64_t u_stride[3];
    const double* log_a;      // (d, n) complex, double whatever the precision: exp() is taken before rounding
    const void* b;            // (d, n) complex
    const void* c;            // (d, n) complex
    const void* D;            // (d)
    const void* initial;      // (b, d, n) complex
    const int64_t* lengths;   // (b)
    void* y;                  // (b, l, d)
    void* final;              // (b, d, n) complex
    const void* grad_y;       // (b, l, d)
    int64_t grad_y_stride[3];
    const void* grad_final;   // (b, d, n) complex
    void* grad_u;             // (b, l, d)
    double* grad_log_a;       // (d, n) complex
    double* grad_b;           // (d, n) complex
    double* grad_c;           // (d, n) complex
    double* grad_D;           // (d)
    void* grad_initial;       // (b, d, n) complex
};

// Steps between two corrections of the state for the rounding of a, and between two additions to sums in double.
constexpr int64_t SEGMENT = 64;

// Complex sums that the backward pass leaves for each state and lane; kernels/lti_scan/README.md derives them. The last
// four are there only when a state comes in or the gradient of one.
enum Sum { U_MU, U_NU, U_PHI, U_PSI, H_MU, H_NU };
inline int64_t number_of_sums(const LtiScan& call) { return call.initial || call.grad_final ? 6 : 2; }

// What a kernel knows of one state. `read` takes the state to the output. `drift` is the relative error of the rounded a,
// exp(log_a) / a - 1: rounded to float, a pole with a memory of 1000 steps is off by 3e-5 of its gain, so the state is
// turned back by the errors of a segment at a time, half before it and half after, where what is left does not add up.
template <typename T>
struct Coefficients {
    T a_re, a_im, drift_re, drift_im, read_re, read_im, b_re, b_im;
};
constexpr int64_t COEFFICIENTS = 8;

// A block is `lanes` neighbouring (batch, channel) pairs, one in each lane of a vector; it is named by its first pair. A
// panel is up to WIDEST blocks side by side in one batch element, which advance together so that whole stretches of the
// rows of u are touched at a time: alone, each block would walk through all the pages of u again.
constexpr int WIDEST = 4;

struct LtiScanKernels {
    int64_t lanes;
    size_t (*scratch_bytes)(int64_t states);
    // A panel of `width` blocks; `poles` are their coefficients, (width, states, COEFFICIENTS, lanes).
    void (*forward)(const LtiScan&, const void* poles, int64_t first, int width, void* scratch);
    // Adds to `sums`, (width, states, number_of_sums, 2, lanes), and to `sums_D`, (width, lanes).
    void (*backward)(const LtiScan&, const void* poles, int64_t first, int width, void* scratch, double* sums,
                     double* sums_D);
};

// Indexed by LtiScan::is_double.
extern const LtiScanKernels lti_scan_baseline[2];
#if defined(__x86_64__)
extern const LtiScanKernels lti_scan_avx2[2];
extern const LtiScanKernels lti_scan_avx512[2];
#endif

}  // namespace statespace
