// The dense kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "dense_isa.h"

namespace statespace {
extern const DenseKernels dense_baseline[2] = {DENSE_KERNELS_OF(float), DENSE_KERNELS_OF(double)};
}
