// Random calls of the short causal convolution.
#include "../../kernels/native/causal_conv1d.h"

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_causal_conv1d_forward(const statespace::CausalConv1d*);
extern "C" int statespace_causal_conv1d_backward(const statespace::CausalConv1d*);

static const fuzz::Register causal_conv1d("causal_conv1d", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::CausalConv1d call{};
    const bool packed = random.coin(), wide = random.bits() % 16 == 0;
    call.batch = packed ? 1 : random.size(0, 4);
    call.length = random.size(0, wide ? 20 : 200);
    call.channels = random.size(0, wide ? 1100 : 50);
    call.width = random.coin() ? random.size(1, 5) : random.size(1, 40);
    // Bounds that leave rows without an owner are not drawn: at least one packed sequence, which the core ends at the end.
    call.sequences = packed ? random.size(1, 6) : call.batch;
    call.dtype = random.size(0, statespace::DTYPES - 1);
    call.silu = random.coin();
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);

    const int64_t S = call.dtype == statespace::FLOAT64   ? fuzz::DOUBLE
                      : call.dtype == statespace::FLOAT32 ? fuzz::FLOAT
                                                          : fuzz::HALF;
    const int64_t T = S == fuzz::DOUBLE ? fuzz::DOUBLE : fuzz::FLOAT, d = call.channels;
    const int64_t shape[] = {call.batch, call.length, d}, rows = call.batch * call.length * d;
    const int64_t states = call.sequences * (call.width - 1) * d;
    call.x = memory.strided(shape, call.x_stride, S);
    call.weight = memory.numbers(d * call.width, T);
    call.bias = memory.maybe(d, T);
    call.initial = memory.maybe(states, S);
    if (packed)
        call.cu_seqlens = memory.integers(call.sequences + 1, -9, call.length + 9);
    else if (random.coin())
        call.lengths = memory.integers(call.batch, -9, call.length + 9);
    memory.result(call.y, rows, S);
    memory.result(call.final, states, S);
    memory.check(call.threads, [&] { return statespace_causal_conv1d_forward(&call); });

    call.grad_y = memory.strided(shape, call.grad_y_stride, S);
    call.grad_final = memory.maybe(states, S);
    memory.result(call.grad_x, rows, S);
    memory.result(call.grad_weight, d * call.width, fuzz::DOUBLE);
    memory.result(call.grad_bias, d, fuzz::DOUBLE);
    if (call.initial) memory.result(call.grad_initial, states, S);
    memory.check(call.threads, [&] { return statespace_causal_conv1d_backward(&call); });
});
