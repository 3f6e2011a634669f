// The Cauchy product: which segments there are, who computes them, and how their gradients add up.
//
// Nothing in the result depends on the number of threads: the segments, the runs of segments that share a buffer of sums,
// and the order in which the buffers are added are functions of the sizes alone.

#include "cauchy.h"

#include <algorithm>
#include <cstring>

#include "export.h"
#include "workers.h"

namespace statespace {
namespace {

const CauchyKernels& kernels_for(const Cauchy& call) {
    const bool precision = call.is_double != 0;
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return cauchy_avx512[precision];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return cauchy_avx2[precision];
#endif
    return cauchy_baseline[precision];
}

// As many of the threads as are worth starting: one for each 100 us, at half a nanosecond for each pole and point.
int64_t worth(const Cauchy& call) {
    const int64_t terms = call.systems * call.states * call.points * std::max<int64_t>(1, call.residues / 2);
    return std::max<int64_t>(1, std::min(call.threads, 1 + terms / 200000));
}

int64_t segments_of(const Cauchy& call) { return (call.points + CAUCHY_SEGMENT - 1) / CAUCHY_SEGMENT; }

void forward(const Cauchy& call) {
    const CauchyKernels& kernels = kernels_for(call);
    const int64_t segments = segments_of(call);
    share(call.systems * segments, worth(call), kernels.scratch_bytes, [&](int64_t i, void* scratch) {
        const int64_t first = i % segments * CAUCHY_SEGMENT;
        kernels.forward(call, i / segments, first, std::min(CAUCHY_SEGMENT, call.points - first), scratch);
    });
}

void backward(const Cauchy& call) {
    constexpr int64_t ENOUGH = 64;  // pieces of work, for any number of threads
    const CauchyKernels& kernels = kernels_for(call);
    const int64_t segments = segments_of(call), width = 2 * (1 + call.residues), size = call.states * width;
    const int64_t wanted = std::max<int64_t>(1, ENOUGH / std::max<int64_t>(1, call.systems));
    const int64_t run = std::max<int64_t>(1, segments / wanted), runs = (segments + run - 1) / run;
    const Buffer memory(call.systems * runs * size * sizeof(double));
    auto* sums = reinterpret_cast<double*>(memory.get());

    share(call.systems * runs, worth(call), kernels.scratch_bytes, [&](int64_t i, void* scratch) {
        double* to = sums + i * size;
        std::memset(to, 0, size * sizeof(double));
        const int64_t begin = i % runs * run, end = std::min(segments, begin + run);
        for (int64_t segment = begin; segment < end; ++segment) {
            const int64_t first = segment * CAUCHY_SEGMENT, count = std::min(CAUCHY_SEGMENT, call.points - first);
            kernels.backward(call, i / runs, first, count, scratch, to);
        }
    });
    for (int64_t system = 0; system < call.systems; ++system)
        for (int64_t n = 0; n < call.states; ++n)
            for (int64_t k = 0; k < width; ++k) {
                double total = 0;
                for (int64_t i = 0; i < runs; ++i) total += sums[(system * runs + i) * size + n * width + k];
                const int64_t r = k / 2 - 1;
                if (r < 0)
                    call.grad_w[2 * (system * call.states + n) + k % 2] = total;
                else
                    call.grad_v[2 * ((r * call.systems + system) * call.states + n) + k % 2] = total;
            }
}

}  // namespace
}  // namespace statespace

// Both return 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_cauchy_forward(const statespace::Cauchy* call) {
    try {
        statespace::forward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

EXPORT int statespace_cauchy_backward(const statespace::Cauchy* call) {
    try {
        statespace::backward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
