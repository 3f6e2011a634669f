// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "ssd_kernels.h"

namespace statespace {
extern const SsdKernels ssd_baseline[2] = {SSD_KERNELS_OF(float), SSD_KERNELS_OF(double)};
}
