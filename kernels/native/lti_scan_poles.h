// The coefficients of the states of one block, lane by lane.
#pragma once

#include "lanes.h"

namespace statespace {
namespace {

// `read` takes the state to the output. `drift` is the relative error of the rounded a, exp(log_a) / a - 1: rounded to
// float, a pole with a memory of 1000 steps is off by 1e-4 of its gain, so the state is turned back by the errors of a
// segment at a time, half before it and half after, where what is left does not add up.
template <typename T>
struct Pole {
    Complex<T> a, drift, read, b;
};

template <typename T>
size_t poles_bytes(int64_t states) {
    return states * sizeof(Pole<T>);
}

template <typename T>
void pack(const LtiScan& call, bool backward, int64_t first, void* memory) {
    auto* poles = static_cast<Pole<T>*>(memory);
    const T *b = static_cast<const T*>(call.b), *c = static_cast<const T*>(call.c);
    // A state that u drives without the factor b is read through b c; one that starts from a given value through c.
    const bool through_b = backward || !call.initial;
    for (int j = 0; j < Vector<T>::lanes; ++j) {
        int64_t at = 2 * ((first + j) % call.channels * call.states);
        for (int64_t k = 0; k < call.states; ++k, at += 2) {
            const double size = exp(call.log_a[at]), angle = call.log_a[at + 1];
            const double a_re = size * cos(angle), a_im = size * sin(angle);
            const double rounded_re = T(a_re), rounded_im = T(a_im);
            const double off_re = a_re - rounded_re, off_im = a_im - rounded_im;
            const double square = rounded_re * rounded_re + rounded_im * rounded_im;
            // Below 1e-30 nothing of the state is left after a step, and the quotient could overflow.
            const double scale = square > 1e-60 ? 1 / square : 0;
            const double b_re = b[at], b_im = b[at + 1], c_re = c[at], c_im = c[at + 1];
            Pole<T>& pole = poles[k];
            pole.a.re[j] = T(rounded_re);
            pole.a.im[j] = T(rounded_im);
            pole.drift.re[j] = T((off_re * rounded_re + off_im * rounded_im) * scale);
            pole.drift.im[j] = T((off_im * rounded_re - off_re * rounded_im) * scale);
            pole.read.re[j] = T(through_b ? c_re * b_re - c_im * b_im : c_re);
            pole.read.im[j] = T(through_b ? c_re * b_im + c_im * b_re : c_im);
            pole.b.re[j] = T(b_re);
            pole.b.im[j] = T(b_im);
        }
    }
}

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
