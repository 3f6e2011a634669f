// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "cauchy_isa.h"

namespace statespace {
extern const CauchyKernels cauchy_baseline[2] = {CAUCHY_KERNELS_OF(float), CAUCHY_KERNELS_OF(double)};
}
