// The kernels of the Cauchy product: lanes are neighbouring points, poles the loop. kernels/cauchy/README.md has the sums.
#pragma once

#include "cauchy.h"
#include "vector.h"

namespace statespace {
namespace {

template <typename T>
struct Bits;
template <>
struct Bits<float> {
    typedef int32_t type __attribute__((vector_size(VECTOR_BYTES)));
    static constexpr int32_t MAGNITUDE = 0x7fffffff, EXPONENT = 0x7f800000, ONE_TWICE = 0x7f000000;
};
template <>
struct Bits<double> {
    typedef int64_t type __attribute__((vector_size(VECTOR_BYTES)));
    static constexpr int64_t MAGNITUDE = 0x7fffffffffffffff, EXPONENT = 0x7ff0000000000000,
                             ONE_TWICE = 0x7fe0000000000000;
};

// A power of two that brings the larger part of a complex number to 1 ... 2, so that the square of its modulus neither
// overflows nor vanishes, however near the point is to the pole.
template <typename T>
ALWAYS_INLINE Vec<T> scale_of(const Vec<T>& re, const Vec<T>& im) {
    using I = typename Bits<T>::type;
    I a, b;
    memcpy(&a, &re, sizeof a);
    memcpy(&b, &im, sizeof b);
    a = a & Bits<T>::MAGNITUDE;
    b = b & Bits<T>::MAGNITUDE;
    const I larger = a > b ? a : b;
    const I bits = Bits<T>::ONE_TWICE - (larger & Bits<T>::EXPONENT);
    Vec<T> scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

// 1 / (z - w), and of the mirrored pole 1 / (z - conj w): one division for both.
template <typename T, bool conjugate>
ALWAYS_INLINE void reciprocals(const Vec<T>& z_re, const Vec<T>& z_im, T w_re, T w_im, Complex<T>& R, Complex<T>& M) {
    const Vec<T> re = z_re - w_re, im = z_im - w_im;
    const Vec<T> s = scale_of<T>(re, im), a = re * s, b = im * s, norm = a * a + b * b;
    if (!conjugate) {
        const Vec<T> f = s / norm;
        R.re = a * f;
        R.im = -b * f;
        return;
    }
    const Vec<T> im_m = z_im + w_im;
    const Vec<T> s_m = scale_of<T>(re, im_m), a_m = re * s_m, b_m = im_m * s_m, norm_m = a_m * a_m + b_m * b_m;
    const Vec<T> inverse = T(1) / (norm * norm_m);  // both norms lie between 1 and 8
    const Vec<T> f = s * (inverse * norm_m), f_m = s_m * (inverse * norm);
    R.re = a * f;
    R.im = -b * f;
    M.re = a_m * f_m;
    M.im = -b_m * f_m;
}

// Points of a segment, real parts and imaginary parts apart; behind the last one it is repeated, or zero.
template <typename T>
void read_pairs(T* re, T* im, const T* from, int64_t count, bool zero) {
    constexpr int W = Vector<T>::lanes;
    int64_t i = 0;
    for (; i < count; ++i) re[i] = from[2 * i], im[i] = from[2 * i + 1];
    for (; i % W; ++i) re[i] = zero ? T(0) : re[count - 1], im[i] = zero ? T(0) : im[count - 1];
}

template <typename T>
void write_pairs(T* to, const T* re, const T* im, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[2 * i] = re[i], to[2 * i + 1] = im[i];
}

template <typename T>
const T* residues_of(const Cauchy& call, int64_t r, int64_t system) {
    return static_cast<const T*>(call.v) + 2 * (r * call.systems + system) * call.states;
}

template <typename T, int R, bool conjugate>
void sum_poles(const Cauchy& call, int64_t r, int64_t system, int64_t count, const T* z_re, const T* z_im, T* y_re,
               T* y_im) {
    constexpr int W = Vector<T>::lanes;
    const T* w = static_cast<const T*>(call.w) + 2 * system * call.states;
    const T* v[R];
    for (int i = 0; i < R; ++i) v[i] = residues_of<T>(call, r + i, system);
    for (int64_t l = 0; l < count; l += W) {
        const Vec<T> at_re = load(z_re + l), at_im = load(z_im + l);
        Complex<T> sum[R] = {};
        for (int64_t n = 0; n < call.states; ++n) {
            Complex<T> P, M;
            reciprocals<T, conjugate>(at_re, at_im, w[2 * n], w[2 * n + 1], P, M);
            const Vec<T> along_re = conjugate ? P.re + M.re : P.re, along_im = conjugate ? P.im + M.im : P.im;
            const Vec<T> across_re = conjugate ? P.re - M.re : P.re, across_im = conjugate ? P.im - M.im : P.im;
            for (int i = 0; i < R; ++i) {
                sum[i].re = sum[i].re + v[i][2 * n] * along_re - v[i][2 * n + 1] * across_im;
                sum[i].im = sum[i].im + v[i][2 * n] * along_im + v[i][2 * n + 1] * across_re;
            }
        }
        for (int i = 0; i < R; ++i) {
            store<T>(y_re + i * CAUCHY_SEGMENT + l, sum[i].re);
            store<T>(y_im + i * CAUCHY_SEGMENT + l, sum[i].im);
        }
    }
}

constexpr int MOST_RESIDUES = 4;  // that share the reciprocals in registers

template <typename T, bool conjugate>
void forward_segment(const Cauchy& call, int64_t system, int64_t first, int64_t count, void* scratch) {
    T *z_re = static_cast<T*>(scratch), *z_im = z_re + CAUCHY_SEGMENT;
    T *y_re = z_im + CAUCHY_SEGMENT, *y_im = y_re + MOST_RESIDUES * CAUCHY_SEGMENT;
    const T* z = static_cast<const T*>(call.z) + 2 * (system * call.points_stride + first);
    read_pairs(z_re, z_im, z, count, false);
    for (int64_t r = 0; r < call.residues;) {
        const int64_t left = call.residues - r, taken = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        auto kernel = taken == 4   ? sum_poles<T, 4, conjugate>
                      : taken == 2 ? sum_poles<T, 2, conjugate>
                                   : sum_poles<T, 1, conjugate>;
        kernel(call, r, system, count, z_re, z_im, y_re, y_im);
        for (int64_t i = 0; i < taken; ++i) {
            T* to = static_cast<T*>(call.y) + 2 * (((r + i) * call.systems + system) * call.points + first);
            write_pairs(to, y_re + i * CAUCHY_SEGMENT, y_im + i * CAUCHY_SEGMENT, count);
        }
        r += taken;
    }
}

// With R = 1 / (z - w), M that of the mirrored pole, t = sum of g conj v and u = sum of conj (g v) over the residues:
// the gradient of v is the sum of g conj R + conj g M, that of w of t conj R^2 + u M^2, and that of z of the negative of
// t conj R^2 + conj (u M^2).
template <typename T, int R, bool conjugate, bool of_points>
void differentiate(const Cauchy& call, int64_t r, int64_t system, int64_t count, const T* z_re, const T* z_im,
                   const T* g_re, const T* g_im, T* gz_re, T* gz_im, double* sums) {
    constexpr int W = Vector<T>::lanes;
    const int64_t width = 2 * (1 + call.residues);
    const T* w = static_cast<const T*>(call.w) + 2 * system * call.states;
    for (int64_t n = 0; n < call.states; ++n) {
        T v_re[R], v_im[R];
        for (int i = 0; i < R; ++i) {
            v_re[i] = residues_of<T>(call, r + i, system)[2 * n];
            v_im[i] = residues_of<T>(call, r + i, system)[2 * n + 1];
        }
        Complex<T> of_w = {}, of_v[R] = {};
        for (int64_t l = 0; l < count; l += W) {
            Complex<T> P, M, t = {}, u = {};
            reciprocals<T, conjugate>(load(z_re + l), load(z_im + l), w[2 * n], w[2 * n + 1], P, M);
            const Vec<T> along_re = conjugate ? P.re + M.re : P.re, along_im = conjugate ? P.im + M.im : P.im;
            const Vec<T> across_re = conjugate ? P.re - M.re : P.re, across_im = conjugate ? P.im - M.im : P.im;
            for (int i = 0; i < R; ++i) {
                const Vec<T> re = load(g_re + i * CAUCHY_SEGMENT + l), im = load(g_im + i * CAUCHY_SEGMENT + l);
                of_v[i].re = of_v[i].re + re * along_re + im * along_im;
                of_v[i].im = of_v[i].im + im * across_re - re * across_im;
                t.re = t.re + re * v_re[i] + im * v_im[i];
                t.im = t.im + im * v_re[i] - re * v_im[i];
                if (conjugate) {
                    u.re = u.re + re * v_re[i] - im * v_im[i];
                    u.im = u.im - im * v_re[i] - re * v_im[i];
                }
            }
            const Vec<T> square_re = P.re * P.re - P.im * P.im, square_im = T(2) * P.re * P.im;
            const Vec<T> near_re = t.re * square_re + t.im * square_im, near_im = t.im * square_re - t.re * square_im;
            Vec<T> far_re = {}, far_im = {};
            if (conjugate) {
                const Vec<T> mirrored_re = M.re * M.re - M.im * M.im, mirrored_im = T(2) * M.re * M.im;
                far_re = u.re * mirrored_re - u.im * mirrored_im;
                far_im = u.re * mirrored_im + u.im * mirrored_re;
            }
            of_w.re = of_w.re + near_re + far_re;
            of_w.im = of_w.im + near_im + far_im;
            if (of_points) {
                store<T>(gz_re + l, load(gz_re + l) - near_re - far_re);
                store<T>(gz_im + l, load(gz_im + l) - near_im + far_im);
            }
        }
        auto put = [](double* to, const Complex<T>& sum) {
            T re[W], im[W];
            store<T>(re, sum.re);
            store<T>(im, sum.im);
            for (int j = 0; j < W; ++j) to[0] += re[j], to[1] += im[j];
        };
        put(sums + n * width, of_w);
        for (int i = 0; i < R; ++i) put(sums + n * width + 2 * (1 + r + i), of_v[i]);
    }
}

template <typename T, int R, bool conjugate>
void differentiate_all(const Cauchy& call, int64_t r, int64_t system, int64_t count, const T* z_re, const T* z_im,
                       const T* g_re, const T* g_im, T* gz_re, T* gz_im, double* sums) {
    auto kernel = call.grad_z ? differentiate<T, R, conjugate, true> : differentiate<T, R, conjugate, false>;
    kernel(call, r, system, count, z_re, z_im, g_re, g_im, gz_re, gz_im, sums);
}

template <typename T, bool conjugate>
void backward_segment(const Cauchy& call, int64_t system, int64_t first, int64_t count, void* scratch, double* sums) {
    T *z_re = static_cast<T*>(scratch), *z_im = z_re + CAUCHY_SEGMENT;
    T *g_re = z_im + CAUCHY_SEGMENT, *g_im = g_re + MOST_RESIDUES * CAUCHY_SEGMENT;
    T *gz_re = g_im + MOST_RESIDUES * CAUCHY_SEGMENT, *gz_im = gz_re + CAUCHY_SEGMENT;
    const T* z = static_cast<const T*>(call.z) + 2 * (system * call.points_stride + first);
    read_pairs(z_re, z_im, z, count, false);
    memset(gz_re, 0, 2 * CAUCHY_SEGMENT * sizeof(T));
    for (int64_t r = 0; r < call.residues;) {
        const int64_t left = call.residues - r, taken = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        for (int64_t i = 0; i < taken; ++i) {
            const int64_t at = ((r + i) * call.systems + system) * call.points + first;
            const T* g = static_cast<const T*>(call.grad_y) + 2 * at;
            read_pairs(g_re + i * CAUCHY_SEGMENT, g_im + i * CAUCHY_SEGMENT, g, count, true);
        }
        auto kernel = taken == 4   ? differentiate_all<T, 4, conjugate>
                      : taken == 2 ? differentiate_all<T, 2, conjugate>
                                   : differentiate_all<T, 1, conjugate>;
        kernel(call, r, system, count, z_re, z_im, g_re, g_im, gz_re, gz_im, sums);
        r += taken;
    }
    if (call.grad_z) write_pairs(static_cast<T*>(call.grad_z) + 2 * (system * call.points + first), gz_re, gz_im, count);
}

template <typename T>
void forward(const Cauchy& call, int64_t system, int64_t first, int64_t count, void* scratch) {
    (call.conjugate ? forward_segment<T, true> : forward_segment<T, false>)(call, system, first, count, scratch);
}

template <typename T>
void backward(const Cauchy& call, int64_t system, int64_t first, int64_t count, void* scratch, double* sums) {
    (call.conjugate ? backward_segment<T, true> : backward_segment<T, false>)(call, system, first, count, scratch, sums);
}

template <typename T>
constexpr size_t cauchy_scratch = (4 + 2 * MOST_RESIDUES) * CAUCHY_SEGMENT * sizeof(T);

}  // namespace
}  // namespace statespace

#define CAUCHY_KERNELS_OF(T) \
    { cauchy_scratch<T>, forward<T>, backward<T> }
