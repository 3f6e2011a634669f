// The kernels for AVX-512: 32 registers of 64 bytes.
#if defined(__x86_64__)
// The system's headers come before the instruction set is chosen: what they define is shared with the other files.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "rotation.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512vl,avx2,fma")
#endif
#define VECTOR_BYTES 64
#include "rotation_kernels.h"

namespace statespace {
extern const RotationKernels rotation_avx512[2] = {ROTATION_KERNELS_OF(float), ROTATION_KERNELS_OF(double)};
}
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
