// Functions of many small dense matrices: who computes which of them.

#include "dense.h"

#include "export.h"
#include "workers.h"

namespace statespace {
namespace {

template <typename Call>
const DenseKernels& kernels_for(const Call& call) {
    const bool precision = call.is_double != 0;
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return dense_avx512[precision];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return dense_avx2[precision];
#endif
    return dense_baseline[precision];
}

// Matrices are handed out in runs that take about as long as a thread takes to start. The work on one is thought to cost
// as much as `products` products of its size, which at 16 rows take some 0.1 us each.
template <typename Call, typename Kernel>
int share_matrices(const Call& call, size_t bytes, int64_t products, Kernel kernel) {
    const int64_t nanoseconds = 100 + products * (50 + call.n * call.n * (call.n + call.m) / 64);
    const int64_t run = std::max<int64_t>(1, 20000 / nanoseconds), runs = (call.count + run - 1) / run;
    const int64_t threads = std::max<int64_t>(1, std::min(call.threads, runs / 5));
    try {
        share(runs, threads, bytes, [&](int64_t i, void* scratch) {
            kernel(call, i * run, std::min((i + 1) * run, call.count), scratch);
        });
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

}  // namespace
}  // namespace statespace

// Both return 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_expm(const statespace::ExpmCall* call) {
    const statespace::DenseKernels& kernels = statespace::kernels_for(*call);
    return statespace::share_matrices(*call, kernels.expm_scratch(*call), 5, kernels.expm);
}

EXPORT int statespace_resolvent(const statespace::ResolventCall* call) {
    const statespace::DenseKernels& kernels = statespace::kernels_for(*call);
    return statespace::share_matrices(*call, kernels.resolvent_scratch(*call), 4, kernels.resolvent);
}
