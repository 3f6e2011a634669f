// The types that activations are stored in, and the precision that each is computed in.
#pragma once

#include <cstdint>

namespace statespace {

// Numbers of these stand in calls from Python, see `kernels/native/__init__.py`.
enum Dtype : int64_t { FLOAT32, FLOAT64, BFLOAT16, FLOAT16, DTYPES };

constexpr int64_t size_of(int64_t dtype) { return dtype == FLOAT64 ? 8 : dtype == FLOAT32 ? 4 : 2; }

struct BFloat16 {
    uint16_t bits;
};
struct Float16 {
    uint16_t bits;
};

template <typename S>
struct Precision {
    using type = float;
};
template <>
struct Precision<double> {
    using type = double;
};

}  // namespace statespace
