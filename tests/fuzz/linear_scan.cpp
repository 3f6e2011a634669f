// Random calls of the linear scan.
#include "../../kernels/native/linear_scan.h"

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_linear_scan_forward(const statespace::LinearScan*);
extern "C" int statespace_linear_scan_backward(const statespace::LinearScan*);

namespace {

// An array (b, l, d) of neighbouring channels: `parts` numbers each, any strides over batch and time.
const void* rows(fuzz::Call& memory, const statespace::LinearScan& call, int64_t (&stride)[2], int64_t kind) {
    const int64_t parts = call.is_complex ? 2 : 1;
    const int64_t shape[] = {call.batch, call.length, parts * call.channels};
    int64_t strides[3];
    const void* array = memory.strided(shape, strides, kind, true, parts);
    stride[0] = strides[0] / parts, stride[1] = strides[1] / parts;
    return array;
}

const fuzz::Register linear_scan("linear_scan", [](fuzz::Random& random) {
    fuzz::Call memory(random);
    statespace::LinearScan call{};
    const bool packed = random.coin(), is_long = random.bits() % 32 == 0;  // long and narrow: cut along the time
    call.batch = packed ? 1 : random.size(0, is_long ? 2 : 4);
    call.length = is_long ? random.size(16384, 40000) : random.size(0, 150);
    call.channels = random.size(0, is_long ? 3 : 70);
    call.sequences = packed ? random.size(1, 5) : call.batch;
    call.is_double = random.coin();
    call.is_complex = random.coin();
    call.instruction_set = random.size(0, statespace::INSTRUCTION_SETS - 1);

    const int64_t T = call.is_double ? fuzz::DOUBLE : fuzz::FLOAT, parts = call.is_complex ? 2 : 1;
    const int64_t row = parts * call.channels, size = call.batch * call.length * row, states = call.sequences * row;
    call.a = rows(memory, call, call.a_stride, T);
    call.b = rows(memory, call, call.b_stride, T);
    call.initial = memory.maybe(states, T);
    if (packed)
        call.bounds = memory.integers(call.sequences + 1, -9, call.length + 9);
    else if (random.coin())
        call.lengths = memory.integers(call.batch, -9, call.length + 9);
    memory.result(call.h, size, T);
    memory.check(call.threads, [&] { return statespace_linear_scan_forward(&call); });

    call.h = memory.workspace(size, T);
    call.grad_h = rows(memory, call, call.grad_h_stride, T);
    if (call.a_stride[1] == 0 && row)
        memory.result(call.grad_a_sums, (call.a_stride[0] ? call.batch : 1) * row, fuzz::DOUBLE);
    else
        memory.result(call.grad_a, size, T);
    memory.result(call.grad_b, size, T);
    if (call.initial) memory.result(call.grad_initial, states, T);
    memory.check(call.threads, [&] { return statespace_linear_scan_backward(&call); });
});

}  // namespace
