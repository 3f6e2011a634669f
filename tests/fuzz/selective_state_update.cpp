// Random calls of the selective scan's single step.
#include "../../kernels/native/selective_state_update.h"

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_selective_state_update(const statespace::SelectiveStateUpdate*);

static const fuzz::Register selective_state_update("selective_state_update", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::SelectiveStateUpdate call{};
    call.groups = random.size(1, 4);
    call.batch = random.size(0, 5);
    call.channels = call.groups * random.size(0, 20);
    call.states = random.size(0, 40);
    call.dtype = random.size(0, statespace::DTYPES - 1);
    call.is_complex = random.coin();
    call.rule = random.size(0, 2);
    call.softplus = random.coin();
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);

    const int64_t S = call.dtype == statespace::FLOAT64   ? fuzz::DOUBLE
                      : call.dtype == statespace::FLOAT32 ? fuzz::FLOAT
                                                          : fuzz::HALF;
    const int64_t T = S == fuzz::DOUBLE ? fuzz::DOUBLE : fuzz::FLOAT, d = call.channels, n = call.states;
    const int64_t parts = call.is_complex ? 2 : 1, rows[] = {call.batch, d};
    auto row = [&](int64_t& stride) {
        int64_t strides[2];
        const void* array = memory.strided(rows, strides, S, true);
        stride = strides[0];
        return array;
    };
    auto vector = [&](int64_t (&stride)[2]) {
        // Strides count numbers, and a complex one is a pair: the parts are an axis of their own, of stride 1.
        const int64_t shape[] = {call.batch, call.groups, n * parts};
        int64_t strides[3];
        const void* array = memory.strided(shape, strides, call.is_complex ? T : S, true, parts);
        for (int i = 0; i < 2; ++i) stride[i] = strides[i] / parts;
        return array;
    };
    call.x = row(call.x_stride);
    call.dt = row(call.dt_stride);
    if (random.coin()) call.z = row(call.z_stride);
    call.A = memory.numbers(d * n * parts, T);
    call.B = vector(call.B_stride);
    call.C = vector(call.C_stride);
    call.D = memory.maybe(d, T);
    call.dt_bias = memory.maybe(d, T);
    memory.result(call.y, call.batch * d, S);
    memory.changed(call.state, call.batch * d * n * parts, T);
    memory.check(call.threads, [&] { return statespace_selective_state_update(&call); });
});
