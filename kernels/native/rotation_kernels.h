// Angles that add up over time, and pairs of coordinates that they turn, a piece of time at a time.
#pragma once

#include "fields.h"
#include "numbers.h"
#include "rotation.h"
#include "square.h"

namespace statespace {
namespace {

template <typename T>
struct RotationOf {
    static constexpr int W = Vector<T>::lanes;
    typedef double Wide __attribute__((vector_size(W * sizeof(double))));

    const RotationPiece& piece;
    const Rotation& call;
    const int64_t heads, groups, n, r, filled, turning;
    T* free;        // scratch that nobody has taken yet
    double* angle;  // (heads, turning): up to the step at hand
    T* rate;        // (turning): of the step at hand, twice each

    RotationOf(const RotationPiece& piece, void* scratch)
        : piece(piece), call(piece.call), heads(call.heads), groups(call.groups), n(call.states), r(call.angles),
          filled(piece.filled()), turning(piece.turning()), free(static_cast<T*>(scratch)) {
        angle = reinterpret_cast<double*>(take(2 * heads * turning));
        rate = take(turning);
        for (int64_t i = 0; i < turning; ++i) rate[i] = 0;
    }

    T* take(int64_t count) {
        T* taken = free;
        free += rotation_filled(count);
        return taken;
    }
    static ALWAYS_INLINE Wide load_wide(const double* from) {
        Wide v;
        memcpy(&v, from, sizeof v);
        return v;
    }
    static ALWAYS_INLINE void store_wide(double* to, const Wide& v) { memcpy(to, &v, sizeof v); }
    ALWAYS_INLINE int64_t row(int64_t t) const { return piece.batch * call.length + t; }
    ALWAYS_INLINE T step(int64_t t, int64_t head) const { return static_cast<const T*>(call.step)[row(t) * heads + head]; }

    void read_rate(int64_t t) const {
        const T* from = static_cast<const T*>(call.rate) + row(t) * r;
        for (int64_t i = 0; i < r; ++i) rate[2 * i] = rate[2 * i + 1] = from[i];
    }
    // The angle that a head turns by in a step, rounded as a product of the type of the computation.
    ALWAYS_INLINE Wide turn(int64_t i, T step) const { return __builtin_convertvector(load(rate + i) * step, Wide); }

    // Vectors (count, n), filled up with zeros.
    void fill(T* to, const T* from, int64_t count) const {
        for (int64_t j = 0; j < count; ++j, from += n, to += filled) {
            memcpy(to, from, size_t(n) * sizeof(T));
            for (int64_t i = n; i < filled; ++i) to[i] = 0;
        }
    }
    ALWAYS_INLINE void write(T* to, int64_t i, const Vec<T>& v) const {
        if (i + W <= n) return store<T>(to + i, v);
        for (int64_t j = 0; i + j < n; ++j) to[i + j] = v[j];
    }

    // Cosine and sine of an angle in double: whole quarters of a turn are taken off before it is rounded.
    static ALWAYS_INLINE Complex<T> phase(const Wide& angle) {
        constexpr double magic = Bits<double>::magic;
        const Wide quarters = angle * 0.63661977236758134308, whole = (quarters + magic) - magic;
        const Wide of_four = whole - 4 * ((whole * 0.25 + magic) - magic);
        const Vec<T> x = __builtin_convertvector(quarters - whole, Vec<T>), k = __builtin_convertvector(of_four, Vec<T>);
        const Vec<T> x2 = x * x;
        const Vec<T> sine = x * polynomial<T>(Quarter<T>::sine, x2);
        const Vec<T> cosine = T(1) + x2 * polynomial<T>(Quarter<T>::cosine, x2);
        const Ints<T> odd = absolute<T>(k) == T(1);
        const Ints<T> opposite = absolute<T>(k) == T(2);
        const Vec<T> c = odd ? sine : cosine, s = odd ? cosine : sine;
        return {(opposite | (k == T(1))) ? -c : c, (opposite | (k == T(-1))) ? -s : s};
    }
    static ALWAYS_INLINE Vec<T> alternating() {
        Vec<T> sign;
        for (int j = 0; j < W; j += 2) sign[j] = -1, sign[j + 1] = 1;
        return sign;
    }

    void start() const {
        for (int64_t i = 0; i < heads * turning; ++i) angle[i] = piece.sums[i];
    }
    void advance(int64_t t) const {
        read_rate(t);
        for (int64_t head = 0; head < heads; ++head)
            for (int64_t i = 0, at = head * turning; i < turning; i += W)
                store_wide(angle + at + i, load_wide(angle + at + i) + turn(i, step(t, head)));
    }

    void sum() const {
        for (int64_t i = 0; i < heads * turning; ++i) angle[i] = 0;
        for (int64_t t = piece.begin; t < piece.end; ++t) advance(t);
        for (int64_t i = 0; i < heads * turning; ++i) piece.sums[i] = angle[i];
    }

    // Rows of step t, raw and as they come out of their norm, and what each is multiplied by in it beside the weights.
    struct Normed {
        T *biases, *weights, *raw, *rows, *factor;
    };
    Normed normed(int of) {
        const Normed to{take(heads * filled), take(filled), take(groups * filled), take(groups * filled), take(groups)};
        fill(to.biases, static_cast<const T*>(call.biases[of]), heads);
        fill(to.weights, static_cast<const T*>(call.weights[of]), 1);
        return to;
    }
    void read_rows(const Normed& to, int of, int64_t t) const {
        fill(to.raw, static_cast<const T*>(call.rows[of]) + row(t) * groups * n, groups);
        for (int64_t group = 0; group < groups; ++group) {
            const T* x = to.raw + group * filled;
            Vec<T> squares = {};
            for (int64_t i = 0; i < filled; i += W) squares = squares + load(x + i) * load(x + i);
            const T factor = T(1 / __builtin_sqrt(double(total<T>(squares)) / double(n) + call.eps));
            to.factor[group] = factor;
            for (int64_t i = 0; i < filled; i += W)
                store<T>(to.rows + group * filled + i, load(x + i) * factor * load(to.weights + i));
        }
    }

    void forward() {
        const Normed vectors[2] = {normed(0), normed(1)};
        const Vec<T> sign = alternating();
        start();
        for (int64_t t = piece.begin; t < piece.end; ++t) {
            advance(t);
            for (int of = 0; of < 2; ++of) read_rows(vectors[of], of, t);
            for (int64_t head = 0; head < heads; ++head) {
                const int64_t at = (row(t) * heads + head) * n, group = head / (heads / groups);
                T* to[2] = {static_cast<T*>(call.turned[0]) + at, static_cast<T*>(call.turned[1]) + at};
                Vec<T> product = {};
                for (int64_t i = 0; i < filled; i += W) {
                    Complex<T> by{splat<T>(1), Vec<T>{}};
                    const bool turns = i < turning;
                    if (turns) by = phase(load_wide(angle + head * turning + i));
                    Vec<T> both[2];
                    for (int of = 0; of < 2; ++of) {
                        const Vec<T> x = both[of] = with_bias(vectors[of], group, head, i);
                        write(to[of], i, turns ? x * by.re + pairs<1, 0, T>(x) * (by.im * sign) : x);
                    }
                    product = product + both[0] * both[1];
                }
                static_cast<T*>(call.products)[row(t) * heads + head] = total<T>(product);
            }
        }
    }

    ALWAYS_INLINE Vec<T> with_bias(const Normed& vectors, int64_t group, int64_t head, int64_t i) const {
        return load(vectors.rows + group * filled + i) + load(vectors.biases + head * filled + i);
    }

    // From the gradients of the normed rows of step t to those of the rows, and of the weights.
    void through_norm(const Normed& vectors, int of, int64_t t, T* of_rows, T* of_weights) const {
        for (int64_t group = 0; group < groups; ++group) {
            const T *x = vectors.raw + group * filled, factor = vectors.factor[group];
            T* u = of_rows + group * filled;
            Vec<T> along = {};
            for (int64_t i = 0; i < filled; i += W) {
                const Vec<T> of_normed = load(u + i) * factor;
                store<T>(of_weights + i, load(of_weights + i) + of_normed * load(x + i));
                const Vec<T> of_row = of_normed * load(vectors.weights + i);
                along = along + of_row * load(x + i);
                store<T>(u + i, of_row);
            }
            const T share = total<T>(along) * factor * factor / T(n);
            T* to = static_cast<T*>(call.grad_rows[of]) + (row(t) * groups + group) * n;
            for (int64_t i = 0; i < filled; i += W) write(to, i, load(u + i) - load(x + i) * share);
        }
    }

    void backward(double* later) {
        const Normed vectors[2] = {normed(0), normed(1)};
        T *of_biases[2], *of_rows[2];  // behind the biases of the heads, the weights
        for (int of = 0; of < 2; ++of) {
            of_biases[of] = take((heads + 1) * filled), of_rows[of] = take(groups * filled);
            for (int64_t i = 0; i < (heads + 1) * filled; ++i) of_biases[of][i] = 0;
        }
        T* of_rate = take(turning);
        const Vec<T> sign = alternating();
        for (int64_t i = 0; i < heads * turning; ++i) later[i] = 0;
        start();
        for (int64_t t = piece.begin; t < piece.end; ++t) advance(t);
        for (int64_t t = piece.end - 1; t >= piece.begin; --t) {
            read_rate(t);
            for (int64_t i = 0; i < turning; ++i) of_rate[i] = 0;
            for (int of = 0; of < 2; ++of) {
                read_rows(vectors[of], of, t);
                for (int64_t i = 0; i < groups * filled; ++i) of_rows[of][i] = 0;
            }
            for (int64_t head = 0; head < heads; ++head) {
                const int64_t at = (row(t) * heads + head) * n, group = head / (heads / groups);
                const T of_time = step(t, head);
                const T of_product = call.grad_products ? static_cast<const T*>(call.grad_products)[row(t) * heads + head] : T(0);
                Vec<T> of_step = {};
                for (int64_t i = 0; i < filled; i += W) {
                    Complex<T> by{splat<T>(1), Vec<T>{}};
                    const bool turns = i < turning;
                    const int64_t place = head * turning + i;
                    if (turns) by = phase(load_wide(angle + place));
                    const Vec<T> both[2] = {with_bias(vectors[0], group, head, i), with_bias(vectors[1], group, head, i)};
                    Vec<T> of_angle = {};
                    for (int of = 0; of < 2; ++of) {
                        Vec<T> u = {};
                        if (const T* from = static_cast<const T*>(call.grad_turned[of])) {
                            if (i + W <= n) u = load(from + at + i);
                            else
                                for (int64_t j = 0; i + j < n; ++j) u[j] = from[at + i + j];
                        }
                        if (turns) {  // back, by the opposite angle
                            u = u * by.re - pairs<1, 0, T>(u) * (by.im * sign);
                            of_angle = of_angle - both[of] * pairs<1, 0, T>(u) * sign;
                        }
                        u = u + both[1 - of] * of_product;
                        T *to_bias = of_biases[of] + head * filled + i, *to_row = of_rows[of] + group * filled + i;
                        store<T>(to_bias, load(to_bias) + u);
                        store<T>(to_row, load(to_row) + u);
                    }
                    if (!turns) continue;
                    const Wide since = load_wide(later + place) + __builtin_convertvector(of_angle, Wide);
                    store_wide(later + place, since);
                    const Vec<T> of_turn = __builtin_convertvector(since, Vec<T>);
                    of_step = of_step + of_turn * load(rate + i);
                    store<T>(of_rate + i, load(of_rate + i) + of_turn * of_time);
                    store_wide(angle + place, load_wide(angle + place) - turn(i, of_time));
                }
                static_cast<T*>(call.grad_step)[row(t) * heads + head] = total<T>(of_step);
            }
            for (int64_t i = 0; i < r; ++i)
                static_cast<T*>(call.grad_rate)[row(t) * r + i] = of_rate[2 * i] + of_rate[2 * i + 1];
            for (int of = 0; of < 2; ++of)
                through_norm(vectors[of], of, t, of_rows[of], of_biases[of] + heads * filled);
        }
        for (int of = 0; of < 2; ++of)
            for (int64_t head = 0; head <= heads; ++head)
                for (int64_t i = 0; i < n; ++i)
                    piece.vectors[(of * (heads + 1) + head) * n + i] = double(of_biases[of][head * filled + i]);
    }

    void add_later(const double* later) {
        T *of_rate = take(turning), *from = take(heads * turning);
        for (int64_t i = 0; i < heads * turning; ++i) from[i] = T(later[i]);
        for (int64_t t = piece.begin; t < piece.end; ++t) {
            read_rate(t);
            for (int64_t i = 0; i < turning; ++i) of_rate[i] = 0;
            for (int64_t head = 0; head < heads; ++head) {
                const T of_time = step(t, head);
                Vec<T> of_step = {};
                for (int64_t i = 0; i < turning; i += W) {
                    const Vec<T> of_turn = load(from + head * turning + i);
                    of_step = of_step + of_turn * load(rate + i);
                    store<T>(of_rate + i, load(of_rate + i) + of_turn * of_time);
                }
                static_cast<T*>(call.grad_step)[row(t) * heads + head] += total<T>(of_step);
            }
            for (int64_t i = 0; i < r; ++i)
                static_cast<T*>(call.grad_rate)[row(t) * r + i] += of_rate[2 * i] + of_rate[2 * i + 1];
        }
    }
};

template <typename T>
struct RotationKernelsOf {
    static void sum(const RotationPiece& piece, void* scratch) { RotationOf<T>(piece, scratch).sum(); }
    static void forward(const RotationPiece& piece, void* scratch) { RotationOf<T>(piece, scratch).forward(); }
    static void backward(const RotationPiece& piece, double* later, void* scratch) {
        RotationOf<T>(piece, scratch).backward(later);
    }
    static void add_later(const RotationPiece& piece, const double* later, void* scratch) {
        RotationOf<T>(piece, scratch).add_later(later);
    }
};

#define ROTATION_KERNELS_OF(T) \
    {RotationKernelsOf<T>::sum, RotationKernelsOf<T>::forward, RotationKernelsOf<T>::backward, RotationKernelsOf<T>::add_later}

}  // namespace
}  // namespace statespace
