// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "causal_conv1d_kernels.h"

namespace statespace {
extern const CausalConv1dKernels causal_conv1d_baseline[DTYPES] = CAUSAL_CONV1D_KERNELS;
}
