// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "rotation_kernels.h"

namespace statespace {
extern const RotationKernels rotation_baseline[2] = {ROTATION_KERNELS_OF(float), ROTATION_KERNELS_OF(double)};
}
