// The numbers of which a state consists, real or complex, W at a time: the few operations that a scan and its adjoint take.
//
// A decay exp(delta A) is known by what it is short of 1, exp(delta A) - 1: rounded to float itself, a decay of 0.999 would
// be off by 3e-8 in each step, and 3e-5 after the thousand steps that such a state remembers.
//
// A bar is the conjugate; x, y and weights are real vectors. Gradients follow torch's convention, dL/d(re) + i dL/d(im).
#pragma once

#include "elementary.h"

namespace statespace {
namespace {

template <typename T>
struct Reals {
    typedef T Scalar;
    static constexpr int parts = 1;
    struct Number {
        Vec<T> re;
    };
    // What is precomputed of an eigenvalue: A log2(e).
    static constexpr int pole_parts = 1;
    struct Pole {
        Vec<T> A;
    };
    static void pole(T* to, int64_t, T re, T) { to[0] = re * Constants<T>::log2e; }
    static ALWAYS_INLINE Pole load_pole(const T* at) { return {load(at)}; }

    static ALWAYS_INLINE Number load_number(const T* at) { return {load(at)}; }
    static ALWAYS_INLINE Number broadcast(const T* at) { return {splat<T>(*at)}; }
    static ALWAYS_INLINE void store_number(T* at, const Number& z) { store<T>(at, z.re); }
    static ALWAYS_INLINE void add_to(double* sum, const Number& z) { add<T>(sum, z.re); }

    static ALWAYS_INLINE Number zero() { return {Vec<T>{}}; }
    static ALWAYS_INLINE Number plus(const Number& a, T b) { return {a.re + b}; }
    static ALWAYS_INLINE Number times(const Number& a, const Number& b) { return {a.re * b.re}; }
    static ALWAYS_INLINE Number conj_times(const Number& a, const Number& b) { return {a.re * b.re}; }
    // sum + a b, sum + bar(a) b
    static ALWAYS_INLINE Number add_times(const Number& sum, const Number& a, const Number& b) {
        return {sum.re + a.re * b.re};
    }
    static ALWAYS_INLINE Number add_conj_times(const Number& sum, const Number& a, const Number& b) {
        return {sum.re + a.re * b.re};
    }
    static ALWAYS_INLINE Number scaled(const Number& a, const Vec<T>& x) { return {a.re * x}; }
    // sum + a x
    static ALWAYS_INLINE Number add_scaled(const Number& sum, const Number& a, const Vec<T>& x) {
        return {sum.re + a.re * x};
    }
    // sum + bar(a) x
    static ALWAYS_INLINE Number add_conj_scaled(const Number& sum, const Number& a, const Vec<T>& x) {
        return {sum.re + a.re * x};
    }
    // sum + Re(a b), sum + Re(bar(a) b)
    static ALWAYS_INLINE Vec<T> add_real(const Vec<T>& sum, const Number& a, const Number& b) { return sum + a.re * b.re; }
    static ALWAYS_INLINE Vec<T> add_conj_real(const Vec<T>& sum, const Number& a, const Number& b) {
        return sum + a.re * b.re;
    }
    static ALWAYS_INLINE Ints<T> within(const Number& a, T radius) { return absolute<T>(a.re) < radius; }
    static ALWAYS_INLINE Number choose(const Ints<T>& which, const Number& a, const Number& b) {
        return {which ? a.re : b.re};
    }

    // exp(delta A) - 1
    static ALWAYS_INLINE Number decay(const Vec<T>& delta, const Pole& pole) {
        return {power_of_two<T>(delta, pole.A).minus_one()};
    }
    // delta A
    static ALWAYS_INLINE Number exponent(const Vec<T>& delta, const Pole& pole) {
        return {delta * (pole.A * Constants<T>::ln2)};
    }
    // sum + Re(bar(A) w), but for a factor that `of_step` puts right for the whole sum; in these terms 1 is `step_unit`.
    static constexpr T step_unit = Constants<T>::log2e;
    static ALWAYS_INLINE Vec<T> add_of_step(const Vec<T>& sum, const Pole& pole, const Number& w) {
        return sum + pole.A * w.re;
    }
    static ALWAYS_INLINE Vec<T> of_step(const Vec<T>& sum) { return sum * Constants<T>::ln2; }
};

// Sine and cosine of x quarter turns, |x| <= 1/2: coefficients of sin / x and (cos - 1) / x^2 in powers of x^2.
template <typename T>
struct Quarter;
template <>
struct Quarter<float> {
    static constexpr float sine[] = {1.57079633f, -0.645964098f, 0.0796926262f, -0.00468175414f, 0.000160441185f};
    static constexpr float cosine[] = {-1.23370055f, 0.253669508f, -0.0208634807f, 0.00091926027f, -2.52020424e-05f};
};
template <>
struct Quarter<double> {
    static constexpr double sine[] = {1.5707963267948966192e+00,  -6.4596409750624625366e-01, 7.9692626246167045121e-02,
                                      -4.6817541353186881007e-03, 1.6044118478735982187e-04,  -3.5988432352120853405e-06,
                                      5.6921729219679268262e-08,  -6.6880351098114672325e-10, 6.0669357311061956590e-12};
    static constexpr double cosine[] = {-1.2337005501361698274e+00, 2.5366950790104801364e-01,  -2.0863480763352960873e-02,
                                        9.1926027483942658008e-04,  -2.5202042373060605482e-05, 4.7108747788181715036e-07,
                                        -6.3866030837918522411e-09, 6.5659631149794723622e-11,  -5.2944002007346237619e-13};
};

template <typename T>
struct Complexes {
    typedef T Scalar;
    static constexpr int parts = 2;
    typedef Complex<T> Number;
    // Re A log2(e); Im A in quarter turns, and what its rounding left; A itself.
    static constexpr int pole_parts = 5;
    struct Pole {
        Vec<T> power, turn, turn_rest;
        Number A;
    };
    static void pole(T* to, int64_t stride, T re, T im) {
        const double turns = im * 0.63661977236758134308;
        to[0] = re * Constants<T>::log2e;
        to[stride] = T(turns);
        to[2 * stride] = sizeof(T) == sizeof(float) ? T(turns - T(turns)) : T(0);
        to[3 * stride] = re;
        to[4 * stride] = im;
    }
    static ALWAYS_INLINE Pole load_pole(const T* at) {
        constexpr int W = Vector<T>::lanes;
        return {load(at), load(at + W), load(at + 2 * W), load_number(at + 3 * W)};
    }

    static ALWAYS_INLINE Number load_number(const T* at) { return {load(at), load(at + Vector<T>::lanes)}; }
    static ALWAYS_INLINE Number broadcast(const T* at) { return {splat<T>(at[0]), splat<T>(at[1])}; }
    static ALWAYS_INLINE void store_number(T* at, const Number& z) {
        store<T>(at, z.re);
        store<T>(at + Vector<T>::lanes, z.im);
    }
    static ALWAYS_INLINE void add_to(double* sum, const Number& z) {
        add<T>(sum, z.re);
        add<T>(sum + Vector<T>::lanes, z.im);
    }

    static ALWAYS_INLINE Number zero() { return {Vec<T>{}, Vec<T>{}}; }
    static ALWAYS_INLINE Number plus(const Number& a, T b) { return {a.re + b, a.im}; }
    static ALWAYS_INLINE Number times(const Number& a, const Number& b) {
        return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
    static ALWAYS_INLINE Number conj_times(const Number& a, const Number& b) {
        return {a.re * b.re + a.im * b.im, a.re * b.im - a.im * b.re};
    }
    static ALWAYS_INLINE Number add_times(const Number& sum, const Number& a, const Number& b) {
        return {sum.re + a.re * b.re - a.im * b.im, sum.im + a.re * b.im + a.im * b.re};
    }
    static ALWAYS_INLINE Number add_conj_times(const Number& sum, const Number& a, const Number& b) {
        return {sum.re + a.re * b.re + a.im * b.im, sum.im + a.re * b.im - a.im * b.re};
    }
    static ALWAYS_INLINE Number scaled(const Number& a, const Vec<T>& x) { return {a.re * x, a.im * x}; }
    static ALWAYS_INLINE Number add_scaled(const Number& sum, const Number& a, const Vec<T>& x) {
        return {sum.re + a.re * x, sum.im + a.im * x};
    }
    static ALWAYS_INLINE Number add_conj_scaled(const Number& sum, const Number& a, const Vec<T>& x) {
        return {sum.re + a.re * x, sum.im - a.im * x};
    }
    static ALWAYS_INLINE Vec<T> add_real(const Vec<T>& sum, const Number& a, const Number& b) {
        return sum + a.re * b.re - a.im * b.im;
    }
    static ALWAYS_INLINE Vec<T> add_conj_real(const Vec<T>& sum, const Number& a, const Number& b) {
        return sum + a.re * b.re + a.im * b.im;
    }
    static ALWAYS_INLINE Ints<T> within(const Number& a, T radius) {
        return a.re * a.re + a.im * a.im < radius * radius;
    }
    static ALWAYS_INLINE Number choose(const Ints<T>& which, const Number& a, const Number& b) {
        return {which ? a.re : b.re, which ? a.im : b.im};
    }

    static ALWAYS_INLINE Number decay(const Vec<T>& delta, const Pole& pole) {
        const Power<T> power = power_of_two<T>(delta, pole.power);
        const Vec<T> shifted = delta * pole.turn + Bits<T>::magic;
        const Vec<T> r = (delta * pole.turn - (shifted - Bits<T>::magic)) + delta * pole.turn_rest;
        const Ints<T> quarter = bits<T>(shifted);
        const Vec<T> r2 = r * r;
        const Vec<T> sine = r * polynomial<T>(Quarter<T>::sine, r2);
        const Vec<T> less = r2 * polynomial<T>(Quarter<T>::cosine, r2), cosine = less + T(1);
        const Ints<T> odd = (quarter & 1) != 0, whole = (quarter & 3) == 0;
        // The sign of the cosine turns in quarters 1 and 2, that of the sine in 2 and 3.
        const int top = 8 * sizeof(T) - 2;
        const Vec<T> c = from_bits<T>(bits<T>(odd ? sine : cosine) ^ (((quarter + 1) & 2) << top));
        const Vec<T> s = from_bits<T>(bits<T>(odd ? cosine : sine) ^ ((quarter & 2) << top));
        return {power.minus_one() * c + (whole ? less : c - T(1)), power.value() * s};
    }
    static ALWAYS_INLINE Number exponent(const Vec<T>& delta, const Pole& pole) { return scaled(pole.A, delta); }
    static constexpr T step_unit = 1;
    static ALWAYS_INLINE Vec<T> add_of_step(const Vec<T>& sum, const Pole& pole, const Number& w) {
        return add_conj_real(sum, pole.A, w);
    }
    static ALWAYS_INLINE Vec<T> of_step(const Vec<T>& sum) { return sum; }
};

}  // namespace
}  // namespace statespace
