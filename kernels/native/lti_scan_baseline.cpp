// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#include "lti_scan_isa.h"

namespace statespace {
extern const LtiScanKernels lti_scan_baseline[2] = {KERNELS_OF(float), KERNELS_OF(double)};
}
