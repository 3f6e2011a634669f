// The single step of the selective scan: batch x blocks of channels, shared among threads where that is worth it.

#include "selective_state_update.h"

#include "export.h"
#include "workers.h"

namespace statespace {
namespace {

const SelectiveStateUpdateKernels& kernels_for(const SelectiveStateUpdate& call) {
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512))
        return selective_state_update_avx512[call.dtype][call.is_complex != 0];
    if (call.instruction_set <= AVX2 && supports(AVX2))
        return selective_state_update_avx2[call.dtype][call.is_complex != 0];
#endif
    return selective_state_update_baseline[call.dtype][call.is_complex != 0];
}

void update(const SelectiveStateUpdate& call) {
    const SelectiveStateUpdateKernels& kernels = kernels_for(call);
    const int64_t blocks = (call.channels + kernels.lanes - 1) / kernels.lanes;
    const int64_t work = call.batch * call.channels * (call.states + 8) / 2;
    share(call.batch * blocks, worth(call.threads, work), 0, [&](int64_t i, void*) {
        kernels.update(call, i / blocks, i % blocks * kernels.lanes);
    });
}

}  // namespace
}  // namespace statespace

// Returns 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_selective_state_update(const statespace::SelectiveStateUpdate* call) {
    try {
        statespace::update(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
