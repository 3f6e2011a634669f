// The scan of Mamba-2: chunks x groups of heads, shared among threads; between two passes over them, the scan over chunks.

#include "ssd.h"

#include "export.h"
#include "workers.h"

namespace statespace {
namespace {

const SsdKernels& kernels_for(const Ssd& call) {
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return ssd_avx512[call.is_double != 0];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return ssd_avx2[call.is_double != 0];
#endif
    return ssd_baseline[call.is_double != 0];
}

struct Plan {
    const Ssd& call;
    const SsdKernels& kernels;
    std::vector<SsdChunk> chunks;
    std::vector<int64_t> begins;  // of each sequence, its first chunk; and the end
    size_t size, bytes;           // of a number; of scratch memory
    SsdWork work;

    explicit Plan(const Ssd& call)
        : call(call), kernels(kernels_for(call)), size(call.is_double ? sizeof(double) : sizeof(float)),
          work{call, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr} {
        int64_t end = 0;
        for (int64_t i = 0; i < call.sequences; ++i) {
            begins.push_back(int64_t(chunks.size()));
            const int64_t batch = call.cu_seqlens ? 0 : i;
            int64_t at = 0;
            if (call.cu_seqlens) {  // whatever the bounds are, every row belongs to one sequence
                at = end;
                end = i + 1 < call.sequences ? std::min(std::max(call.cu_seqlens[i + 1], at), call.length) : call.length;
            } else {
                end = call.length;
            }
            for (; at < end; at += SSD_STEPS) chunks.push_back({i, batch, at, std::min(SSD_STEPS, end - at)});
        }
        begins.push_back(int64_t(chunks.size()));
        work.chunks = chunks.data();
        bytes = ssd_scratch(work) * size;
    }

    // As many numbers as all states before, or after, the chunks.
    size_t states() const { return chunks.size() * size_t(call.heads * work.state_size()); }

    // A rough guess of what a pass takes, with so many products for each channel and state.
    int64_t threads(int64_t products) const {
        return worth(call.threads, call.batch * call.length * call.heads * (call.width + 16) * (call.states + 16) * products / 16);
    }
    template <typename Body>
    void for_chunks(int64_t products, const Body& body) const {
        const int64_t groups = call.groups;
        share(int64_t(chunks.size()) * groups, threads(products), bytes,
              [&](int64_t i, void* scratch) { body(i / groups, i % groups, scratch); });
    }
    // With the first and the last chunk of each sequence, for each head.
    template <typename Body>
    void for_sequences(const Body& body) const {
        share(call.sequences * call.heads, threads(1), bytes, [&](int64_t i, void* scratch) {
            const int64_t sequence = i / call.heads;
            body(sequence, begins[sequence], begins[sequence + 1], i % call.heads, scratch);
        });
    }
};

void forward(const Ssd& call) {
    Plan plan(call);
    const int64_t cells = int64_t(plan.chunks.size()) * call.heads;
    const Buffer states(plan.states() * plan.size), whole(size_t(cells) * sizeof(double));
    plan.work.states = states.get();
    plan.work.whole = reinterpret_cast<double*>(whole.get());
    about_to_fill(call.y, size_t(call.batch * call.length * call.heads * call.width) * plan.size);
    plan.for_chunks(1, [&](int64_t c, int64_t group, void* scratch) {
        plan.kernels.gather(plan.work, c, group, false, scratch);
    });
    plan.for_sequences([&](int64_t sequence, int64_t first, int64_t last, int64_t head, void* scratch) {
        plan.kernels.carry(plan.work, sequence, first, last, head, scratch);
    });
    plan.for_chunks(3, [&](int64_t c, int64_t group, void* scratch) {
        plan.kernels.forward(plan.work, c, group, scratch);
    });
}

void backward(const Ssd& call) {
    Plan plan(call);
    const int64_t cells = int64_t(plan.chunks.size()) * call.heads;
    const Buffer states(plan.states() * plan.size), adjoints(plan.states() * plan.size);
    const Buffer sums(size_t(3 * cells) * sizeof(double));
    plan.work.states = states.get();
    plan.work.adjoints = adjoints.get();
    plan.work.whole = reinterpret_cast<double*>(sums.get());
    plan.work.of_A = plan.work.whole + cells;
    plan.work.of_D = plan.work.of_A + cells;
    about_to_fill(call.grad_x, size_t(call.batch * call.length * call.heads * call.width) * plan.size);
    about_to_fill(call.grad_B, size_t(call.batch * call.length * call.groups * call.states) * plan.size);
    about_to_fill(call.grad_C, size_t(call.batch * call.length * call.groups * call.states) * plan.size);
    plan.for_chunks(2, [&](int64_t c, int64_t group, void* scratch) {
        plan.kernels.gather(plan.work, c, group, true, scratch);
    });
    plan.for_sequences([&](int64_t sequence, int64_t first, int64_t last, int64_t head, void* scratch) {
        plan.kernels.carry(plan.work, sequence, first, last, head, scratch);
        plan.kernels.carry_back(plan.work, sequence, first, last, head, scratch);
    });
    plan.for_chunks(8, [&](int64_t c, int64_t group, void* scratch) {
        plan.kernels.backward(plan.work, c, group, scratch);
    });
    for (int64_t head = 0; head < call.heads; ++head) {
        double of_A = 0, of_D = 0;
        for (int64_t i = head; i < cells; i += call.heads) of_A += plan.work.of_A[i], of_D += plan.work.of_D[i];
        call.grad_A[head] = of_A;
        if (call.D) call.grad_D[head] = of_D;
    }
}

}  // namespace
}  // namespace statespace

// Both return 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_ssd_forward(const statespace::Ssd* call) {
    try {
        statespace::forward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

EXPORT int statespace_ssd_backward(const statespace::Ssd* call) {
    try {
        statespace::backward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
