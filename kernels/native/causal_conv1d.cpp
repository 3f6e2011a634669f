// The short causal convolution: which pieces there are, who computes them, and how the gradients of the taps add up.
//
// Pieces, the groups of them that share a buffer of sums, and the order in which the buffers are added are functions of
// the sizes alone, so nothing in the result depends on the number of threads.

#include "causal_conv1d.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "export.h"
#include "workers.h"

namespace statespace {
namespace {

const CausalConv1dKernels& kernels_for(const CausalConv1d& call) {
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return causal_conv1d_avx512[call.dtype];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return causal_conv1d_avx2[call.dtype];
#endif
    return causal_conv1d_baseline[call.dtype];
}

// Lengths and bounds come unchecked from a traced graph: clamped, they name rows that are there, and each row once.
std::vector<ConvPiece> cut(const CausalConv1d& call) {
    const int64_t steps = conv_steps(call);
    std::vector<ConvPiece> pieces;
    int64_t next = 0;
    for (int64_t s = 0; s < call.sequences; ++s) {
        ConvPiece piece{s, s, 0, call.length, 0, 0};
        if (call.cu_seqlens) {
            const bool last = s == call.sequences - 1;
            const int64_t bound = last ? call.length : std::clamp(call.cu_seqlens[s + 1], next, call.length);
            piece.batch = 0;
            piece.first = next;
            piece.length = bound - next;
            next = bound;
        } else if (call.lengths) {
            piece.length = std::clamp<int64_t>(call.lengths[s], 0, call.length);
        }
        do {  // a sequence without steps has a piece too: its state goes through
            piece.end = std::min(piece.begin + steps, piece.length);
            pieces.push_back(piece);
            piece.begin = piece.end;
        } while (piece.begin < piece.length);
    }
    return pieces;
}

struct Plan {
    const CausalConv1dKernels& kernels;
    const std::vector<ConvPiece> pieces;
    // A group is a run of pieces; a panel is a run of channels, some 2 KB of each row.
    int64_t blocks, panel_blocks, panels, groups;

    explicit Plan(const CausalConv1d& call) : kernels(kernels_for(call)), pieces(cut(call)) {
        blocks = (call.channels + kernels.lanes - 1) / kernels.lanes;
        panel_blocks = std::max<int64_t>(1, 512 / kernels.lanes);
        panels = (blocks + panel_blocks - 1) / panel_blocks;
        groups = std::min<int64_t>(MOST_GROUPS, int64_t(pieces.size()));
    }

    // body(piece, group, first channel, last channel, scratch); a group's pieces follow one another.
    template <typename Body>
    void run(const CausalConv1d& call, int64_t picoseconds, size_t bytes, const Body& body) const {
        const int64_t work = call.batch * call.length * call.channels / 1000 * picoseconds * (1 + call.width / 8);
        share(groups * panels, worth(call.threads, work), bytes, [&](int64_t i, void* scratch) {
            const int64_t group = i / panels, first = i % panels * panel_blocks * kernels.lanes;
            const int64_t last = std::min(first + panel_blocks * kernels.lanes, call.channels);
            const int64_t count = int64_t(pieces.size());
            for (int64_t p = group * count / groups; p < (group + 1) * count / groups; ++p)
                body(pieces[p], group, first, last, scratch);
        });
    }

private:
    static constexpr int64_t MOST_GROUPS = 64;
};

// For each block of channels the taps and the bias, (k + 1, lanes), and zeros beyond the last channel.
template <typename T>
void lay_out_taps(const CausalConv1d& call, const Plan& plan, T* taps) {
    const int64_t W = plan.kernels.lanes, k = call.width;
    const T *weight = static_cast<const T*>(call.weight), *bias = static_cast<const T*>(call.bias);
    for (int64_t channel = 0; channel < plan.blocks * W; ++channel) {
        T* to = taps + channel / W * W * (k + 1) + channel % W;
        const bool there = channel < call.channels;
        for (int64_t j = 0; j < k; ++j) to[j * W] = there ? weight[channel * k + j] : T(0);
        to[k * W] = there && bias ? bias[channel] : T(0);
    }
}

class TapTable {
    Buffer memory;

public:
    TapTable(const CausalConv1d& call, const Plan& plan)
        : memory(size_t(plan.blocks * plan.kernels.lanes * (call.width + 1) * (call.dtype == FLOAT64 ? 8 : 4))) {
        if (call.dtype == FLOAT64)
            lay_out_taps(call, plan, reinterpret_cast<double*>(memory.get()));
        else
            lay_out_taps(call, plan, reinterpret_cast<float*>(memory.get()));
    }
    const void* get() const { return memory.get(); }
};

// Zeros in the rows behind a piece that ends its sequence, for `first` to `last` of the channels.
void write_padding(const CausalConv1d& call, const ConvPiece& piece, int64_t first, int64_t last, void* array) {
    if (call.cu_seqlens || piece.end < piece.length) return;
    const int64_t size = size_of(call.dtype);
    for (int64_t t = piece.length; t < call.length; ++t)
        std::memset(static_cast<char*>(array) + ((piece.batch * call.length + t) * call.channels + first) * size, 0,
                    size_t((last - first) * size));
}

// The state after a piece that ends its sequence: the last k - 1 inputs, bit by bit.
template <typename Bits>
void write_final(const CausalConv1d& call, const ConvPiece& piece, int64_t first, int64_t last) {
    const int64_t rows = call.width - 1, d = call.channels;
    const Bits *x = static_cast<const Bits*>(call.x), *initial = static_cast<const Bits*>(call.initial);
    Bits* to = static_cast<Bits*>(call.final) + piece.sequence * rows * d;
    for (int64_t i = 0; i < rows; ++i) {
        const int64_t step = piece.length - rows + i;
        for (int64_t c = first; c < last; ++c) {
            if (step >= 0)
                to[i * d + c] = x[piece.batch * call.x_stride[0] + (piece.first + step) * call.x_stride[1] +
                                  c * call.x_stride[2]];
            else
                to[i * d + c] = initial ? initial[(piece.sequence * rows + rows + step) * d + c] : Bits(0);
        }
    }
}

void write_final(const CausalConv1d& call, const ConvPiece& piece, int64_t first, int64_t last) {
    if (piece.end < piece.length) return;
    const int64_t size = size_of(call.dtype);
    auto write = size == 8 ? write_final<uint64_t> : size == 4 ? write_final<uint32_t> : write_final<uint16_t>;
    write(call, piece, first, last);
}

void forward(const CausalConv1d& call) {
    const Plan plan(call);
    const TapTable taps(call, plan);
    plan.run(call, 300, conv_scratch_bytes(call, false),
             [&](const ConvPiece& piece, int64_t, int64_t first, int64_t last, void* scratch) {
                 plan.kernels.forward(call, taps.get(), piece, first, last, scratch);
                 write_padding(call, piece, first, last, call.y);
                 write_final(call, piece, first, last);
             });
}

void backward(const CausalConv1d& call) {
    const Plan plan(call);
    const TapTable taps(call, plan);
    const int64_t W = plan.kernels.lanes, k = call.width, size = plan.blocks * W * (k + 1);
    const Buffer memory(size_t(plan.groups * size) * sizeof(double));
    auto* sums = reinterpret_cast<double*>(memory.get());
    std::fill(sums, sums + plan.groups * size, 0.0);
    plan.run(call, 1000, conv_scratch_bytes(call, true),
             [&](const ConvPiece& piece, int64_t group, int64_t first, int64_t last, void* scratch) {
                 plan.kernels.backward(call, taps.get(), piece, first, last, scratch, sums + group * size);
                 write_padding(call, piece, first, last, call.grad_x);
             });
    for (int64_t channel = 0; channel < call.channels; ++channel) {
        const double* of_channel = sums + channel / W * W * (k + 1) + channel % W;
        for (int64_t j = 0; j <= k; ++j) {
            double total = 0;
            for (int64_t group = 0; group < plan.groups; ++group) total += of_channel[group * size + j * W];
            (j < k ? call.grad_weight[channel * k + j] : call.grad_bias[channel]) = total;
        }
    }
}

}  // namespace
}  // namespace statespace

// Both return 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_causal_conv1d_forward(const statespace::CausalConv1d* call) {
    try {
        statespace::forward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

EXPORT int statespace_causal_conv1d_backward(const statespace::CausalConv1d* call) {
    try {
        statespace::backward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
