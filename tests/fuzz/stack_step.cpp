// Random programs of a stack's step.
#include "../../kernels/native/stack_step.h"

#include <algorithm>

#include "../../kernels/native/cpu.h"
#include "fuzz.h"

extern "C" int statespace_stack_step(const statespace::StackStep*);

static const fuzz::Register stack_step("stack_step", [](fuzz::Random& random) {
    using namespace statespace;
    fuzz::Call memory(random);
    StackStep call{};
    call.batch = random.size(0, 20);
    call.length = random.size(0, 5);
    call.is_double = random.coin();
    call.instruction_set = random.size(0, INSTRUCTION_SETS - 1);
    call.nanoseconds = random.size(0, 1 << 20);
    call.asks = random.coin();
    const int64_t T = call.is_double ? fuzz::DOUBLE : fuzz::FLOAT;

    // Rows one behind the other, none of which is used again: a program may read any that was written before.
    std::vector<int64_t> begins{0}, panels{random.size(1, 3)};
    call.inputs = random.size(1, panels[0] * PANEL);
    call.width = panels[0] * PANEL;
    std::vector<StackInstruction> program(size_t(random.size(0, 8)));
    std::vector<void*> states(program.size());
    for (size_t i = 0; i < program.size(); ++i) {
        StackInstruction& is = program[i];
        is.operation = random.size(0, STACK_OPERATIONS - 1);
        for (int64_t& from : is.from) from = -1;
        const size_t read = size_t(random.size(0, int64_t(begins.size()) - 1));
        is.from[0] = begins[read];
        is.panels = is.operation == LINEAR ? random.size(1, 9) : panels[read];
        is.inputs = random.size(1, panels[read] * PANEL);
        is.states = random.size(0, 5);
        is.option = is.operation == SELECTIVE ? random.size(0, 2) : random.coin();
        is.groups = 1;
        is.to = call.width;
        auto another = [&](int64_t at_least) {  // a row of so many panels, or none
            for (size_t row = 0; row < begins.size(); ++row)
                if (panels[row] >= at_least) return begins[row];
            return int64_t(-1);
        };
        const int64_t d = is.panels * PANEL;
        int64_t constants = 0, state = 0;
        switch (is.operation) {
            case NORM: constants = 3 * d + 1; break;
            case LINEAR: constants = d + d * is.inputs, is.from[1] = another(is.panels); break;
            case CONVOLUTION: constants = d * (is.states + 2), state = d * is.states; break;
            case SELECTIVE:
                constants = d * (is.states + 1), state = d * is.states;
                is.from[1] = is.from[2] = is.from[3] = is.from[0];
                if (random.coin()) is.from[4] = is.from[0];
                break;
            case DIAGONAL: constants = d * (8 * is.states + 1), state = 2 * d * is.states; break;
            case HEADS:  // so few groups and states that their vectors fit into a panel
                is.states = random.size(1, 2), is.inputs = random.size(d - PANEL + 1, d);
                for (is.option = random.size(1, 16); is.inputs % is.option;) --is.option;
                for (is.groups = random.size(1, 8); is.inputs / is.option % is.groups;) --is.groups;
                is.from[1] = is.from[2] = is.from[3] = is.from[0];
                constants = 3 * d + 2, state = d * is.states;
                break;
            case GROUP_NORM:
                for (is.groups = random.size(1, 5); is.inputs % is.groups;) --is.groups;
                constants = d * (is.groups + 1) + 1;
                break;
            case GLU:
                if (random.coin()) is.from[2] = is.from[0];
                is.from[1] = is.from[0];
                break;
            case GATE:
            case ADD: is.from[1] = is.from[0]; break;
        }
        is.constants = memory.numbers(constants, T);
        memory.changed(states[i], call.batch * state, T);
        call.largest = std::max(call.largest, state);
        begins.push_back(is.to), panels.push_back(is.panels);
        call.width += d;
    }
    const size_t result = size_t(random.size(0, int64_t(begins.size()) - 1));
    call.to = begins[result];
    call.outputs = random.size(1, panels[result] * PANEL);
    const int64_t samples[] = {call.batch, call.length, call.inputs};
    int64_t strides[3];
    call.x = memory.strided(samples, strides, T, true);
    call.x_stride[0] = strides[0], call.x_stride[1] = strides[1];
    const int64_t results = call.asks ? (call.length + 1) / 2 : call.length;
    memory.result(call.y, call.batch * results * call.outputs, T);
    call.y_stride[0] = results * call.outputs, call.y_stride[1] = call.outputs;
    call.count = int64_t(program.size());
    call.instructions = program.data();
    memory.check(call.threads, [&] {
        for (size_t i = 0; i < program.size(); ++i) program[i].state = states[i];
        return statespace_stack_step(&call);
    });
});
