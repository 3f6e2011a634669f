// Random calls of the Cauchy product.
#include "../../kernels/native/cauchy.h"

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_cauchy_forward(const statespace::Cauchy*);
extern "C" int statespace_cauchy_backward(const statespace::Cauchy*);

static const fuzz::Register cauchy("cauchy", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::Cauchy call{};
    call.residues = random.size(0, 4);
    call.systems = random.size(0, 5);
    call.states = random.size(0, 9);
    call.points = random.size(0, random.bits() % 16 ? 70 : 3 * statespace::CAUCHY_SEGMENT);
    call.is_double = random.coin();
    call.conjugate = random.coin();
    call.points_stride = random.coin() ? call.points : 0;
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);

    const int64_t T = call.is_double ? fuzz::DOUBLE : fuzz::FLOAT;
    const int64_t poles = 2 * call.systems * call.states, points = 2 * call.systems * call.points;
    call.v = memory.numbers(call.residues * poles, T);
    call.z = memory.numbers(call.points_stride ? points : 2 * call.points, T, 1, 3);  // away from the poles
    call.w = memory.numbers(poles, T);
    memory.result(call.y, call.residues * points, T);
    memory.check(call.threads, [&] { return statespace_cauchy_forward(&call); });

    call.grad_y = memory.numbers(call.residues * points, T);
    memory.result(call.grad_v, call.residues * poles, fuzz::DOUBLE);
    memory.result(call.grad_w, poles, fuzz::DOUBLE);
    if (random.coin()) memory.result(call.grad_z, points, T);
    memory.check(call.threads, [&] { return statespace_cauchy_backward(&call); });
});
