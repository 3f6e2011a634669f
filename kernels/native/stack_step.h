// What the driver of a stack's steps and its kernels, one set per instruction set, know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace statespace {

// Channels come in panels of so many numbers, whatever the instruction set; the last panel of a row is filled up with zeros.
constexpr int64_t PANEL = 16;

enum StackOperation : int64_t {
    NORM, LINEAR, CONVOLUTION, SELECTIVE, DIAGONAL, GELU, GLU, GATE, ADD, HEADS, GROUP_NORM, STACK_OPERATIONS
};

// One instruction: `kernels/stack_step/native.py` holds the same list. Rows lie in the workspace of a stream, at multiples of
// PANEL numbers from its begin; -1: none. What an operation reads and where its constants lie is said in stack_step_kernels.h.
struct StackInstruction {
    int64_t operation;        // a StackOperation
    int64_t to;               // the row that is written
    int64_t from[5];          // the rows that are read
    int64_t panels;           // of the row that is written
    int64_t inputs;           // numbers of the row that is read, without what fills up its last panel
    int64_t states;           // of a channel; in a CONVOLUTION, the samples that it remembers
    int64_t option;           // in HEADS, the channels of a head; in a NORM, 1 for no mean and 2 more for zeros in a gap
    int64_t groups;           // of channels: those of HEADS share B and C, those of a GROUP_NORM the mean; 1 elsewhere
    const void* constants;
    void* state;              // one stream behind the other, read and written
};

// One call: the next `length` samples of each stream of a batch, in order. Arrays hold float or double, by `is_double`;
// samples carry strides in elements, and their channels are contiguous.
struct StackStep {
    int64_t batch, length, inputs, outputs;
    int64_t is_double;
    int64_t threads;
    int64_t instruction_set;                  // an index into the list that `statespace_instruction_set` walks
    int64_t count;                            // of the instructions
    const StackInstruction* instructions;
    int64_t width;                            // numbers in the workspace of one stream
    int64_t nanoseconds;                      // that one sample of one stream takes, about
    int64_t from, to;                         // the rows of the sample and of the result
    const void* x;                            // (b, l, inputs)
    int64_t x_stride[2];
    void* y;                                  // (b, l, outputs)
    int64_t y_stride[2];
    int64_t asks;                             // 1: the first sample, the third and so on leave the states as they are, and
                                              // what they give is all that is put out, (b, (l + 1) / 2, outputs)
    int64_t largest;                          // numbers in the state of one stream and one instruction, at most
    const uint8_t* known;                     // (b, samples that are taken), 0 for a gap; null where there is none
    int64_t known_stride[2];
};

// Streams that go through an instruction together, so that its constants are fetched once for all of them.
constexpr int64_t STREAMS = 8;

struct StackStepKernels {
    size_t number;  // bytes of one
    // The streams `first` to `first + count`, with a workspace of `STREAMS` times `width` numbers, twice as many where the
    // call asks, and `largest` more.
    void (*run)(const StackStep&, int64_t first, int64_t count, void* workspace);
};

// Indexed by StackStep::is_double.
extern const StackStepKernels stack_step_baseline[2];
#if defined(__x86_64__)
extern const StackStepKernels stack_step_avx2[2];
extern const StackStepKernels stack_step_avx512[2];
#endif

}  // namespace statespace
