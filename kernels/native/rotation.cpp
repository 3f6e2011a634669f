// The running rotation: pieces of time, shared among threads; between two passes over them, sums from piece to piece.

#include "rotation.h"

#include <cmath>

#include "export.h"
#include "workers.h"

namespace statespace {
namespace {

const RotationKernels& kernels_for(const Rotation& call) {
#if defined(__x86_64__)
    if (call.instruction_set == AVX512 && supports(AVX512)) return rotation_avx512[call.is_double != 0];
    if (call.instruction_set <= AVX2 && supports(AVX2)) return rotation_avx2[call.is_double != 0];
#endif
    return rotation_baseline[call.is_double != 0];
}

double wrapped(double angle) {
    constexpr double turn = 6.283185307179586476925;
    return angle - turn * std::nearbyint(angle / turn);
}

struct Plan {
    const Rotation& call;
    const RotationKernels& kernels;
    const int64_t turning, vectors, pieces_each;
    const Buffer memory;
    std::vector<RotationPiece> pieces;
    size_t bytes;

    Plan(const Rotation& call, bool back)
        : call(call), kernels(kernels_for(call)), turning(call.heads * rotation_filled(2 * call.angles)),
          vectors(back ? 2 * (call.heads + 1) * call.states : 0),
          pieces_each((call.length + ROTATION_STEPS - 1) / ROTATION_STEPS),
          memory(size_t(call.batch * pieces_each * (turning + vectors)) * sizeof(double)) {
        auto* sums = reinterpret_cast<double*>(memory.get());
        for (int64_t batch = 0; batch < call.batch; ++batch)
            for (int64_t begin = 0; begin < call.length; begin += ROTATION_STEPS, sums += turning + vectors)
                pieces.push_back({call, batch, begin, std::min(begin + ROTATION_STEPS, call.length), sums, sums + turning});
        const RotationPiece any{call, 0, 0, 0, nullptr, nullptr};
        bytes = rotation_scratch(any) * (call.is_double ? sizeof(double) : sizeof(float));
    }

    // body(i, piece, scratch), where a step of a coordinate takes some hundredths of a nanosecond.
    template <typename Body>
    void for_pieces(int64_t hundredths, const Body& body) const {
        const int64_t work = call.batch * call.length * call.heads * call.states * hundredths / 100;
        share(int64_t(pieces.size()), worth(call.threads, work), bytes,
              [&](int64_t i, void* scratch) { body(i, pieces[i], scratch); });
    }

    // Where each coordinate of a head finds its angle among those of the call, or -1.
    int64_t place(int64_t i) const {
        const int64_t width = turning / call.heads, pair = i % width / 2;
        return pair < call.angles ? i / width * call.angles + pair : -1;
    }

    // From what each piece adds to the angles to what they stand at before it.
    void start() const {
        for_pieces(10, [&](int64_t, const RotationPiece& piece, void* scratch) { kernels.sum(piece, scratch); });
        const int64_t of_batch = call.heads * call.angles;
        for (int64_t batch = 0; batch < call.batch; ++batch)
            for (int64_t i = 0; i < turning; ++i) {
                const int64_t at = place(i);
                double angle = at < 0 ? 0 : call.before[batch * of_batch + at];
                for (int64_t j = batch * pieces_each; j < (batch + 1) * pieces_each; ++j) {
                    const double added = pieces[j].sums[i];
                    pieces[j].sums[i] = angle;
                    angle = wrapped(angle + added);
                }
                if (call.after && at >= 0) call.after[batch * of_batch + at] = wrapped(angle);
            }
    }
};

size_t bytes_of(const Rotation& call, int64_t vectors) {
    return size_t(call.batch * call.length * vectors * call.states) * (call.is_double ? sizeof(double) : sizeof(float));
}

void forward(const Rotation& call) {
    const Plan plan(call, false);
    plan.start();
    for (void* turned : call.turned) about_to_fill(turned, bytes_of(call, call.heads));
    plan.for_pieces(100, [&](int64_t, const RotationPiece& piece, void* scratch) { plan.kernels.forward(piece, scratch); });
}

void backward(const Rotation& call) {
    const Plan plan(call, true);
    plan.start();
    for (void* rows : call.grad_rows) about_to_fill(rows, bytes_of(call, call.groups));
    const Buffer memory(plan.pieces.size() * size_t(plan.turning) * sizeof(double));
    auto* later = reinterpret_cast<double*>(memory.get());
    plan.for_pieces(150, [&](int64_t i, const RotationPiece& piece, void* scratch) {
        plan.kernels.backward(piece, later + i * plan.turning, scratch);
    });
    const int64_t of_batch = call.heads * call.angles;
    std::fill(call.grad_before, call.grad_before + call.batch * of_batch, 0.0);
    for (int64_t batch = 0; batch < call.batch; ++batch)
        for (int64_t i = 0; i < plan.turning; ++i) {
            const int64_t at = plan.place(i);
            // An angle's gradient comes in two parts, one for each coordinate; from outside, it comes as the first.
            double sum = call.grad_after && at >= 0 && i % 2 == 0 ? call.grad_after[batch * of_batch + at] : 0;
            for (int64_t j = (batch + 1) * plan.pieces_each - 1; j >= batch * plan.pieces_each; --j) {
                const double own = later[j * plan.turning + i];
                later[j * plan.turning + i] = sum;
                sum += own;
            }
            if (at >= 0) call.grad_before[batch * of_batch + at] += sum;
        }
    plan.for_pieces(10, [&](int64_t i, const RotationPiece& piece, void* scratch) {
        plan.kernels.add_later(piece, later + i * plan.turning, scratch);
    });
    const int64_t n = call.states, biases = call.heads * n;
    for (int64_t i = 0; i < plan.vectors; ++i) {
        double sum = 0;
        for (const RotationPiece& piece : plan.pieces) sum += piece.vectors[i];
        const int64_t of = i / (biases + n), at = i % (biases + n);
        (at < biases ? call.grad_biases[of][at] : call.grad_weights[of][at - biases]) = sum;
    }
}

}  // namespace
}  // namespace statespace

// Both return 0, or 1 where memory ran out: no exception may reach the caller, who is not written in C++.
EXPORT int statespace_rotation_forward(const statespace::Rotation* call) {
    try {
        statespace::forward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}

EXPORT int statespace_rotation_backward(const statespace::Rotation* call) {
    try {
        statespace::backward(*call);
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    }
}
