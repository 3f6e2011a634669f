// The kernels for any processor of the architecture: SSE2 on x86-64, NEON on AArch64, what the compiler finds elsewhere.
#define VECTOR_BYTES 16
#if defined(__aarch64__)
#define FORWARD_GROUP 4
#define BACKWARD_GROUP 2
#else
#define FORWARD_GROUP 2
#define BACKWARD_GROUP 1
#endif
#include "lti_scan_isa.h"

namespace statespace {
extern const LtiScanKernels lti_scan_baseline[2] = {KERNELS_OF(float), KERNELS_OF(double)};
}
