// Random calls of the running rotation.
#include "../../kernels/native/rotation.h"

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_rotation_forward(const statespace::Rotation*);
extern "C" int statespace_rotation_backward(const statespace::Rotation*);

static const fuzz::Register rotation("rotation", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::Rotation call{};
    call.batch = random.size(0, 3);
    call.length = random.size(0, 300);
    call.groups = random.size(1, 3);
    call.heads = call.groups * random.size(1, 3);
    call.states = random.size(0, 36);
    call.angles = random.size(0, call.states / 2);
    call.is_double = random.coin();
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);
    call.eps = 1e-5;

    const int64_t T = call.is_double ? fuzz::DOUBLE : fuzz::FLOAT, steps = call.batch * call.length;
    const int64_t rows = steps * call.groups * call.states, turned = steps * call.heads * call.states;
    const int64_t angles = call.batch * call.heads * call.angles;
    for (int of = 0; of < 2; ++of) {
        call.rows[of] = memory.numbers(rows, T);
        call.weights[of] = memory.numbers(call.states, T);
        call.biases[of] = memory.numbers(call.heads * call.states, T);
        memory.result(call.turned[of], turned, T);
    }
    call.rate = memory.numbers(steps * call.angles, T, 3);
    call.step = memory.numbers(steps * call.heads, T);
    call.before = static_cast<const double*>(memory.numbers(angles, fuzz::DOUBLE, 3));
    memory.result(call.products, steps * call.heads, T);
    memory.result(call.after, angles, fuzz::DOUBLE);
    memory.check(call.threads, [&] { return statespace_rotation_forward(&call); });

    for (int of = 0; of < 2; ++of) {
        call.grad_turned[of] = memory.maybe(turned, T);
        memory.result(call.grad_rows[of], rows, T);
        memory.result(call.grad_weights[of], call.states, fuzz::DOUBLE);
        memory.result(call.grad_biases[of], call.heads * call.states, fuzz::DOUBLE);
    }
    call.after = nullptr;
    call.grad_products = memory.maybe(steps * call.heads, T);
    call.grad_after = static_cast<const double*>(memory.maybe(angles, fuzz::DOUBLE));
    memory.result(call.grad_rate, steps * call.angles, T);
    memory.result(call.grad_step, steps * call.heads, T);
    memory.result(call.grad_before, angles, fuzz::DOUBLE);
    memory.check(call.threads, [&] { return statespace_rotation_backward(&call); });
});
