// The selective scan: which panels of channels there are, who computes them, and how their gradients add up.
//
// Nothing in the result depends on the number of threads: the panels whose sums over channels are rounded together, the
// runs of sequences that share a buffer of sums over time, and the order in which all these are added are functions of
// the sizes alone.

#include "selective_scan.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "export.h"
#include "workers.h"

// What is rounded here is little, and every processor has these.
#define VECTOR_BYTES 16
#include "rows.h"

namespace statespace {
namespace {

const SelectiveScanKernels& kernels_for(const SelectiveScan& call) {
    const bool is_double = call.row_type == FLOAT64, is_complex = call.is_complex != 0;
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return selective_scan_avx512[is_double][is_complex];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return selective_scan_avx2[is_double][is_complex];
#endif
    return selective_scan_baseline[is_double][is_complex];
}

// Wrong values of cu_seqlens are bent so that the sequences cover the row once, whatever they say.
std::vector<SelectiveSequence> sequences_of(const SelectiveScan& call) {
    std::vector<SelectiveSequence> found;
    const int64_t count = call.cu_seqlens ? call.sequences : call.batch;
    found.reserve(count);
    int64_t chunks = 0, end = 0;
    for (int64_t i = 0; i < count; ++i) {
        SelectiveSequence sequence{i, 0, call.length, i, chunks};
        if (call.cu_seqlens) {
            sequence.batch = 0;
            sequence.begin = end;
            sequence.end = i + 1 == count ? call.length : std::clamp(call.cu_seqlens[i + 1], end, call.length);
            end = sequence.end;
        }
        chunks += (sequence.end - sequence.begin + STEPS - 1) / STEPS;
        found.push_back(sequence);
    }
    return found;
}

struct Plan {
    const SelectiveScanKernels& kernels;
    const std::vector<SelectiveSequence> sequences;
    int64_t blocks;  // of one group
    int64_t chunks;
    int64_t threads;

    explicit Plan(const SelectiveScan& call, int64_t picoseconds)
        : kernels(kernels_for(call)), sequences(sequences_of(call)) {
        blocks = (call.channels / call.groups + kernels.lanes - 1) / kernels.lanes;
        chunks = 0;
        for (const SelectiveSequence& sequence : sequences) chunks += (sequence.end - sequence.begin + STEPS - 1) / STEPS;
        // As many of the threads as are worth starting: one for each 100 us.
        const int64_t work = call.batch * call.length * call.groups * blocks * (call.states + 2);
        threads = std::max<int64_t>(1, std::min(call.threads, 1 + work * picoseconds / 100000000));
    }

    // The widest panels of which there are `wanted`, or those of `least` blocks.
    int64_t width(const SelectiveScan& call, int64_t runs, int64_t wanted, int64_t least) const {
        int64_t wide = WIDEST;
        while (wide > least && runs * call.groups * ((blocks + wide - 1) / wide) < wanted) wide /= 2;
        return std::min(wide, blocks);
    }
    static constexpr int64_t WIDEST = 8;
};

bool is_half(int64_t type) { return type == BFLOAT16 || type == FLOAT16; }

size_t bytes_of_rows(const SelectiveScan& call) {
    return call.batch * call.length * call.channels * size_of(call.row_type);
}

// What no kernel writes of the checkpoints: lanes beyond the blocks, and chunks that short sequences leave over.
void clear_padding(const SelectiveScan& call, const Plan& plan) {
    const size_t lane = call.states * (1 + call.is_complex) * (call.row_type == FLOAT64 ? 8 : 4);
    const int64_t of_group = (call.channels / call.groups + PADDING - 1) / PADDING * PADDING;
    const int64_t chunks = call.cu_seqlens ? call.length / STEPS + call.sequences
                                           : call.batch * ((call.length + STEPS - 1) / STEPS);
    char* const memory = static_cast<char*>(call.checkpoints);
    about_to_fill(memory, chunks * call.groups * of_group * lane);
    const int64_t used = plan.blocks * plan.kernels.lanes, full = plan.chunks * call.groups;
    for (int64_t i = 0; i < full && used < of_group; ++i)
        std::memset(memory + (i * of_group + used) * lane, 0, (of_group - used) * lane);
    if (plan.chunks < chunks)
        std::memset(memory + full * of_group * lane, 0, (chunks - plan.chunks) * call.groups * of_group * lane);
}

void forward(const SelectiveScan& call) {
    const Plan plan(call, 2000 * (1 + 2 * call.is_complex));
    if (!plan.blocks) return;
    about_to_fill(call.y, bytes_of_rows(call));
    if (call.checkpoints) clear_padding(call, plan);
    const int64_t count = plan.sequences.size();
    const int64_t wide = plan.width(call, count, 4 * plan.threads, 1), panels = (plan.blocks + wide - 1) / wide;
    share(count * call.groups * panels, plan.threads, plan.kernels.forward_scratch(call, wide),
          [&](int64_t i, void* scratch) {
              const SelectivePanel panel{i / panels % call.groups, i % panels * wide,
                                std::min(wide, plan.blocks - i % panels * wide)};
              plan.kernels.forward(call, plan.sequences[i / panels / call.groups], panel, scratch);
          });
}

// Gradients of rows, added up over the panels of a group and rounded to the type of the rows.
template <typename T>
void add_panels(const SelectiveScan& call, int64_t threads, int64_t panels, const T* parts, void* to) {
    const int64_t size = call.batch * call.length * call.groups * call.states * (1 + call.is_complex);
    constexpr int64_t PIECE = 4096;
    share((size + PIECE - 1) / PIECE, threads, PIECE * sizeof(T), [&](int64_t i, void* scratch) {
        const int64_t begin = i * PIECE, count = std::min(PIECE, size - begin);
        T* sum = static_cast<T*>(scratch);
        std::memcpy(sum, parts + begin, count * sizeof(T));
        for (int64_t panel = 1; panel < panels; ++panel)
            for (int64_t j = 0; j < count; ++j) sum[j] += parts[panel * size + begin + j];
        write_numbers<T>(vector_type(call), sum, to, begin, count);
    });
}

// Sums over time of all runs, lane by lane, to the gradients of the parameters.
void add_runs(const SelectiveScan& call, const Plan& plan, int64_t runs, const double* sums) {
    const int64_t W = plan.kernels.lanes, count = number_of_sums(call), of_group = call.channels / call.groups;
    const int64_t n = call.states * (1 + call.is_complex), blocks = call.groups * plan.blocks;
    double* const grad_B = call.fixed_B ? static_cast<double*>(call.grad_B) : nullptr;
    double* const grad_C = call.fixed_C ? static_cast<double*>(call.grad_C) : nullptr;
    for (int64_t d = 0; d < call.channels; ++d) {
        const int64_t block = d / of_group * plan.blocks + d % of_group / W, lane = d % of_group % W;
        int64_t s = 0;
        auto next = [&] {
            double sum = 0;
            for (int64_t run = 0; run < runs; ++run) sum += sums[((run * blocks + block) * count + s) * W + lane];
            ++s;
            return sum;
        };
        for (int64_t k = 0; k < n; ++k) call.grad_A[d * n + k] = next();
        for (int64_t k = 0; grad_B && k < n; ++k) grad_B[d * n + k] = next();
        for (int64_t k = 0; grad_C && k < n; ++k) grad_C[d * n + k] = next();
        call.grad_D[d] = next();
        call.grad_bias[d] = next();
    }
}

// The gradients of a call without channels, or without sequences: of what else there is.
void clear(const SelectiveScan& call, int64_t size) {
    const size_t width = size_of(vector_type(call));
    const int64_t fixed = call.channels * call.states * (1 + call.is_complex);
    std::fill(call.grad_A, call.grad_A + fixed, 0.0);
    std::fill(call.grad_D, call.grad_D + call.channels, 0.0);
    std::fill(call.grad_bias, call.grad_bias + call.channels, 0.0);
    auto zero = [&](void* to, bool is_fixed) {
        const size_t bytes = is_fixed ? fixed * sizeof(double) : size * width;
        if (bytes) std::memset(to, 0, bytes);
    };
    zero(call.grad_B, call.fixed_B);
    zero(call.grad_C, call.fixed_C);
}

template <typename T>
void backward(const SelectiveScan& call) {
    const Plan plan(call, 5000 * (1 + 2 * call.is_complex));
    const int64_t size = call.batch * call.length * call.groups * call.states * (1 + call.is_complex);
    if (!plan.blocks || !plan.sequences.size()) return clear(call, size);
    for (void* rows : {call.grad_u, call.grad_dt, call.grad_z}) about_to_fill(rows, bytes_of_rows(call));
    constexpr int64_t MOST_RUNS = 32, PANELS = 4, LEAST = 2;  // narrower ones spend their time on sums over lanes
    const int64_t count = plan.sequences.size(), each = std::max<int64_t>(1, (count + MOST_RUNS - 1) / MOST_RUNS);
    const int64_t runs = (count + each - 1) / each;
    const int64_t wide = plan.width(call, runs, PANELS, LEAST), panels = (plan.blocks + wide - 1) / wide;
    const int64_t W = plan.kernels.lanes, of_block = number_of_sums(call) * W;
    const Buffer memory(runs * call.groups * plan.blocks * of_block * sizeof(double));
    auto* sums = reinterpret_cast<double*>(memory.get());

    // One panel writes its gradients of B and C where they belong, if no rounding is due; more leave parts to be added.
    const bool direct = panels == 1 && !is_half(vector_type(call));
    const Buffer parts_B(direct || call.fixed_B ? 0 : panels * size * sizeof(T));
    const Buffer parts_C(direct || call.fixed_C ? 0 : panels * size * sizeof(T));
    T* to_B = direct ? static_cast<T*>(call.grad_B) : reinterpret_cast<T*>(parts_B.get());
    T* to_C = direct ? static_cast<T*>(call.grad_C) : reinterpret_cast<T*>(parts_C.get());

    share(runs * call.groups * panels, plan.threads, plan.kernels.backward_scratch(call, wide),
          [&](int64_t i, void* scratch) {
              const int64_t panel = i % panels, group = i / panels % call.groups, run = i / panels / call.groups;
              const SelectivePanel of_group{group, panel * wide, std::min(wide, plan.blocks - panel * wide)};
              double* sum = sums + ((run * call.groups + group) * plan.blocks + of_group.first) * of_block;
              std::memset(sum, 0, of_group.width * of_block * sizeof(double));
              for (int64_t s = run * each; s < std::min(count, (run + 1) * each); ++s)
                  plan.kernels.backward(call, plan.sequences[s], of_group, scratch, to_B + panel * size,
                                        to_C + panel * size, sum);
          });
    if (!direct && !call.fixed_B) add_panels(call, plan.threads, panels, to_B, call.grad_B);
    if (!direct && !call.fixed_C) add_panels(call, plan.threads, panels, to_C, call.grad_C);
    add_runs(call, plan, runs, sums);
}

}  // namespace
}  // namespace statespace

// Both return 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_selective_scan_forward(const statespace::SelectiveScan* call) {
    try {
        statespace::forward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

EXPORT int statespace_selective_scan_backward(const statespace::SelectiveScan* call) {
    try {
        call->row_type == statespace::FLOAT64 ? statespace::backward<double>(*call) : statespace::backward<float>(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
