// The diagonal LTI scan: which blocks there are, who computes them, and how their gradients add up.
//
// Nothing in the result depends on the number of threads: the blocks, the groups that share a buffer of sums, and the
// order in which the buffers are added are functions of the sizes alone.

#include "lti_scan.h"

#include <algorithm>
#include <complex>
#include <cstring>
#include <numeric>

#include "workers.h"

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace statespace {
namespace {

const LtiScanKernels& kernels_for(const LtiScan& call) {
    const bool precision = call.is_double != 0;
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return lti_scan_avx512[precision];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return lti_scan_avx2[precision];
#endif
    return lti_scan_baseline[precision];
}

// Pairs are numbered through the batch. Block q begins at pair q * lanes; its channels are those of block q + patterns,
// so as many tables of coefficients do. Its gradients go into the buffer of sums of its pattern and its group, and a
// group is at most `run` blocks of each pattern. The width of a panel may follow the number of threads: it does not
// change what happens in any lane, nor the order in which a buffer is added to.
struct Plan {
    const LtiScanKernels& kernels;
    int64_t blocks, patterns, run, groups, threads;
    int width = 1;

    explicit Plan(const LtiScan& call) : kernels(kernels_for(call)) {
        const int64_t W = kernels.lanes, d = call.channels;
        blocks = (call.batch * d + W - 1) / W;
        patterns = std::min(blocks, d / std::max<int64_t>(1, std::gcd(d, W)));
        const int64_t repeats = (blocks + patterns - 1) / std::max<int64_t>(1, patterns);
        run = std::max<int64_t>(1, blocks / MOST_BUFFERS);
        groups = (repeats + run - 1) / run;
        // Below some 100 us another thread is not worth its start.
        const int64_t work = blocks * call.states * (call.length + 8);
        threads = std::max<int64_t>(1, std::min(call.threads, 1 + work / STEPS_PER_THREAD));
        for (int wide = WIDEST; wide > 1 && width == 1; --wide)
            if (d % (W * wide) == 0 && blocks >= PANELS_PER_THREAD * threads * wide) width = wide;
    }

    size_t sums_size(const LtiScan& call) const { return call.states * number_of_sums(call) * 2 * kernels.lanes; }

private:
    static constexpr int64_t MOST_BUFFERS = 128, STEPS_PER_THREAD = 1 << 16, PANELS_PER_THREAD = 4;
};

class Poles {
    size_t bytes;
    Buffer tables;

public:
    Poles(const LtiScan& call, const Plan& plan, bool backward)
        : bytes(plan.kernels.poles_bytes(call.states)), tables(bytes * plan.patterns) {
        share(plan.patterns, plan.threads, 0, [&](int64_t pattern, void*) {
            plan.kernels.pack(call, backward, pattern * plan.kernels.lanes, tables.get() + bytes * pattern);
        });
    }
    const void* operator[](int64_t pattern) const { return tables.get() + bytes * pattern; }
};

void forward(const LtiScan& call) {
    const Plan plan(call);
    const Poles poles(call, plan, false);
    share(plan.blocks / plan.width, plan.threads, plan.kernels.scratch_bytes(call.states), [&](int64_t i, void* scratch) {
        const int64_t block = i * plan.width;
        plan.kernels.forward(call, poles[block % plan.patterns], block * plan.kernels.lanes, plan.width, scratch);
    });
}

using Complex = std::complex<double>;

// Gradients of the parameters of state k from all buffers of sums, added in the order in which they lie.
template <typename T>
void parameter_gradients(const LtiScan& call, const Plan& plan, const double* sums, int64_t k) {
    const int64_t W = plan.kernels.lanes, d = call.channels, n = call.states, count = number_of_sums(call);
    const T *b = static_cast<const T*>(call.b), *c = static_cast<const T*>(call.c);
    auto complex = [](auto* from, int64_t at) { return Complex(from[2 * at], from[2 * at + 1]); };
    auto put = [](double* to, int64_t at, Complex z) { to[2 * at] = z.real(), to[2 * at + 1] = z.imag(); };

    std::vector<Complex> total(d * 6);
    for (int64_t buffer = 0; buffer < plan.groups * plan.patterns; ++buffer) {
        const double* of_state = sums + buffer * plan.sums_size(call) + k * count * 2 * W;
        const int64_t first = buffer % plan.patterns * W;
        for (int64_t s = 0; s < count; ++s)
            for (int64_t j = 0; j < W; ++j)
                total[(first + j) % d * 6 + s] += Complex(of_state[2 * s * W + j], of_state[(2 * s + 1) * W + j]);
    }
    for (int64_t channel = 0; channel < d; ++channel) {
        const Complex* sum = &total[channel * 6];
        const int64_t at = channel * n + k;
        const Complex conj_b = std::conj(complex(b, at)), conj_c = std::conj(complex(c, at));
        const Complex grad_a = conj_b * (conj_c * sum[U_NU] + sum[U_PSI]) + sum[H_NU];
        const double size = std::exp(call.log_a[2 * at]), angle = call.log_a[2 * at + 1];
        const Complex a(size * std::cos(angle), size * std::sin(angle));
        put(call.grad_b, at, conj_c * sum[U_MU] + sum[U_PHI]);
        put(call.grad_c, at, conj_b * sum[U_MU] + sum[H_MU]);
        put(call.grad_log_a, at, std::conj(a) * grad_a);
    }
}

void backward(const LtiScan& call) {
    const Plan plan(call);
    const Poles poles(call, plan, true);
    const int64_t W = plan.kernels.lanes, buffers = plan.groups * plan.patterns;
    const size_t sums_size = plan.sums_size(call);
    const Buffer memory(buffers * (sums_size + W) * sizeof(double));
    auto* sums = reinterpret_cast<double*>(memory.get());
    double* sums_D = sums + buffers * sums_size;

    share(buffers / plan.width, plan.threads, plan.kernels.scratch_bytes(call.states), [&](int64_t i, void* scratch) {
        const int64_t buffer = i * plan.width, pattern = buffer % plan.patterns, group = buffer / plan.patterns;
        double *to = sums + buffer * sums_size, *to_D = sums_D + buffer * W;
        std::memset(to, 0, plan.width * sums_size * sizeof(double));
        std::memset(to_D, 0, plan.width * W * sizeof(double));
        for (int64_t repeat = group * plan.run; repeat < (group + 1) * plan.run; ++repeat) {
            const int64_t block = repeat * plan.patterns + pattern;
            if (block >= plan.blocks) break;
            plan.kernels.backward(call, poles[pattern], block * W, plan.width, scratch, to, to_D);
        }
    });
    share(call.states, plan.threads, 0, [&](int64_t k, void*) {
        call.is_double ? parameter_gradients<double>(call, plan, sums, k) : parameter_gradients<float>(call, plan, sums, k);
    });
    std::fill(call.grad_D, call.grad_D + call.channels, 0.0);
    for (int64_t buffer = 0; buffer < buffers; ++buffer)
        for (int64_t j = 0; j < W; ++j)
            call.grad_D[(buffer % plan.patterns * W + j) % call.channels] += sums_D[buffer * W + j];
}

}  // namespace
}  // namespace statespace

// Both return 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_lti_scan_forward(const statespace::LtiScan* call) {
    try {
        statespace::forward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

EXPORT int statespace_lti_scan_backward(const statespace::LtiScan* call) {
    try {
        statespace::backward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
