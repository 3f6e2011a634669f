// The linear scan over the columns of one piece. Memory sets the pace, so rows are read and written as they lie.
#pragma once

#include "linear_scan.h"
#include "numbers.h"

namespace statespace {
namespace {

// The rows of a piece go by in tiles of about a page of each array. Wide rows are so a tile each, and pass in the order
// of memory; a tile of narrow ones keeps the states of a group of columns in registers.
constexpr int64_t TILE_BYTES = 4096;
// The most rows of a tile, and rows between two additions to sums in double.
constexpr int64_t MOST_ROWS = 64;

template <typename T>
int64_t rows_per_tile(int64_t width) {
    const int64_t rows = TILE_BYTES / (width * int64_t(sizeof(T)));
    return rows < 1 ? 1 : rows > MOST_ROWS ? MOST_ROWS : rows;
}

// Rows of an array, a given number of T apart.
template <typename P>
struct Rows {
    P* at;
    int64_t stride;
    ALWAYS_INLINE P* operator[](int64_t row) const { return at + row * stride; }
    ALWAYS_INLINE Rows from(int64_t row, int64_t column) const { return {at + row * stride + column, stride}; }
};

// The arrays of a call at the first row of a piece.
template <typename T, int parts>
struct View {
    const LinearScan& call;
    const LinearPiece& piece;
    const int64_t d = call.channels * parts;

    Rows<const T> strided(const void* array, const int64_t* stride) const {
        return Rows<const T>{static_cast<const T*>(array) + piece.batch * stride[0] * parts, stride[1] * parts}.from(
            piece.first, 0);
    }
    Rows<T> contiguous(void* array) const {
        return Rows<T>{static_cast<T*>(array) + piece.batch * call.length * d, d}.from(piece.first, 0);
    }
    Rows<const T> a() const { return strided(call.a, call.a_stride); }
    Rows<const T> b() const { return strided(call.b, call.b_stride); }
    Rows<const T> grad_h() const { return strided(call.grad_h, call.grad_h_stride); }
};

template <class Number, int groups>
struct Group {
    using N = Number;
    static constexpr int G = groups, width = groups * N::width;
};

template <class G, typename Body>
ALWAYS_INLINE void groups_of(int64_t& column, int64_t end, const Body& body) {
    for (; column + G::width <= end; column += G::width) body(G{}, column);
}

// body(group, column) over the columns: four vectors together hide the latency of one, and so do four scalars.
template <class Vector, class Scalar, typename Body>
ALWAYS_INLINE void over_columns(int64_t column, int64_t end, const Body& body) {
    groups_of<Group<Vector, 4>>(column, end, body);
    groups_of<Group<Vector, 1>>(column, end, body);
    groups_of<Group<Scalar, 4>>(column, end, body);
    groups_of<Group<Scalar, 1>>(column, end, body);
}

// h <- a h + b, and the rows of h.
template <class Group, typename T = typename Group::N::Element>
ALWAYS_INLINE void advance(Rows<const T> a, Rows<const T> b, Rows<T> h, int64_t rows, T* state) {
    using N = typename Group::N;
    N s[Group::G];
    for (int g = 0; g < Group::G; ++g) s[g] = N::read(state + g * N::width);
    for (int64_t t = 0; t < rows; ++t) {
#pragma GCC unroll 4
        for (int g = 0; g < Group::G; ++g) {
            const int at = g * N::width;
            s[g] = N::read(b[t] + at).plus_product(N::read(a[t] + at), s[g]);
            s[g].write(h[t] + at);
        }
    }
    for (int g = 0; g < Group::G; ++g) s[g].write(state + g * N::width);
}

template <class Vector, class Scalar, typename T = typename Vector::Element>
void forward(const LinearScan& call, const LinearPiece& piece, int64_t first, int64_t width, void* states) {
    const View<T, Scalar::width> view{call, piece};
    const Rows<const T> a = view.a(), b = view.b();
    const Rows<T> h = view.contiguous(call.h);
    T* state = static_cast<T*>(states) - first;
    const int64_t tile = rows_per_tile<T>(width);
    for (int64_t t = 0; t < piece.steps; t += tile) {
        const int64_t rows = piece.steps - t < tile ? piece.steps - t : tile;
        over_columns<Vector, Scalar>(first, first + width, [&](auto group, int64_t column) {
            advance<decltype(group)>(a.from(t, column), b.from(t, column), h.from(t, column), rows, state + column);
        });
    }
    for (int64_t t = piece.steps; t < piece.steps + piece.hold; ++t) memcpy(h[t] + first, states, width * sizeof(T));
}

// From a state of zero over the rows, forwards or back, and the product of a.
template <class Group, bool back, typename T = typename Group::N::Element>
ALWAYS_INLINE void pass(Rows<const T> a, Rows<const T> b, int64_t rows, T* state, T* product) {
    using N = typename Group::N;
    N s[Group::G], p[Group::G];
    for (int g = 0; g < Group::G; ++g) {
        s[g] = N::read(state + g * N::width);
        p[g] = N::read(product + g * N::width);
    }
    for (int64_t i = 0; i < rows; ++i) {
        const int64_t t = back ? rows - 1 - i : i;
#pragma GCC unroll 4
        for (int g = 0; g < Group::G; ++g) {
            const int at = g * N::width;
            const N decay = back ? N::read(a[t] + at).conj() : N::read(a[t] + at), in = N::read(b[t] + at);
            s[g] = back ? decay.times(in.plus(s[g])) : in.plus_product(decay, s[g]);
            p[g] = p[g].times(decay);
        }
    }
    for (int g = 0; g < Group::G; ++g) {
        s[g].write(state + g * N::width);
        p[g].write(product + g * N::width);
    }
}

// The gradients of the rows in which the state is held all come to the last state, summed in double.
template <typename T>
void collect(Rows<const T> grad_h, const LinearPiece& piece, int64_t first, int64_t width, T* state) {
    if (!piece.hold) return;
    double total[WIDEST_BYTES / sizeof(T)] = {};
    for (int64_t t = piece.steps; t < piece.steps + piece.hold; ++t)
        for (int64_t j = 0; j < width; ++j) total[j] += grad_h[t][first + j];
    for (int64_t j = 0; j < width; ++j) state[j] += T(total[j]);
}

template <class Vector, class Scalar, bool back, typename T = typename Vector::Element>
void transfer(const LinearScan& call, const LinearPiece& piece, int64_t first, int64_t width, void* states, void* products) {
    const View<T, Scalar::width> view{call, piece};
    const Rows<const T> a = view.a(), b = back ? view.grad_h() : view.b();
    T *state = static_cast<T*>(states) - first, *product = static_cast<T*>(products) - first;
    for (int64_t column = first; column < first + width; ++column) {
        state[column] = 0;
        product[column] = column % Scalar::width ? 0 : 1;
    }
    if (back) collect(b, piece, first, width, state + first);
    const int64_t tile = rows_per_tile<T>(width);
    for (int64_t done = 0; done < piece.steps; done += tile) {
        const int64_t rows = piece.steps - done < tile ? piece.steps - done : tile;
        const int64_t t = back ? piece.steps - done - rows : done;
        over_columns<Vector, Scalar>(first, first + width, [&](auto group, int64_t column) {
            pass<decltype(group), back>(a.from(t, column), b.from(t, column), rows, state + column, product + column);
        });
    }
}

// With q = conj(a) g of the step after: g <- grad_h + q, the gradient of b; g conj(h) of the step before, that of a.
template <class Group, bool summed, typename T = typename Group::N::Element>
ALWAYS_INLINE void retreat(Rows<const T> a, Rows<const T> grad_h, Rows<const T> before, Rows<T> grad_b, Rows<T> grad_a,
                           int64_t rows, T* state, T* sum) {
    using N = typename Group::N;
    N q[Group::G], total[Group::G];
    for (int g = 0; g < Group::G; ++g) {
        q[g] = N::read(state + g * N::width);
        if (summed) total[g] = N::read(sum + g * N::width);
    }
    for (int64_t t = rows - 1; t >= 0; --t) {
#pragma GCC unroll 4
        for (int g = 0; g < Group::G; ++g) {
            const int at = g * N::width;
            const N grad = N::read(grad_h[t] + at).plus(q[g]), last = N::read(before[t] + at).conj();
            grad.write(grad_b[t] + at);
            if (summed)
                total[g] = total[g].plus_product(last, grad);
            else
                last.times(grad).write(grad_a[t] + at);
            q[g] = N::read(a[t] + at).conj().times(grad);
        }
    }
    for (int g = 0; g < Group::G; ++g) {
        q[g].write(state + g * N::width);
        if (summed) total[g].write(sum + g * N::width);
    }
}

template <class Vector, class Scalar, bool summed, typename T>
void backward_piece(const View<T, Scalar::width>& view, int64_t first, int64_t width, T* state, double* sums, T* scratch) {
    const LinearScan& call = view.call;
    const LinearPiece& piece = view.piece;
    const Rows<const T> a = view.a(), grad_h = view.grad_h();
    const Rows<T> h = view.contiguous(call.h), grad_b = view.contiguous(call.grad_b);
    const Rows<T> grad_a = summed ? grad_b : view.contiguous(call.grad_a);
    T *zeros = scratch, *sum = scratch + width;
    memset(scratch, 0, 2 * width * sizeof(T));
    const T* initial = call.initial ? static_cast<const T*>(call.initial) + piece.sequence * view.d + first : zeros;

    collect(grad_h, piece, first, width, state);
    for (int64_t t = piece.steps; t < piece.steps + piece.hold; ++t) {
        memset(grad_b[t] + first, 0, width * sizeof(T));
        memset(grad_a[t] + first, 0, width * sizeof(T));
    }
    auto back = [&](Rows<const T> before, int64_t t, int64_t rows) {
        over_columns<Vector, Scalar>(first, first + width, [&](auto group, int64_t column) {
            const int64_t at = column - first;
            retreat<decltype(group), summed>(a.from(t, column), grad_h.from(t, column), before.from(0, at),
                                             grad_b.from(t, column), grad_a.from(t, column), rows, state + at, sum + at);
        });
    };
    const int64_t tile = rows_per_tile<T>(width);
    int64_t since = 0;
    for (int64_t end = piece.steps; end > 0;) {
        const int64_t t = end > tile ? end - tile : 0, begin = t == 0 && piece.begins ? 1 : t;
        if (end > begin) back({h[begin - 1] + first, h.stride}, begin, end - begin);
        if (begin > t) back({initial, 0}, 0, 1);
        since += end - t;
        end = t;
        if (summed && (since >= MOST_ROWS || end == 0)) {
            for (int64_t j = 0; j < width; ++j) sums[j] += sum[j];
            memset(sum, 0, width * sizeof(T));
            since = 0;
        }
    }
}

template <class Vector, class Scalar, typename T = typename Vector::Element>
void backward(const LinearScan& call, const LinearPiece& piece, int64_t first, int64_t width, void* state, double* sums,
              void* scratch) {
    const View<T, Scalar::width> view{call, piece};
    auto run = call.grad_a ? backward_piece<Vector, Scalar, false, T> : backward_piece<Vector, Scalar, true, T>;
    run(view, first, width, static_cast<T*>(state), sums, static_cast<T*>(scratch));
}

}  // namespace
}  // namespace statespace

// The kernels above as the table of an instruction set.
#define KERNELS_OF(Vector, Scalar) \
    { forward<Vector, Scalar>, transfer<Vector, Scalar, false>, transfer<Vector, Scalar, true>, backward<Vector, Scalar> }
#define LINEAR_SCAN_KERNELS                                                                       \
    {{KERNELS_OF(RealVector<float>, RealScalar<float>), KERNELS_OF(RealVector<double>, RealScalar<double>)}, \
     {KERNELS_OF(ComplexVector<float>, ComplexScalar<float>),                                     \
      KERNELS_OF(ComplexVector<double>, ComplexScalar<double>)}}
