// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "selective_scan_isa.h"

namespace statespace {
extern const SelectiveScanKernels selective_scan_baseline[2][2] = SELECTIVE_SCAN_KERNELS;
}
