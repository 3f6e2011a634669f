// The coefficients of the states of one block, lane by lane.
#pragma once

#include "lanes.h"

namespace statespace {
namespace {

// The Coefficients of lti_scan.h, lane by lane and in their order.
template <typename T>
struct Pole {
    Complex<T> a, drift, read, b;
};

// z <- (1 + steps drift) z; the adjoint of that with the conjugate.
template <typename T, bool conjugate>
ALWAYS_INLINE void turn(Complex<T>& z, const Complex<T>& drift, T steps) {
    const Vec<T> re = steps * drift.re, im = (conjugate ? -steps : steps) * drift.im;
    const Vec<T> z_re = z.re + (re * z.re - im * z.im);
    z.im = z.im + (re * z.im + im * z.re);
    z.re = z_re;
}

}  // namespace
}  // namespace statespace
