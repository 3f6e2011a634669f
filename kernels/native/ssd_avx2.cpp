// The kernels for AVX2 with FMA: 16 registers of 32 bytes.
#if defined(__x86_64__)
// The system's headers come before the instruction set is chosen: what they define is shared with the other files.
#include <stdint.h>
#include <string.h>

#include "ssd.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define VECTOR_BYTES 32
#include "ssd_kernels.h"

namespace statespace {
extern const SsdKernels ssd_avx2[2] = {SSD_KERNELS_OF(float), SSD_KERNELS_OF(double)};
}
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
