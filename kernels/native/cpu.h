// What this processor can do, and how a worker sets it up.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace statespace {

// Instruction sets that the core is compiled for, fastest first; the last one always works.
#if defined(__x86_64__)
enum InstructionSet : int64_t { AVX512, AVX2, BASELINE, INSTRUCTION_SETS };
#else
enum InstructionSet : int64_t { BASELINE, INSTRUCTION_SETS };
#endif

inline bool supports(int64_t set) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (set == AVX2) return avx2;
    if (set == AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return set == BASELINE;
}

// While it lives, this thread takes denormal numbers for zero: a state that decays without input would else end among
// them, where x86 is a hundred times slower. The setting found before is put back. AArch64 is not slowed down by them.
class FlushDenormals {
#if defined(__x86_64__)
    static constexpr unsigned FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040;
    const unsigned before = _mm_getcsr();

public:
    FlushDenormals() { _mm_setcsr(before | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO); }
    ~FlushDenormals() { _mm_setcsr(before); }
#else
public:
    FlushDenormals() {}
#endif
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace statespace
