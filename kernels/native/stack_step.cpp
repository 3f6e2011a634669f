// Steps of a stack of layers: groups of streams, shared among threads where that is worth it.

#include "stack_step.h"

#include "export.h"
#include "workers.h"

namespace statespace {
namespace {

const StackStepKernels& kernels_for(const StackStep& call) {
    const bool is_double = call.is_double != 0;
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return stack_step_avx512[is_double];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return stack_step_avx2[is_double];
#endif
    return stack_step_baseline[is_double];
}

// A step stays on its thread: only who has milliseconds to compute is served by another one.
constexpr int64_t ALONE = 10;

void step(const StackStep& call) {
    const StackStepKernels& kernels = kernels_for(call);
    const int64_t groups = (call.batch + STREAMS - 1) / STREAMS;
    const int64_t work = call.batch * call.length * call.nanoseconds;
    const int64_t rows = (call.asks ? 2 : 1) * STREAMS * call.width;
    share(groups, worth(call.threads, work / ALONE), size_t(rows + call.largest) * kernels.number,
          [&](int64_t i, void* workspace) {
              kernels.run(call, i * STREAMS, std::min(STREAMS, call.batch - i * STREAMS), workspace);
          });
}

}  // namespace
}  // namespace statespace

// Returns 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_stack_step(const statespace::StackStep* call) {
    try {
        statespace::step(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
