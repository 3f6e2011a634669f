// The diagonal LTI scan: which blocks there are, who computes them, and how their gradients add up.
//
// Nothing in the result depends on the number of threads: the blocks, the groups that share a buffer of sums, and the
// order in which the buffers are added are functions of the sizes alone.

#include "lti_scan.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <numeric>

#include "export.h"
#include "workers.h"

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

using Complex = std::complex<double>;

template <typename T>
Complex element(const void* array, int64_t at) {
    const T* pair = static_cast<const T*>(array) + 2 * at;
    return {pair[0], pair[1]};
}

// a = exp(log_a), and 0 where the real part is minus infinity.
Complex decay(const LtiScan& call, int64_t at) {
    const double size = std::exp(call.log_a[2 * at]), angle = call.log_a[2 * at + 1];
    return {size * std::cos(angle), size * std::sin(angle)};
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
        threads = worth(call.threads, blocks * call.states * (call.length + 8) * 3 / 2);
        for (int wide = WIDEST; wide > 1 && width == 1; --wide)
            if (d % (W * wide) == 0 && blocks >= PANELS_PER_THREAD * threads * wide) width = wide;
    }

    size_t sums_size(const LtiScan& call) const { return call.states * number_of_sums(call) * 2 * kernels.lanes; }

private:
    static constexpr int64_t MOST_BUFFERS = 128, PANELS_PER_THREAD = 4;
};

template <typename T>
Coefficients<T> coefficients(const LtiScan& call, bool through_b, int64_t at) {
    const Complex a = decay(call, at);
    const Complex b = element<T>(call.b, at), c = element<T>(call.c, at), read = through_b ? c * b : c;
    const T re = T(a.real()), im = T(a.imag());
    // Below 1e-30 nothing of the state is left after a step, and the quotient could overflow.
    const Complex rounded(re, im), drift = std::norm(rounded) > 1e-60 ? (a - rounded) / rounded : 0;
    return {re, im, T(drift.real()), T(drift.imag()), T(read.real()), T(read.imag()), T(b.real()), T(b.imag())};
}

// The coefficients of each pattern of channels: computed once for each state, then laid out lane by lane.
class Poles {
    size_t bytes;
    Buffer tables;

    template <typename T>
    void fill(const LtiScan& call, const Plan& plan, bool backward) {
        const int64_t W = plan.kernels.lanes, d = call.channels, n = call.states;
        const Buffer memory(d * n * sizeof(Coefficients<T>));
        auto* of_states = reinterpret_cast<Coefficients<T>*>(memory.get());
        // A state that u drives without the factor b is read through b c; one that starts from a given value through c.
        const bool through_b = backward || !call.initial;
        share(d, worth(call.threads, d * n * 60), 0, [&](int64_t channel, void*) {
            for (int64_t at = channel * n; at < (channel + 1) * n; ++at)
                of_states[at] = coefficients<T>(call, through_b, at);
        });
        share(plan.patterns, worth(call.threads, plan.patterns * W * n * 8), 0, [&](int64_t pattern, void*) {
            auto* lanes = reinterpret_cast<T*>(tables.get() + bytes * pattern);
            for (int64_t j = 0; j < W; ++j) {
                const auto* from = reinterpret_cast<const T*>(of_states + (pattern * W + j) % d * n);
                for (int64_t i = 0; i < n * COEFFICIENTS; ++i) lanes[i * W + j] = from[i];
            }
        });
    }

public:
    Poles(const LtiScan& call, const Plan& plan, bool backward)
        : bytes(call.states * COEFFICIENTS * plan.kernels.lanes * (call.is_double ? sizeof(double) : sizeof(float))),
          tables(bytes * plan.patterns) {
        call.is_double ? fill<double>(call, plan, backward) : fill<float>(call, plan, backward);
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

// Gradients of the parameters of state k from all buffers of sums, added in the order in which they lie.
template <typename T>
void parameter_gradients(const LtiScan& call, const Plan& plan, const double* sums, int64_t k, Complex* total) {
    const int64_t W = plan.kernels.lanes, d = call.channels, n = call.states, count = number_of_sums(call);
    auto put = [](double* to, int64_t at, Complex z) { to[2 * at] = z.real(), to[2 * at + 1] = z.imag(); };

    std::fill(total, total + d * 6, 0.0);  // (d, 6)
    for (int64_t buffer = 0; buffer < plan.groups * plan.patterns; ++buffer) {
        const double* of_state = sums + buffer * plan.sums_size(call) + k * count * 2 * W;
        const int64_t first = buffer % plan.patterns * W;
        for (int64_t s = 0; s < count; ++s)
            for (int64_t j = 0; j < W; ++j)
                total[(first + j) % d * 6 + s] += Complex(of_state[2 * s * W + j], of_state[(2 * s + 1) * W + j]);
    }
    for (int64_t channel = 0; channel < d; ++channel) {
        const Complex* sum = total + channel * 6;
        const int64_t at = channel * n + k;
        const Complex conj_b = std::conj(element<T>(call.b, at)), conj_c = std::conj(element<T>(call.c, at));
        const Complex grad_a = conj_b * (conj_c * sum[U_NU] + sum[U_PSI]) + sum[H_NU];
        const Complex a = decay(call, at);
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
    share(call.states, plan.threads, call.channels * 6 * sizeof(Complex), [&](int64_t k, void* scratch) {
        auto gradients = call.is_double ? parameter_gradients<double> : parameter_gradients<float>;
        gradients(call, plan, sums, k, static_cast<Complex*>(scratch));
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
