// Random calls of the selective scan.
#include "../../kernels/native/selective_scan.h"

#include <algorithm>

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_selective_scan_forward(const statespace::SelectiveScan*);
extern "C" int statespace_selective_scan_backward(const statespace::SelectiveScan*);

static const fuzz::Register selective_scan("selective_scan", [](fuzz::Random& random) {
    using namespace statespace;
    fuzz::Call memory(random);
    SelectiveScan call{};
    const bool packed = random.coin();
    call.fixed_B = random.coin();
    call.fixed_C = random.coin();
    call.batch = packed ? 1 : random.size(0, 4);
    call.length = random.size(0, random.size(0, 9) ? 150 : 1500);  // long enough for the states to be shared out
    call.groups = call.fixed_B && call.fixed_C ? 1 : random.size(1, 3);
    call.channels = call.groups * random.size(0, 25);
    call.states = random.size(0, 9);
    call.sequences = packed ? random.size(1, 5) : 0;
    call.row_type = random.size(0, 3);
    call.is_complex = random.coin();
    call.method = random.size(0, 2);
    call.softplus = random.coin();
    call.instruction_set = random.size(0, INSTRUCTION_SETS - 1);

    const int64_t S = call.row_type == FLOAT64 ? fuzz::DOUBLE : call.row_type == FLOAT32 ? fuzz::FLOAT : fuzz::HALF;
    const int64_t T = S == fuzz::DOUBLE ? fuzz::DOUBLE : fuzz::FLOAT;
    const int64_t b = call.batch, l = call.length, d = call.channels, n = call.states, g = call.groups;
    const int64_t parts = call.is_complex ? 2 : 1, fixed = d * n * parts, varying = b * l * g * n * parts;
    const int64_t rows = b * l * d, states = (packed ? call.sequences : b) * fixed;
    const int64_t of_vectors = call.is_complex ? T : S;
    auto row = [&](int64_t (&stride)[2]) {
        const int64_t shape[] = {b, l, d};
        int64_t strides[3];
        const void* array = memory.strided(shape, strides, S, true);
        std::copy(strides, strides + 2, stride);
        return array;
    };
    auto vector = [&](int64_t (&stride)[3]) {
        const int64_t shape[] = {b, l, g, n * parts};
        int64_t strides[4];
        const void* array = memory.strided(shape, strides, of_vectors, true, parts);
        for (int i = 0; i < 3; ++i) stride[i] = strides[i] / parts;
        return array;
    };
    call.u = row(call.u_stride);
    call.dt = row(call.dt_stride);
    if (random.coin()) call.z = row(call.z_stride);
    call.B = call.fixed_B ? memory.numbers(fixed, T) : vector(call.B_stride);
    call.C = call.fixed_C ? memory.numbers(fixed, T) : vector(call.C_stride);
    call.A = memory.numbers(fixed, T, 1, -1);
    call.D = memory.maybe(d, T);
    call.dt_bias = memory.maybe(d, T);
    call.initial = memory.maybe(states, T);
    if (packed) call.cu_seqlens = memory.integers(call.sequences + 1, -9, l + 9);

    const int64_t chunks = packed ? l / STEPS + call.sequences : b * ((l + STEPS - 1) / STEPS);
    const int64_t padded = g * ((d / g + PADDING - 1) / PADDING * PADDING);
    void* checkpoints = memory.workspace(chunks * padded * n * parts, T);
    call.checkpoints = random.coin() ? checkpoints : nullptr;
    const bool kept = call.checkpoints;
    memory.result(call.y, rows, S);
    memory.result(call.final, states, T);
    memory.check(call.threads, [&] { return statespace_selective_scan_forward(&call); });
    if (!kept) return;

    call.grad_y = row(call.grad_y_stride);
    call.grad_final = memory.maybe(states, T);
    memory.result(call.grad_u, rows, S);
    memory.result(call.grad_dt, rows, S);
    if (call.z) memory.result(call.grad_z, rows, S);
    memory.result(call.grad_B, call.fixed_B ? fixed : varying, call.fixed_B ? int64_t(fuzz::DOUBLE) : of_vectors);
    memory.result(call.grad_C, call.fixed_C ? fixed : varying, call.fixed_C ? int64_t(fuzz::DOUBLE) : of_vectors);
    memory.result(call.grad_A, fixed, fuzz::DOUBLE);
    memory.result(call.grad_D, d, fuzz::DOUBLE);
    memory.result(call.grad_bias, d, fuzz::DOUBLE);
    if (call.initial) memory.result(call.grad_initial, states, T);
    memory.check(call.threads, [&] { return statespace_selective_scan_backward(&call); });
});
