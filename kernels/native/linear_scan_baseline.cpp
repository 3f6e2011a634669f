// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "linear_scan_kernels.h"

namespace statespace {
extern const LinearScanKernels linear_scan_baseline[2][2] = LINEAR_SCAN_KERNELS;
}
