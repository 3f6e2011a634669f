// Half precision in 16 bits, both kinds, to float and back, rounded to nearest even.
//
// Like vector.h, this file is compiled once for each instruction set.
#pragma once

#include <stdint.h>
#include <string.h>

namespace statespace {
namespace {

// One element, in bits, as float and back. Written without branches, for loops over lanes to become vectors.
struct BFloat16 {
    typedef uint16_t stored;
    static inline float widen(uint16_t x) {
        const uint32_t wide = (uint32_t)x << 16;
        float value;
        memcpy(&value, &wide, sizeof value);
        return value;
    }
    static inline uint16_t narrow(float value) {
        uint32_t x;
        memcpy(&x, &value, sizeof x);
        const uint32_t rounded = (x + 0x7fff + ((x >> 16 & 1))) >> 16, quiet = x >> 16 | 0x40;
        return (x & 0x7fffffff) > 0x7f800000 ? quiet : rounded;
    }
};

struct Float16 {
    typedef uint16_t stored;
    static inline float widen(uint16_t x) {
        const uint32_t sign = (uint32_t)(x & 0x8000) << 16, size = (uint32_t)(x & 0x7fff) << 13;
        // Exponents move by 112; the largest one is kept for infinity. Below the normal numbers, 2^-14 is taken off again.
        const uint32_t moved = size + (size >= 0x0f800000 ? 0x70000000u : size < 0x00800000 ? 0x38800000u : 0x38000000u);
        float value;
        memcpy(&value, &moved, sizeof value);
        value = size < 0x00800000 ? value - 6.103515625e-05f : value;
        uint32_t result;
        memcpy(&result, &value, sizeof result);
        result |= sign;
        memcpy(&value, &result, sizeof value);
        return value;
    }
    static inline uint16_t narrow(float value) {
        uint32_t x;
        memcpy(&x, &value, sizeof x);
        const uint32_t sign = x >> 16 & 0x8000, size = x & 0x7fffffff;
        // Below the normal numbers, adding 1/2 rounds at the last bit there is.
        float raised;
        memcpy(&raised, &size, sizeof raised);
        raised = raised + 0.5f;
        uint32_t small;
        memcpy(&small, &raised, sizeof small);
        small -= 0x3f000000;
        const uint32_t normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
        const uint32_t large = size > 0x7f800000 ? 0x7e00 : 0x7c00;
        return (uint16_t)(sign | (size >= 0x47800000 ? large : size < 0x38800000 ? small : normal));
    }
};

template <typename T>
struct Same {
    typedef T stored;
    static inline T widen(T x) { return x; }
    static inline T narrow(T x) { return x; }
};

}  // namespace
}  // namespace statespace
