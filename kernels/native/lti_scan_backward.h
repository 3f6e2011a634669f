// The adjoint scan of one block of lanes: all gradients from one pass back, without the states of the forward scan.
//
// kernels/lti_scan/README.md has the derivation and the names: mu is the adjoint state for a read-out of 1, nu its
// derivative with respect to conj(a), phi and psi the same two for the gradient of the final state.
#pragma once

#include "lti_scan_poles.h"

namespace statespace {
namespace {

// States that go back together, see FORWARD_GROUP.
constexpr int BACKWARD_GROUP = 2;

template <typename T>
struct Adjoint {
    Complex<T> mu, nu;
};

template <typename T>
size_t scratch_bytes(int64_t states) {
    return 3 * SEGMENT * VECTOR_BYTES + 2 * WIDEST * states * sizeof(Adjoint<T>);
}

// One step back: nu <- mu + conj(a) nu, and mu <- input + conj(a) mu.
template <typename T>
ALWAYS_INLINE void step_back(Complex<T>& mu, Complex<T>& nu, const Complex<T>& a, const Vec<T>& input) {
    const Vec<T> nu_re = mu.re + a.re * nu.re + a.im * nu.im;
    const Vec<T> nu_im = mu.im + a.re * nu.im - a.im * nu.re;
    const Vec<T> mu_re = input + a.re * mu.re + a.im * mu.im;
    const Vec<T> mu_im = a.re * mu.im - a.im * mu.re;
    nu = {nu_re, nu_im};
    mu = {mu_re, mu_im};
}

// G states back over the steps of one segment, and their sums over u. Driven by grad_y, the pair is (mu, nu) and lags a
// step behind; free, it is (phi, psi) and begins with the gradient of the state after the last step.
template <typename T, int G, bool driven>
ALWAYS_INLINE void retreat(const Pole<T>* poles, Adjoint<T>* states, const T* u, const T* grad_y, T* grad_u,
                           int64_t steps, T turned, double* sums, int64_t sums_stride) {
    constexpr int W = Vector<T>::lanes;
    Complex<T> mu[G], nu[G], a[G], read[G], u_mu[G], u_nu[G];
    for (int g = 0; g < G; ++g) {
        mu[g] = states[g].mu;
        nu[g] = states[g].nu;
        a[g] = poles[g].a;
        read[g] = driven ? poles[g].read : poles[g].b;
        u_mu[g] = u_nu[g] = Complex<T>{};
        turn<T, true>(mu[g], poles[g].drift, turned);
        turn<T, true>(nu[g], poles[g].drift, turned);
    }
    for (int64_t t = steps - 1; t >= 0; --t) {
        const Vec<T> input = load(u + t * W);
        const Vec<T> output = driven ? load(grad_y + t * W) : Vec<T>{};
        Vec<T> sum = load(grad_u + t * W);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            if (driven) step_back<T>(mu[g], nu[g], a[g], output);
            sum = sum + read[g].re * mu[g].re;
            sum = sum + read[g].im * mu[g].im;
            u_mu[g].re = u_mu[g].re + input * mu[g].re;
            u_mu[g].im = u_mu[g].im + input * mu[g].im;
            u_nu[g].re = u_nu[g].re + input * nu[g].re;
            u_nu[g].im = u_nu[g].im + input * nu[g].im;
            if (!driven) step_back<T>(mu[g], nu[g], a[g], output);
        }
        store<T>(grad_u + t * W, sum);
    }
    for (int g = 0; g < G; ++g, sums += sums_stride) {
        states[g] = {mu[g], nu[g]};
        double* at = sums + 2 * W * (driven ? U_MU : U_PHI);
        add<T>(at, u_mu[g].re);
        add<T>(at + W, u_mu[g].im);
        add<T>(at + 2 * W, u_nu[g].re);
        add<T>(at + 3 * W, u_nu[g].im);
    }
}

template <typename T, bool driven>
void retreat_all(int64_t n, const Pole<T>* poles, Adjoint<T>* states, const T* u, const T* grad_y, T* grad_u,
                 int64_t steps, T turned, double* sums, int64_t stride) {
    int64_t k = 0;
    for (; k + BACKWARD_GROUP <= n; k += BACKWARD_GROUP)
        retreat<T, BACKWARD_GROUP, driven>(poles + k, states + k, u, grad_y, grad_u, steps, turned, sums + k * stride,
                                           stride);
    for (; k < n; ++k)
        retreat<T, 1, driven>(poles + k, states + k, u, grad_y, grad_u, steps, turned, sums + k * stride, stride);
}

template <typename T>
void turn_all(int64_t n, const Pole<T>* poles, Adjoint<T>* states, T turned) {
    for (int64_t k = 0; k < n; ++k) {
        turn<T, true>(states[k].mu, poles[k].drift, turned);
        turn<T, true>(states[k].nu, poles[k].drift, turned);
    }
}

// The gradients of the final states begin their way back where their sequences end.
template <typename T>
void start_free(const Block<T>& block, Adjoint<T>* free, int64_t end) {
    const int64_t n = block.call.states;
    for (int j = 0; j < block.count; ++j) {
        if (block.length[j] != end) continue;
        const T* from = static_cast<const T*>(block.call.grad_final) + 2 * block.pair[j] * n;
        for (int64_t k = 0; k < n; ++k) {
            free[k].mu.re[j] = from[2 * k];
            free[k].mu.im[j] = from[2 * k + 1];
        }
    }
}

// What the adjoint states before the first step mean for the initial state, and through it for a and c.
template <typename T>
void finish_initial(const Block<T>& block, const Pole<T>* poles, const Adjoint<T>* driven, const Adjoint<T>* free,
                    double* sums, int64_t stride) {
    constexpr int W = Vector<T>::lanes;
    const LtiScan& call = block.call;
    for (int64_t k = 0; k < call.states; ++k, sums += stride) {
        Adjoint<T> zero = driven[k];
        step_back<T>(zero.mu, zero.nu, poles[k].a, Vec<T>{});
        for (int j = 0; j < block.count; ++j) {
            const T* c = static_cast<const T*>(call.c) + 2 * (block.channel[j] * call.states + k);
            const int64_t at = 2 * (block.pair[j] * call.states + k);
            const T* h = static_cast<const T*>(call.initial) + at;
            T* grad_h = static_cast<T*>(call.grad_initial) + at;
            const T mu_re = zero.mu.re[j], mu_im = zero.mu.im[j], nu_re = zero.nu.re[j], nu_im = zero.nu.im[j];
            grad_h[0] = c[0] * mu_re + c[1] * mu_im + free[k].mu.re[j];
            grad_h[1] = c[0] * mu_im - c[1] * mu_re + free[k].mu.im[j];
            const T lambda_re = c[0] * nu_re + c[1] * nu_im + free[k].nu.re[j];
            const T lambda_im = c[0] * nu_im - c[1] * nu_re + free[k].nu.im[j];
            double* to = sums + 2 * W * H_MU + j;
            to[0] += h[0] * mu_re + h[1] * mu_im;
            to[W] += h[0] * mu_im - h[1] * mu_re;
            to[2 * W] += h[0] * lambda_re + h[1] * lambda_im;
            to[3 * W] += h[0] * lambda_im - h[1] * lambda_re;
        }
    }
}

template <typename T>
void backward(const LtiScan& call, const void* table, int64_t first, int width, void* scratch, double* sums,
              double* sums_D) {
    constexpr int W = Vector<T>::lanes;
    const Block<T> blocks[WIDEST] = {{call, first}, {call, first + W}, {call, first + 2 * W}, {call, first + 3 * W}};
    const auto* poles = static_cast<const Pole<T>*>(table);
    const int64_t n = call.states, stride = number_of_sums(call) * 2 * W;
    T* u = static_cast<T*>(scratch);
    T* grad_y = u + SEGMENT * W;
    T* grad_u = grad_y + SEGMENT * W;
    auto* driven = reinterpret_cast<Adjoint<T>*>(grad_u + SEGMENT * W);
    Adjoint<T>* free = driven + width * n;

    memset(static_cast<void*>(driven), 0, 2 * width * n * sizeof *driven);
    for (int v = 0; v < width; ++v) blocks[v].write_padding(call.grad_u);
    T half_after = 0;
    for (int64_t end = blocks[0].longest; end > 0;) {
        const int64_t begin = blocks[0].segment_begin(end), steps = end - begin;
        const T half = T(0.5) * T(steps);
        for (int v = 0; v < width; ++v) {
            const Block<T>& block = blocks[v];
            const Pole<T>* of_block = poles + v * n;
            block.read(u, call.u, call.u_stride, begin, end, -SEGMENT);
            block.read(grad_y, call.grad_y, call.grad_y_stride, begin, end, -SEGMENT);
            const Vec<T> D = block.feedthrough();
            Vec<T> u_y = {};
            for (int64_t t = 0; t < steps; ++t) {
                const Vec<T> output = load(grad_y + t * W);
                u_y = u_y + output * load(u + t * W);
                store<T>(grad_u + t * W, D * output);
            }
            add<T>(sums_D + v * W, u_y);
            double* to = sums + v * n * stride;
            retreat_all<T, true>(n, of_block, driven + v * n, u, grad_y, grad_u, steps, half_after + half, to, stride);
            if (call.grad_final) {
                // A sequence that ends here has no step after it, so only this half of the correction is its own.
                turn_all(n, of_block, free + v * n, half_after);
                start_free(block, free + v * n, end);
                retreat_all<T, false>(n, of_block, free + v * n, u, grad_y, grad_u, steps, half, to, stride);
            }
            block.write(grad_u, call.grad_u, begin, end, -SEGMENT);
        }
        half_after = half;
        end = begin;
    }
    for (int v = 0; call.initial && v < width; ++v) {
        turn_all(n, poles + v * n, driven + v * n, half_after);
        turn_all(n, poles + v * n, free + v * n, half_after);
        if (call.grad_final) start_free(blocks[v], free + v * n, 0);
        finish_initial(blocks[v], poles + v * n, driven + v * n, free + v * n, sums + v * n * stride, stride);
    }
}

}  // namespace
}  // namespace statespace
