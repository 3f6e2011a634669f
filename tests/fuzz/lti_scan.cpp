// Random calls of the diagonal LTI scan.
#include "../../kernels/native/lti_scan.h"

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_lti_scan_forward(const statespace::LtiScan*);
extern "C" int statespace_lti_scan_backward(const statespace::LtiScan*);

static const fuzz::Register lti_scan("lti_scan", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::LtiScan call{};
    call.batch = random.size(0, 5);
    call.length = random.size(0, 200);
    call.channels = random.size(0, 70);
    call.states = random.size(0, 9);
    call.is_double = random.coin();
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);

    const int64_t T = call.is_double ? fuzz::DOUBLE : fuzz::FLOAT;
    const int64_t d = call.channels, complex = 2 * d * call.states, rows = call.batch * call.length * d;
    const int64_t shape[] = {call.batch, call.length, d};
    call.u = memory.strided(shape, call.u_stride, T);
    call.log_a = static_cast<const double*>(memory.numbers(complex, fuzz::DOUBLE, 1, -1));
    call.b = memory.numbers(complex, T);
    call.c = memory.numbers(complex, T);
    call.D = memory.maybe(d, T);
    call.initial = memory.maybe(call.batch * complex, T);
    if (random.coin()) call.lengths = memory.integers(call.batch, -9, call.length + 9);
    memory.result(call.y, rows, T);
    memory.result(call.final, call.batch * complex, T);
    memory.check(call.threads, [&] { return statespace_lti_scan_forward(&call); });

    call.grad_y = memory.strided(shape, call.grad_y_stride, T);
    call.grad_final = memory.maybe(call.batch * complex, T);
    memory.result(call.grad_u, rows, T);
    memory.result(call.grad_log_a, complex, fuzz::DOUBLE);
    memory.result(call.grad_b, complex, fuzz::DOUBLE);
    memory.result(call.grad_c, complex, fuzz::DOUBLE);
    memory.result(call.grad_D, d, fuzz::DOUBLE);
    if (call.initial) memory.result(call.grad_initial, call.batch * complex, T);
    memory.check(call.threads, [&] { return statespace_lti_scan_backward(&call); });
});
