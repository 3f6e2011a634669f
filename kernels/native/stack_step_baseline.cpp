// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "stack_step_kernels.h"

namespace statespace {
extern const StackStepKernels stack_step_baseline[2] = STACK_STEP_KERNELS;
}
