// exp(tA) and phi_k(tA) t^? B: polynomials of few products, scaled and squared; kernels/expm/README.md derives them.
#pragma once

#include <float.h>
#include <math.h>

#include "dense_matrix.h"

namespace statespace {
namespace {

// The polynomials, by degree, and the logarithms to the base 2 of the largest norms at which their backward error is below
// the unit roundoff: for columns of order 1 at most, and of order 2. In single precision the last would cancel beyond 1.
constexpr int SCHEMES = 4;

// Other units are taken where they bring the norm down by this factor: what is left may cost two digits. Smaller changes
// would rather stir up what rounding left in entries that should be 0.
constexpr double WORTH_BALANCING = 64;

constexpr int DEGREE[SCHEMES] = {2, 4, 8, 15};
constexpr double DOUBLE_BOUND[2][SCHEMES] = {
    {-25.207519, -11.52338, -4.324462, -0.564006},
    {-INFINITY, -15.36438, -4.939029, -0.60269},
};
constexpr double SINGLE_BOUND[2][SCHEMES] = {
    {-10.707843, -4.288666, -0.785745, 0},
    {-INFINITY, -5.705386, -0.890427, 0},
};

// A polynomial of M = [[tA, tB, 0], [0, 0, I], [0, 0, 0]] without a constant term: its upper blocks, and the factor of I
// in the middle, which is the polynomial's linear coefficient. At order 1 the last column of blocks is not there.
template <typename T>
struct Polynomial {
    T* upper;
    T linear;
};

template <typename T>
class Exponential {
    static constexpr int W = Vector<T>::lanes;
    static constexpr int MATRICES = 6;
    const ExpmCall& call;
    const int64_t n = call.n, m = call.m, columns = n + call.order * m, ld = padded<T>(n), size = columns * ld;
    Polynomial<T> work[MATRICES];
    T* units;

    // to = X Y
    void multiply(Polynomial<T>& to, const Polynomial<T>& X, const Polynomial<T>& Y) const {
        product<T, false>(to.upper, X.upper, Y.upper, n, columns, ld);
        couple(to, X, Y.linear);
        to.linear = 0;
    }
    // to = to + X Y
    void multiply_add(Polynomial<T>& to, const Polynomial<T>& X, const Polynomial<T>& Y) const {
        product<T, true>(to.upper, X.upper, Y.upper, n, columns, ld);
        couple(to, X, Y.linear);
    }
    void couple(Polynomial<T>& to, const Polynomial<T>& X, T linear) const {
        if (call.order < 2 || linear == 0) return;
        const T* first = X.upper + n * ld;
        T* second = to.upper + (n + m) * ld;
        for (int64_t i = 0; i < m * ld; i += W) store<T>(second + i, load(second + i) + linear * load(first + i));
    }

    // to[i] = sum_j weight[i][j] from[j], in one pass: a target may be a source as well. No weight of from[0] is 0.
    template <int targets, int sources>
    ALWAYS_INLINE void combine(Polynomial<T>* const (&to)[targets], const Polynomial<T>* const (&from)[sources],
                               const double (&weight)[targets][sources]) const {
        T w[targets][sources], linear[targets];
        T *put[targets], *get[sources];
        for (int j = 0; j < sources; ++j) get[j] = from[j]->upper;
        for (int i = 0; i < targets; ++i) {
            put[i] = to[i]->upper;
            linear[i] = 0;
            for (int j = 0; j < sources; ++j) {
                w[i][j] = T(weight[i][j]);
                linear[i] += w[i][j] * from[j]->linear;
            }
        }
        for (int i = 0; i < targets; ++i) to[i]->linear = linear[i];
        for (int64_t at = 0; at < size; at += W) {
            Vec<T> x[sources];
#pragma GCC unroll 4
            for (int j = 0; j < sources; ++j) x[j] = load(get[j] + at);
#pragma GCC unroll 4
            for (int i = 0; i < targets; ++i) {
                Vec<T> sum = w[i][0] * x[0];
#pragma GCC unroll 4
                for (int j = 1; j < sources; ++j)
                    if (weight[i][j] != 0) sum = sum + w[i][j] * x[j];
                store<T>(put[i] + at, sum);
            }
        }
    }

    // The largest sum of absolute values along a row of the left block; NaN or infinite if an element is.
    T norm(const T* X) const {
        Vec<T> largest = {}, check = {};
        for (int64_t r = 0; r < ld; r += W) {
            Vec<T> sum[2] = {};
            for (int64_t c = 0; c + 1 < n; c += 2) {
                sum[0] = sum[0] + magnitude<T>(load(X + c * ld + r));
                sum[1] = sum[1] + magnitude<T>(load(X + (c + 1) * ld + r));
            }
            if (n % 2) sum[0] = sum[0] + magnitude<T>(load(X + (n - 1) * ld + r));
            const Vec<T> row = sum[0] + sum[1];
            check = check + (row - row);  // 0, unless something is not finite
            largest = row > largest ? row : largest;
        }
        return maximum<T>(largest) + total<T>(check);
    }

    // Units of the states, powers of 2, in which the rows of the left block of X are about as large as its columns;
    // kernels/balancing.py has the source. `sizes` is room for one matrix. Returns the norm in those units.
    T balance(const T* X, T* sizes) {
        for (int64_t c = 0; c < n; ++c) {
            units[c] = 1;
            for (int64_t r = 0; r < n; ++r) sizes[c * n + r] = r == c ? T(0) : T(fabs(X[c * ld + r]));
        }
        bool settled = false;
        for (int sweep = 0; sweep < 20 && !settled; ++sweep) {
            settled = true;
            for (int64_t i = 0; i < n; ++i) {
                T row = 0, column = 0;
                for (int64_t k = 0; k < n; ++k) row += sizes[k * n + i], column += sizes[i * n + k];
                if (!(row > 0 && column > 0)) continue;
                const int power = static_cast<int>(rint((log2(double(row)) - log2(double(column))) / 2));
                if (power == 0) continue;
                const T down = T(ldexp(1, -power)), up = T(ldexp(1, power));
                for (int64_t k = 0; k < n; ++k) sizes[k * n + i] *= down, sizes[i * n + k] *= up;
                units[i] *= up;
                settled = false;
            }
        }
        T largest = 0;
        for (int64_t r = 0; r < n; ++r) {
            T sum = T(fabs(X[r * ld + r]));
            for (int64_t c = 0; c < n; ++c) sum += sizes[c * n + r];
            largest = sum > largest ? sum : largest;
        }
        return largest;
    }

    // Rows and columns of the upper blocks in other units.
    void change_units(T* X) const {
        for (int64_t c = 0; c < columns; ++c)
            for (int64_t r = 0; r < n; ++r) X[c * ld + r] *= (c < n ? units[c] : T(1)) / units[r];
    }
    void restore_units(T* E, T* F) const {
        for (int64_t r = 0; r < n; ++r) {
            for (int64_t c = 0; c < n; ++c) E[r * n + c] *= units[r] / units[c];
            for (int64_t c = 0; c < columns - n; ++c) F[r * (columns - n) + c] *= units[r];
        }
    }

    void scale(Polynomial<T>& X, T factor) const {
        for (int64_t i = 0; i < size; i += W) store<T>(X.upper + i, factor * load(X.upper + i));
        X.linear *= factor;
    }

    // exp(M) - I for a small M, with work[0] = M and work[1] = M². The result is one of the matrices at hand.
    Polynomial<T>& evaluate(int scheme) {
        Polynomial<T>&M = work[0], &M2 = work[1], &a = work[2], &b = work[3], &c = work[4], &d = work[5];
        if (DEGREE[scheme] == 2) {
            combine({&a}, {&M, &M2}, {{1, 0.5}});
        } else if (DEGREE[scheme] == 4) {
            combine({&a, &b}, {&M, &M2}, {{1, 0.5}, {1.0 / 6, 1.0 / 24}});
            multiply_add(a, M2, b);
        } else if (DEGREE[scheme] == 8) {
            combine({&b}, {&M, &M2}, {{1.0836465678522780852e-1, 2.7091164196306952131e-2}});
            multiply(a, M2, b);
            combine({&a, &b, &c}, {&a, &M2, &M},
                    {{0.54676145797072405251, 0.13549236135285063166 + 2.0 / 3 * 0.54676145797072405251, 1},
                     {1, 2.0 / 3, 0},
                     {3.3792797010870504141e-2, 1.4090917158378207731e-2, 1.6112557339541759283e-1}});
            multiply_add(a, b, c);
        } else {
            combine({&b}, {&M, &M2}, {{2.9455314402796829805e-3, 4.0187616102010354630e-4}});
            multiply(a, M2, b);
            combine({&b, &c, &d}, {&a, &M2, &M},
                    {{5.7689885130261447291, 2.3385760342712988337e-2, 0},
                     {1, -8.7090665768376759677e-3, 4.0175684406735678015e-1},
                     {1, 3.2307628881223120820e-2, 0}});
            multiply_add(b, c, d);
            combine({&a, &c, &d}, {&b, &a, &M2, &M},
                    {{1.0408017352313543646e1, -6.3317124558833707162e1, 3.4846658633645740854e-1, 1},
                     {1, 0, 2.3810703738709872247e-1, 2.2242091724963735612},
                     {1, -5.7923617070732605218, 0, -4.1302763659297829110e-2}});
            multiply_add(a, c, d);
        }
        return a;
    }

    void put(const Polynomial<T>& X, T* E, T* F) const {
        write(E, X.upper, ld, n, n);
        if (columns > n) write(F, X.upper + n * ld, ld, n, columns - n);
    }

public:
    static size_t scratch(const ExpmCall& call) {
        return (MATRICES * (call.n + call.order * call.m) * padded<T>(call.n) + call.n) * sizeof(T);
    }

    Exponential(const ExpmCall& call, void* scratch) : call(call) {
        memset(scratch, 0, Exponential::scratch(call));
        for (int k = 0; k < MATRICES; ++k) work[k] = {static_cast<T*>(scratch) + k * size, 0};
        units = static_cast<T*>(scratch) + MATRICES * size;
    }

    void run(int64_t i) {
        T* E = static_cast<T*>(call.E) + i * n * n;
        T* F = static_cast<T*>(call.F) + i * n * call.order * m;
        const T t = static_cast<const T*>(call.t.data)[i * call.t.stride[0]];
        Polynomial<T>& M = work[0];
        // Where the matrix before this one overflowed, 0 times infinity stands in the padding.
        if (ld > n) memset(M.upper, 0, size * sizeof(T));
        read(M.upper, ld, call.A, i, n, n, t);
        if (call.order > 0) read(M.upper + n * ld, ld, call.B, i, n, m, t);
        if (call.order > 1) memset(M.upper + (n + m) * ld, 0, m * ld * sizeof(T));
        M.linear = 1;

        double first = static_cast<double>(norm(M.upper));
        if (!(first <= DBL_MAX)) {
            for (int64_t k = 0; k < n * n; ++k) E[k] = T(NAN);
            for (int64_t k = 0; k < n * (columns - n); ++k) F[k] = T(NAN);
            return;
        }
        // Every squaring that only bad units ask for costs half a digit and more.
        bool other_units = false;
        if (first > WORTH_BALANCING) {
            const double balanced = static_cast<double>(balance(M.upper, work[1].upper));
            if ((other_units = balanced * WORTH_BALANCING <= first)) {
                change_units(M.upper);
                first = balanced;
            }
        }
        // The norm that decides is d, with |M^k| <= d^k for all powers k that are left out; see the README.
        int squarings = 0, scheme = 0;
        double log_norm = log2(first > DBL_MIN ? first : DBL_MIN);
        if (log_norm > 32) {
            squarings = static_cast<int>(ceil(log_norm));
            scale(M, T(ldexp(1, -squarings)));
            log_norm -= squarings;
        }
        multiply(work[1], M, M);
        const double square = static_cast<double>(norm(work[1].upper));
        const double log_square = 0.5 * log2(square > DBL_MIN ? square : DBL_MIN);
        const double* bounds = (sizeof(T) == sizeof(double) ? DOUBLE_BOUND : SINGLE_BOUND)[call.order > 1];
        double excess = 0;
        for (; scheme < SCHEMES; ++scheme) {
            const double share = 1.0 / (DEGREE[scheme] - (call.order > 1));
            excess = log_square + (log_norm > log_square ? (log_norm - log_square) * share : 0) - bounds[scheme];
            if (excess <= 0) break;
        }
        if (scheme == SCHEMES) {
            --scheme;
            const int more = static_cast<int>(ceil(excess));
            squarings += more;
            scale(M, T(ldexp(1, -more)));
            scale(work[1], T(ldexp(1, -2 * more)));
        }
        Polynomial<T>* X = &evaluate(scheme);
        if (squarings == 0) {
            put(*X, E, F);
            for (int64_t k = 0; k < n * n; k += n + 1) E[k] += 1;
            if (other_units) restore_units(E, F);
            return;
        }
        for (int64_t k = 0; k < n; ++k) X->upper[k * ld + k] += 1;
        Polynomial<T>* next = &M;
        T linear = X->linear;
        for (; squarings > 0; --squarings) {
            // [[E, F, G], [0, I, l I], [0, 0, I]]² = [[E², E F + F, E G + l F + G], ...]
            memcpy(next->upper + n * ld, X->upper + n * ld, (columns - n) * ld * sizeof(T));
            product<T, false>(next->upper, X->upper, X->upper, n, n, ld);
            if (columns > n) product<T, true>(next->upper + n * ld, X->upper, X->upper + n * ld, n, columns - n, ld);
            couple(*next, *X, linear);
            linear *= 2;
            Polynomial<T>* before = X;
            X = next;
            next = before;
        }
        put(*X, E, F);
        if (other_units) restore_units(E, F);
    }
};

template <typename T>
size_t expm_scratch(const ExpmCall& call) {
    return Exponential<T>::scratch(call);
}

template <typename T>
void expm(const ExpmCall& call, int64_t first, int64_t last, void* scratch) {
    Exponential<T> exponential(call, scratch);
    for (int64_t i = first; i < last; ++i) exponential.run(i);
}

}  // namespace
}  // namespace statespace
