// The linear scan: how it is cut among threads, and how what was cut is joined.
//
// Every column of every sequence is computed by itself, so columns may be shared out as the threads want it. A sequence is
// cut into pieces by the sizes alone: that changes the rounding, and the number of threads must not.

#include "linear_scan.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "export.h"
#include "workers.h"

namespace statespace {
namespace {

constexpr int64_t LINE_BYTES = 64;
// With fewer lines of channels than this over all sequences, sequences are cut into pieces of at least so many steps.
constexpr int64_t FEW_LINES = 4, LEAST_STEPS = 8192, MOST_PIECES = 64;

const LinearScanKernels& kernels_for(const LinearScan& call) {
    const bool kind = call.is_complex != 0, precision = call.is_double != 0;
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return linear_scan_avx512[kind][precision];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return linear_scan_avx2[kind][precision];
#endif
    return linear_scan_baseline[kind][precision];
}

int64_t clamp(int64_t value, int64_t least, int64_t most) { return std::max(least, std::min(value, most)); }

// A panel is a piece and some neighbouring columns of it, counted in float or double.
struct Plan {
    const LinearScanKernels& kernels;
    int64_t size, columns;        // bytes of a number in memory, numbers in a row
    int64_t panel, panels, threads;
    std::vector<LinearPiece> pieces;    // those of a sequence side by side, in the order of time

    explicit Plan(const LinearScan& call)
        : kernels(kernels_for(call)),
          size(call.is_double ? sizeof(double) : sizeof(float)),
          columns(call.channels * (call.is_complex ? 2 : 1)) {
        const int64_t lines = (columns * size + LINE_BYTES - 1) / LINE_BYTES;
        cut(call, call.sequences * lines < FEW_LINES);
        // Some 1.5 ns a line, and 100 us to make a thread worth its start.
        threads = clamp(call.threads, 1, 1 + call.batch * call.length * lines * 3 / 2 / 100000);
        const int64_t wanted = threads == 1 ? 1 : 1 + PANELS_PER_THREAD * threads / (1 + int64_t(pieces.size()));
        panel = clamp((lines + wanted - 1) / wanted, 1, WIDEST_BYTES / LINE_BYTES) * (LINE_BYTES / size);
        panels = (columns + panel - 1) / panel;
    }

    // body(piece, first column, columns, scratch) with scratch memory for so many panels' numbers.
    template <typename Body>
    void share_panels(int64_t scratch, const Body& body) const {
        share(int64_t(pieces.size()) * panels, threads, scratch * panel * size, [&](int64_t i, void* memory) {
            const int64_t first = i % panels * panel;
            body(i / panels, first, std::min(panel, columns - first), static_cast<char*>(memory));
        });
    }

private:
    static constexpr int64_t PANELS_PER_THREAD = 3;

    void cut(const LinearScan& call, bool long_ones) {
        int64_t begin = 0;
        for (int64_t i = 0; i < call.sequences; ++i) {
            LinearPiece piece{i, i, 0, call.length, 0, true, true};
            if (call.bounds) {
                // Values that escaped the check in a traced graph must not lead outside.
                const int64_t end = i + 1 == call.sequences ? call.length : clamp(call.bounds[i + 1], begin, call.length);
                piece.batch = 0, piece.first = begin, piece.steps = end - begin;
                begin = end;
            } else if (call.lengths) {
                piece.steps = clamp(call.lengths[i], 0, call.length);
                piece.hold = call.length - piece.steps;
            }
            const int64_t count = long_ones ? clamp(piece.steps / LEAST_STEPS, 1, MOST_PIECES) : 1;
            const LinearPiece whole = piece;
            for (int64_t k = 0; k < count; ++k) {
                const int64_t from = whole.steps * k / count, to = whole.steps * (k + 1) / count;
                piece.first = whole.first + from, piece.steps = to - from;
                piece.begins = k == 0, piece.ends = k + 1 == count;
                piece.hold = piece.ends ? whole.hold : 0;
                pieces.push_back(piece);
            }
        }
    }
};

// to <- from + product state, elementwise. Of a state of zero nothing comes over, even if the product has become infinite.
template <typename T>
void carry_over(const LinearScan& call, int64_t columns, const T* from, const T* product, const T* state, T* to) {
    for (int64_t j = 0; !call.is_complex && j < columns; ++j)
        to[j] = state[j] == 0 ? from[j] : from[j] + product[j] * state[j];
    for (int64_t j = 0; call.is_complex && j < columns; j += 2) {
        if (state[j] == 0 && state[j + 1] == 0) {
            to[j] = from[j], to[j + 1] = from[j + 1];
            continue;
        }
        to[j] = from[j] + product[j] * state[j] - product[j + 1] * state[j + 1];
        to[j + 1] = from[j + 1] + product[j] * state[j + 1] + product[j + 1] * state[j];
    }
}

// The state with which each piece starts, (pieces, columns): the one given, or what comes over from the piece before it
// in the direction of the scan.
class Starts {
    size_t row;
    Buffer memory;

    template <typename T>
    void join(const LinearScan& call, const Plan& plan, const char* passed, bool back) {
        const int64_t count = int64_t(plan.pieces.size());
        for (int64_t k = 0; k < count; ++k) {
            const int64_t i = back ? count - 1 - k : k, last = back ? i + 1 : i - 1;
            if (back ? plan.pieces[i].ends : plan.pieces[i].begins) continue;
            const auto* from = reinterpret_cast<const T*>(passed + 2 * row * last);
            carry_over<T>(call, plan.columns, from, from + plan.columns, static_cast<const T*>(of(last)),
                          static_cast<T*>(of(i)));
        }
    }

public:
    Starts(const LinearScan& call, const Plan& plan, const void* given, bool back)
        : row(plan.columns * plan.size), memory(row * plan.pieces.size()) {
        std::memset(memory.get(), 0, row * plan.pieces.size());
        for (size_t i = 0; given && i < plan.pieces.size(); ++i)
            if (back ? plan.pieces[i].ends : plan.pieces[i].begins)
                std::memcpy(of(i), static_cast<const char*>(given) + row * plan.pieces[i].sequence, row);
        if (std::all_of(plan.pieces.begin(), plan.pieces.end(), [](const LinearPiece& p) { return p.begins && p.ends; })) return;

        const Buffer passed(2 * row * plan.pieces.size());
        plan.share_panels(0, [&](int64_t i, int64_t first, int64_t width, char*) {
            if (back ? plan.pieces[i].begins : plan.pieces[i].ends) return;  // nobody comes after it
            char* to = passed.get() + 2 * row * i + first * plan.size;
            auto pass = back ? plan.kernels.transfer_back : plan.kernels.transfer;
            pass(call, plan.pieces[i], first, width, to, to + row);
        });
        call.is_double ? join<double>(call, plan, passed.get(), back) : join<float>(call, plan, passed.get(), back);
    }
    void* of(int64_t piece) const { return memory.get() + row * piece; }
    void* of(int64_t piece, int64_t bytes) const { return memory.get() + row * piece + bytes; }
};

void forward(const LinearScan& call) {
    const Plan plan(call);
    const Starts starts(call, plan, call.initial, false);
    plan.share_panels(0, [&](int64_t i, int64_t first, int64_t width, char*) {
        plan.kernels.forward(call, plan.pieces[i], first, width, starts.of(i, first * plan.size));
    });
}

void backward(const LinearScan& call) {
    const Plan plan(call);
    const Starts starts(call, plan, nullptr, true);
    const int64_t columns = plan.columns, summed = call.grad_a_sums ? int64_t(plan.pieces.size()) * columns : 0;
    const Buffer memory(summed * sizeof(double));
    auto* sums = reinterpret_cast<double*>(memory.get());
    std::fill(sums, sums + summed, 0.0);
    plan.share_panels(2, [&](int64_t i, int64_t first, int64_t width, char* scratch) {
        const LinearPiece& piece = plan.pieces[i];
        void* state = starts.of(i, first * plan.size);
        plan.kernels.backward(call, piece, first, width, state, summed ? sums + i * columns + first : nullptr, scratch);
        if (call.grad_initial && piece.begins) {
            char* to = static_cast<char*>(call.grad_initial) + (piece.sequence * columns + first) * plan.size;
            std::memcpy(to, state, width * plan.size);
        }
    });
    if (!call.grad_a_sums) return;
    std::fill(call.grad_a_sums, call.grad_a_sums + columns * (call.a_stride[0] ? call.batch : 1), 0.0);
    for (size_t i = 0; i < plan.pieces.size(); ++i) {
        double* to = call.grad_a_sums + (call.a_stride[0] ? plan.pieces[i].batch * columns : 0);
        for (int64_t j = 0; j < columns; ++j) to[j] += sums[i * columns + j];
    }
}

}  // namespace
}  // namespace statespace

// Both return 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_linear_scan_forward(const statespace::LinearScan* call) {
    try {
        statespace::forward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

EXPORT int statespace_linear_scan_backward(const statespace::LinearScan* call) {
    try {
        statespace::backward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
