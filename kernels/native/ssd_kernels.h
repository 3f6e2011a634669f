// The scan of Mamba-2, chunk by chunk: kernels/ssd/README.md derives what is computed here.
//
// Matrices lie by rows that are filled up to whole vectors; a row of steps is one of time. Exponents are sums in double
// of dt A log2(e) from the beginning of the chunk on, and only their differences are exponentiated.
#pragma once

#include "elementary.h"
#include "square.h"
#include "ssd.h"
#include "ssd_product.h"

namespace statespace {
namespace {

// Rows that lie `width` apart.
template <typename T>
struct Rows {
    const T* at;
    int64_t width;
};

// to (columns, to_width) = from (rows, columns), turned, with zeros behind the rows. Columns are whole vectors.
template <typename T>
void turn(T* to, int64_t to_width, const T* from, int64_t width, int64_t rows, int64_t columns) {
    constexpr int W = Vector<T>::lanes;
    for (int64_t r = 0; r < to_width; r += W)
        for (int64_t c = 0; c < columns; c += W) {
            Square<T> square;
#pragma GCC unroll 16
            for (int k = 0; k < W; ++k) square.row[k] = r + k < rows ? load(from + (r + k) * width + c) : Vec<T>{};
            square.turn();
#pragma GCC unroll 16
            for (int k = 0; k < W; ++k) store<T>(to + (c + k) * to_width + r, square.row[k]);
        }
}

template <typename T>
struct SsdChunkOf {
    static constexpr int W = Vector<T>::lanes;
    typedef double Wide __attribute__((vector_size(W * sizeof(double))));

    const SsdWork& work;
    const Ssd& call;
    const SsdChunk& chunk;
    const int64_t c, group, per_group;
    const int64_t rows;           // steps, filled up to a multiple of SSD_ROWS
    const int64_t square;         // the width of a matrix of steps by steps
    const int64_t p, n;           // channels and states, filled up
    T* free;                      // scratch that nobody has taken yet
    double* exponent;             // (square) of the head at hand, flat beyond the last step
    T *since, *until, *dt;        // (square): decays from before the chunk and up to its end; the steps

    SsdChunkOf(const SsdWork& work, int64_t c, int64_t group, void* scratch)
        : work(work), call(work.call), chunk(work.chunks[c]), c(c), group(group), per_group(call.heads / call.groups),
          rows(ssd_filled(chunk.steps, SSD_ROWS)), square(ssd_filled(rows)), p(ssd_filled(call.width)),
          n(ssd_filled(call.states)), free(static_cast<T*>(scratch)) {
        exponent = reinterpret_cast<double*>(take(2 * square));
        since = take(square), until = take(square), dt = take(square);
    }

    T* take(int64_t count) {
        T* taken = free;
        free += ssd_filled(count);
        return taken;
    }
    T* zeros(int64_t count) {
        T* taken = take(count);
        for (int64_t i = 0; i < count; ++i) taken[i] = 0;
        return taken;
    }

    // Steps of an array (b, l, h or g, p or n), copied to `to` and filled up with zeros.
    void copy(T* to, int64_t width, const void* array, const int64_t* stride, int64_t column, int64_t columns) const {
        const T* from = static_cast<const T*>(array) + chunk.batch * stride[0] + chunk.first * stride[1] + column * stride[2];
        for (int64_t t = 0; t < rows; ++t, from += stride[1], to += width) {
            int64_t i = 0;
            if (t < chunk.steps) {
                if (stride[3] == 1)
                    for (; i + W <= columns; i += W) store<T>(to + i, load(from + i));
                for (; i < columns; ++i) to[i] = from[i * stride[3]];
            }
            for (; i < width; ++i) to[i] = 0;
        }
    }
    // The same of B and C, where they lie if nothing need be filled up.
    Rows<T> vectors(const void* array, const int64_t* stride) {
        if (stride[3] == 1 && call.states == n && chunk.steps == rows)
            return {static_cast<const T*>(array) + chunk.batch * stride[0] + chunk.first * stride[1] + group * stride[2],
                    stride[1]};
        T* to = take(rows * n);
        copy(to, n, array, stride, group, call.states);
        return {to, n};
    }
    // A row of the result (b, l, h, p).
    T* of_head(void* array, int64_t t, int64_t head) const {
        return static_cast<T*>(array) + ((chunk.batch * call.length + chunk.first + t) * call.heads + head) * call.width;
    }
    T* state(void* states, int64_t head) const {
        return static_cast<T*>(states) + (c * call.heads + head) * work.state_size();
    }

    // from - v[0], from - v[1], ...
    ALWAYS_INLINE Vec<T> less(double from, const double* v) const {
        Wide wide;
        memcpy(&wide, v, sizeof wide);
        return __builtin_convertvector(from - wide, Vec<T>);
    }
    ALWAYS_INLINE Vec<T> power(const Vec<T>& x) const { return power_of_two<T>(x, splat<T>(1)).value(); }

    // The decays of a head. Returns the one over the whole chunk.
    double decays(int64_t head) {
        const T* from = static_cast<const T*>(call.dt) + chunk.batch * call.dt_stride[0] +
                        chunk.first * call.dt_stride[1] + head * call.dt_stride[2];
        const double A = double(static_cast<const T*>(call.A)[head]) * Constants<double>::log2e;
        double sum = 0;
        for (int64_t t = 0; t < square; ++t) {
            dt[t] = t < chunk.steps ? from[t * call.dt_stride[1]] : T(0);
            sum += double(dt[t]) * A;
            exponent[t] = sum;
        }
        for (int64_t t = 0; t < square; t += W) {
            store<T>(since + t, power(-less(0, exponent + t)));
            store<T>(until + t, power(less(sum, exponent + t)));
        }
        return power_of_two<double>(splat<double>(sum), splat<double>(1)).value()[0];
    }

    // to = x factor, row by row.
    void scale(T* to, const T* x, int64_t width, const T* factor) const {
        for (int64_t t = 0; t < rows; ++t)
            for (int64_t i = 0; i < width; i += W) store<T>(to + t * width + i, load(x + t * width + i) * factor[t]);
    }
    ALWAYS_INLINE T dot(const T* a, const T* b, int64_t width) const {
        Vec<T> sum = {};
        for (int64_t i = 0; i < width; i += W) sum = sum + load(a + i) * load(b + i);
        return total<T>(sum);
    }

    // Rows t0 .. t0 + SSD_ROWS of a matrix that is nothing above its diagonal reach up to here, in whole vectors.
    ALWAYS_INLINE int64_t reach(int64_t t0) const { return (t0 + SSD_ROWS + W - 1) / W * W; }

    // to[t, r] = a[t] . b[r] for r <= t, b being turned: (inner, square).
    void lower(T* to, Rows<T> a, const T* b, int64_t inner) const {
        for (int64_t t = 0; t < rows; t += SSD_ROWS)
            product<T, false>(to + t * square, square, {a.at + t * a.width, a.width, 1}, b, square, SSD_ROWS, inner,
                              reach(t));
    }
    // to += m b and to += turned(m) b, for a matrix m that is nothing above its diagonal.
    void add_lower(T* to, const T* m, const T* b, int64_t b_width, int64_t columns) const {
        for (int64_t t = 0; t < rows; t += SSD_ROWS)
            product<T, true>(to + t * columns, columns, {m + t * square, square, 1}, b, b_width, SSD_ROWS, t + SSD_ROWS,
                             columns);
    }
    void add_upper(T* to, const T* m, const T* b, int64_t b_width, int64_t columns) const {
        for (int64_t r = 0; r < rows; r += SSD_ROWS)
            product<T, true>(to + r * columns, columns, {m + r * square + r, 1, square}, b + r * b_width, b_width,
                             SSD_ROWS, rows - r, columns);
    }

    // between[t, r] = exp of the exponents from r to t, for r <= t, else 0; matrix = scores between.
    void mask(T* between, T* matrix, const T* scores) const {
        Vec<T> lanes;
        for (int j = 0; j < W; ++j) lanes[j] = T(j);
        for (int64_t t = 0; t < rows; ++t)
            for (int64_t r = 0, end = reach(t / SSD_ROWS * SSD_ROWS), at = t * square; r < end; r += W) {
                const Ints<T> seen = lanes <= T(t - r);
                const Vec<T> decay = seen ? power(less(exponent[t], exponent + r)) : Vec<T>{};
                if (between) store<T>(between + at + r, decay);
                store<T>(matrix + at + r, seen ? decay * load(scores + at + r) : Vec<T>{});
            }
    }

    // What passes over step k within the chunk, sum of P[t, r] over t >= k > r, P = matrix of_matrix; to (square).
    void passages(T* to, const T* matrix, const T* of_matrix, T* columns) const {
        Vec<T> lanes;
        for (int j = 0; j < W; ++j) lanes[j] = T(j);
        for (int64_t r = 0; r < square; ++r) columns[r] = 0;
        to[0] = 0;
        for (int64_t k = rows - 1; k > 0; --k) {
            Vec<T> sum = {};
            for (int64_t r = 0; r < k; r += W) {
                const Vec<T> seen = load(columns + r) + load(matrix + k * square + r) * load(of_matrix + k * square + r);
                store<T>(columns + r, seen);
                sum = sum + (lanes < T(k - r) ? seen : Vec<T>{});
            }
            to[k] = total<T>(sum);
        }
    }

    void gather(bool back) {
        const Rows<T> B = vectors(call.B, call.B_stride);
        Rows<T> C{};
        if (back) C = vectors(call.C, call.C_stride);
        T *rows_of = take(rows * p), *scaled = take(rows * p);
        for (int64_t head = group * per_group; head < (group + 1) * per_group; ++head) {
            work.whole[c * call.heads + head] = decays(head);
            for (int64_t t = 0; t < rows; ++t) until[t] *= dt[t];
            copy(rows_of, p, call.x, call.x_stride, head, call.width);
            scale(scaled, rows_of, p, until);
            product<T, false>(state(work.states, head), n, {scaled, 1, p}, B.at, B.width, call.width, rows, n);
            if (!back) continue;
            copy(rows_of, p, call.grad_y, call.grad_y_stride, head, call.width);
            scale(scaled, rows_of, p, since);
            product<T, false>(state(work.adjoints, head), n, {scaled, 1, p}, C.at, C.width, call.width, rows, n);
        }
    }

    // scores[t, r] = C[t] . B[r], for r <= t.
    T* scores(Rows<T> B, Rows<T> C) {
        T *turned = take(n * square), *to = take(rows * square);
        turn(turned, square, B.at, B.width, rows, n);
        lower(to, C, turned, n);
        return to;
    }

    void forward() {
        const Rows<T> B = vectors(call.B, call.B_stride), C = vectors(call.C, call.C_stride);
        const T* of_group = scores(B, C);
        T *x = take(rows * p), *u = take(rows * p), *y = take(rows * p);
        T *matrix = take(rows * square), *turned = take(n * p);
        for (int64_t head = group * per_group; head < (group + 1) * per_group; ++head) {
            decays(head);
            copy(x, p, call.x, call.x_stride, head, call.width);
            scale(u, x, p, dt);
            turn(turned, p, state(work.states, head), n, call.width, n);
            product<T, false>(y, p, {C.at, C.width, 1}, turned, p, rows, call.states, p);
            scale(y, y, p, since);
            mask(nullptr, matrix, of_group);
            add_lower(y, matrix, u, p, p);
            const T D = call.D ? static_cast<const T*>(call.D)[head] : T(0);
            for (int64_t t = 0; t < chunk.steps; ++t) {
                T* to = of_head(call.y, t, head);
                int64_t i = 0;
                for (; i + W <= call.width; i += W) store<T>(to + i, load(y + t * p + i) + load(x + t * p + i) * D);
                for (; i < call.width; ++i) to[i] = y[t * p + i] + x[t * p + i] * D;
            }
        }
    }

    void backward() {
        const Rows<T> B = vectors(call.B, call.B_stride), C = vectors(call.C, call.C_stride);
        const T* of_group = scores(B, C);
        T *of_B = zeros(rows * n), *of_C = zeros(rows * n), *seen = take(rows * n), *turned = take(n * p);
        T *x = take(rows * p), *g = take(rows * p), *u = take(rows * p), *scaled = take(rows * p), *of_u = take(rows * p);
        T *inputs = take(p * square), *between = take(rows * square), *matrix = take(rows * square);
        T *of_matrix = take(rows * square), *of_scores = zeros(rows * square);
        T *within = take(square), *columns = take(square), *carried = take(square), *leaving = take(square);
        T *driving = take(square);
        for (int64_t head = group * per_group; head < (group + 1) * per_group; ++head) {
            const double whole = decays(head);
            const T *before = state(work.states, head), *after = state(work.adjoints, head);
            copy(x, p, call.x, call.x_stride, head, call.width);
            copy(g, p, call.grad_y, call.grad_y_stride, head, call.width);
            scale(u, x, p, dt);

            // Outputs of the state before the chunk.
            scale(scaled, g, p, since);
            product<T, false>(seen, n, {scaled, p, 1}, before, n, rows, call.width, n);
            for (int64_t t = 0; t < rows; ++t) carried[t] = dot(seen + t * n, C.at + t * C.width, n);
            for (int64_t i = 0; i < rows * n; i += W) store<T>(of_C + i, load(of_C + i) + load(seen + i));

            // Inputs to the state after it.
            scale(scaled, u, p, until);
            product<T, true>(of_B, n, {scaled, p, 1}, after, n, rows, call.width, n);
            turn(turned, p, after, n, call.width, n);
            product<T, false>(of_u, p, {B.at, B.width, 1}, turned, p, rows, call.states, p);
            scale(of_u, of_u, p, until);
            for (int64_t t = 0; t < rows; ++t) leaving[t] = dot(u + t * p, of_u + t * p, p);

            // Within the chunk.
            mask(between, matrix, of_group);
            turn(inputs, square, u, p, rows, p);
            lower(of_matrix, {g, p}, inputs, call.width);
            passages(within, matrix, of_matrix, columns);
            for (int64_t t = 0; t < rows; ++t)
                for (int64_t r = 0, end = reach(t / SSD_ROWS * SSD_ROWS), at = t * square; r < end; r += W)
                    store<T>(of_scores + at + r, load(of_scores + at + r) + load(of_matrix + at + r) * load(between + at + r));
            add_upper(of_u, matrix, g, p, p);
            for (int64_t t = 0; t < rows; ++t) driving[t] = dot(x + t * p, of_u + t * p, p);

            double through = 0;
            for (int64_t q = 0; q < call.width; ++q) through += double(dot(before + q * n, after + q * n, n));
            steps(head, through * whole, within, carried, leaving, driving);

            const T D = call.D ? static_cast<const T*>(call.D)[head] : T(0);
            double of_D = 0;
            for (int64_t t = 0; t < chunk.steps; ++t) {
                T* to = of_head(call.grad_x, t, head);
                int64_t i = 0;
                for (; i + W <= call.width; i += W)
                    store<T>(to + i, load(of_u + t * p + i) * dt[t] + load(g + t * p + i) * D);
                for (; i < call.width; ++i) to[i] = of_u[t * p + i] * dt[t] + g[t * p + i] * D;
                if (call.D) of_D += double(dot(x + t * p, g + t * p, p));
            }
            work.of_D[c * call.heads + head] = of_D;
        }
        add_lower(of_C, of_scores, B.at, B.width, n);
        add_upper(of_B, of_scores, C.at, C.width, n);
        for (int64_t t = 0; t < chunk.steps; ++t) {
            const int64_t at = ((chunk.batch * call.length + chunk.first + t) * call.groups + group) * call.states;
            memcpy(static_cast<T*>(call.grad_B) + at, of_B + t * n, size_t(call.states) * sizeof(T));
            memcpy(static_cast<T*>(call.grad_C) + at, of_C + t * n, size_t(call.states) * sizeof(T));
        }
    }

    // The gradient of an exponent is the sum of all that passes over its step; that of dt and A follow.
    void steps(int64_t head, double through, const T* within, const T* carried, const T* leaving, const T* driving) {
        double* passing = exponent;  // no longer wanted
        double sum = through;
        for (int64_t t = 0; t < chunk.steps; ++t) {
            passing[t] = sum + double(within[t]);
            sum += double(leaving[t]);
        }
        const double A = double(static_cast<const T*>(call.A)[head]);
        double of_A = 0;
        sum = 0;
        for (int64_t t = chunk.steps - 1; t >= 0; --t) {
            sum += double(carried[t]);
            const double of_exponent = passing[t] + sum;
            of_A += of_exponent * double(dt[t]);
            static_cast<T*>(call.grad_dt)[(chunk.batch * call.length + chunk.first + t) * call.heads + head] =
                T(double(driving[t]) + of_exponent * A);
        }
        work.of_A[c * call.heads + head] = of_A;
    }
};

// From what each chunk adds, ``to``, to what each is reached with; in double, so that no rounding adds up over the chunks.
template <typename T>
void carry_through(const SsdWork& work, T* to, const void* given, void* last_one, int64_t sequence, int64_t first,
                   int64_t last, int64_t head, bool back, double* sum) {
    constexpr int W = Vector<T>::lanes;
    typedef double Wide __attribute__((vector_size(W * sizeof(double))));
    const Ssd& call = work.call;
    const int64_t n = ssd_filled(call.states), size = work.state_size();
    const int64_t at = (sequence * call.heads + head) * call.width * call.states;
    for (int64_t i = 0; i < size; ++i) {
        const int64_t q = i / n, k = i % n;
        sum[i] = given && k < call.states ? double(static_cast<const T*>(given)[at + q * call.states + k]) : 0.0;
    }
    for (int64_t j = 0; j < last - first; ++j) {
        const int64_t row = (back ? last - 1 - j : first + j) * call.heads + head;
        const double whole = work.whole[row];
        T* state = to + row * size;
        for (int64_t i = 0; i < size; i += W) {
            Wide reached;
            memcpy(&reached, sum + i, sizeof reached);
            const Wide after = reached * whole + __builtin_convertvector(load(state + i), Wide);
            store<T>(state + i, __builtin_convertvector(reached, Vec<T>));
            memcpy(sum + i, &after, sizeof after);
        }
    }
    if (!last_one) return;
    for (int64_t q = 0; q < call.width; ++q)
        for (int64_t k = 0; k < call.states; ++k)
            static_cast<T*>(last_one)[at + q * call.states + k] = T(sum[q * n + k]);
}

template <typename T>
struct SsdKernelsOf {
    static void gather(const SsdWork& work, int64_t c, int64_t group, bool back, void* scratch) {
        SsdChunkOf<T>(work, c, group, scratch).gather(back);
    }
    static void carry(const SsdWork& work, int64_t sequence, int64_t first, int64_t last, int64_t head, void* scratch) {
        carry_through(work, static_cast<T*>(work.states), work.call.initial, work.call.final, sequence, first, last, head,
                      false, static_cast<double*>(scratch));
    }
    static void carry_back(const SsdWork& work, int64_t sequence, int64_t first, int64_t last, int64_t head,
                           void* scratch) {
        carry_through(work, static_cast<T*>(work.adjoints), work.call.grad_final, work.call.grad_initial, sequence, first,
                      last, head, true, static_cast<double*>(scratch));
    }
    static void forward(const SsdWork& work, int64_t c, int64_t group, void* scratch) {
        SsdChunkOf<T>(work, c, group, scratch).forward();
    }
    static void backward(const SsdWork& work, int64_t c, int64_t group, void* scratch) {
        SsdChunkOf<T>(work, c, group, scratch).backward();
    }
};

#define SSD_KERNELS_OF(T) \
    {SsdKernelsOf<T>::gather, SsdKernelsOf<T>::carry, SsdKernelsOf<T>::carry_back, SsdKernelsOf<T>::forward, \
     SsdKernelsOf<T>::backward}

}  // namespace
}  // namespace statespace
