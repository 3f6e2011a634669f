// Random calls of the exponential and of the resolvent of many small matrices.
#include "../../kernels/native/dense.h"

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_expm(const statespace::ExpmCall*);
extern "C" int statespace_resolvent(const statespace::ResolventCall*);

namespace {

void read(fuzz::Call& memory, statespace::Batch& batch, int64_t count, int64_t rows, int64_t columns, int64_t kind) {
    const int64_t shape[] = {count, rows, columns};
    batch.data = memory.strided(shape, batch.stride, kind);
}

const fuzz::Register expm("expm", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::ExpmCall call{};
    call.count = random.size(0, 40);
    call.n = random.size(1, 20);
    call.m = random.size(0, 5);
    call.order = random.size(0, 2);
    call.is_double = random.coin();
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);

    const int64_t T = call.is_double ? fuzz::DOUBLE : fuzz::FLOAT, n = call.n, m = call.m;
    read(memory, call.A, call.count, n, n, T);
    read(memory, call.B, call.count, n, m, T);
    read(memory, call.t, call.count, 1, 1, T);
    memory.result(call.E, call.count * n * n, T);
    memory.result(call.F, call.count * n * m * call.order, T);
    memory.check(call.threads, [&] { return statespace_expm(&call); });
});

const fuzz::Register resolvent("resolvent", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::ResolventCall call{};
    call.count = random.size(0, 40);
    call.n = random.size(1, 20);
    call.m = random.size(0, 5);
    call.p = random.size(0, 5);
    call.is_double = random.coin();
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);
    call.scale = random.uniform();
    call.shift = random.uniform();

    const int64_t T = call.is_double ? fuzz::DOUBLE : fuzz::FLOAT, n = call.n;
    read(memory, call.A, call.count, n, n, T);
    read(memory, call.B, call.count, n, call.m, T);
    read(memory, call.C, call.count, call.p, n, T);
    read(memory, call.t, call.count, 1, 1, T);
    memory.result(call.R, call.count * n * n, T);
    memory.result(call.RB, call.count * n * call.m, T);
    memory.result(call.CR, call.count * call.p * n, T);
    memory.result(call.singular, call.count, fuzz::FLAG);
    memory.check(call.threads, [&] { return statespace_resolvent(&call); });
});

}  // namespace
