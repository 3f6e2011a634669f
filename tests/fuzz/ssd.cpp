// Random calls of the scan of Mamba-2.
#include "../../kernels/native/ssd.h"

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_ssd_forward(const statespace::Ssd*);
extern "C" int statespace_ssd_backward(const statespace::Ssd*);

static const fuzz::Register ssd("ssd", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::Ssd call{};
    const bool packed = random.coin();
    call.batch = packed ? 1 : random.size(0, 3);
    call.length = random.size(0, 150);
    call.groups = random.size(1, 3);
    call.heads = call.groups * random.size(1, 3);
    call.width = random.size(0, 20);
    call.states = random.size(0, 36);
    // Bounds that leave rows without an owner are not drawn: at least one packed sequence, which the core ends at the end.
    call.sequences = packed ? random.size(1, 5) : call.batch;
    call.is_double = random.coin();
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);

    const int64_t T = call.is_double ? fuzz::DOUBLE : fuzz::FLOAT;
    const int64_t by_head[] = {call.batch, call.length, call.heads, call.width};
    const int64_t by_group[] = {call.batch, call.length, call.groups, call.states};
    const int64_t steps[] = {call.batch, call.length, call.heads}, cells = call.batch * call.length;
    const int64_t states = call.sequences * call.heads * call.width * call.states;
    call.x = memory.strided(by_head, call.x_stride, T);
    call.dt = memory.strided(steps, call.dt_stride, T);
    call.A = memory.numbers(call.heads, T, 5, -5);
    call.B = memory.strided(by_group, call.B_stride, T);
    call.C = memory.strided(by_group, call.C_stride, T);
    call.D = memory.maybe(call.heads, T);
    call.initial = memory.maybe(states, T);
    if (packed) call.cu_seqlens = memory.integers(call.sequences + 1, -9, call.length + 9);
    memory.result(call.y, cells * call.heads * call.width, T);
    memory.result(call.final, states, T);
    memory.check(call.threads, [&] { return statespace_ssd_forward(&call); });

    call.final = nullptr;  // not of the backward
    call.grad_y = memory.strided(by_head, call.grad_y_stride, T);
    call.grad_final = memory.maybe(states, T);
    memory.result(call.grad_x, cells * call.heads * call.width, T);
    memory.result(call.grad_dt, cells * call.heads, T);
    memory.result(call.grad_B, cells * call.groups * call.states, T);
    memory.result(call.grad_C, cells * call.groups * call.states, T);
    memory.result(call.grad_A, call.heads, fuzz::DOUBLE);
    if (call.D) memory.result(call.grad_D, call.heads, fuzz::DOUBLE);
    if (call.initial) memory.result(call.grad_initial, states, T);
    memory.check(call.threads, [&] { return statespace_ssd_backward(&call); });
});
