// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "selective_state_update_kernels.h"

namespace statespace {
extern const SelectiveStateUpdateKernels selective_state_update_baseline[DTYPES][2] = STATE_UPDATE_KERNELS;
}
