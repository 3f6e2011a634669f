// The kernels for AVX-512: 32 registers of 64 bytes.
#if defined(__x86_64__)
// The system's headers come before the instruction set is chosen: what they define is shared with the other files.
#include <stdint.h>
#include <string.h>

#include "causal_conv1d.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512vl,avx2,fma")
#endif
#define VECTOR_BYTES 64
#include "causal_conv1d_kernels.h"

namespace statespace {
extern const CausalConv1dKernels causal_conv1d_avx512[DTYPES] = CAUSAL_CONV1D_KERNELS;
}
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
