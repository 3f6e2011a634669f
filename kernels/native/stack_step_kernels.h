// The operations of a stack's step, row by row, with channels in the lanes of a vector.
//
// Rows are filled up with zeros to whole panels, and so are constants: there are no remainders. A fill stays zero, or is
// multiplied by a constant that is.
#pragma once

#include "fields.h"
#include "selective_state_update.h"
#include "stack_step.h"
#include "stack_step_product.h"

namespace statespace {
namespace {

// An instruction as one stream sees it: its rows in the workspace, and its state.
template <typename T>
struct Row {
    static constexpr int W = Vector<T>::lanes;
    const StackInstruction& is;
    T* workspace;
    int64_t stream;
    T* aside;  // where a state is written that shall not last; null where it shall
    bool known = true;  // whether the sample is there; else this is a gap

    T* to() const { return workspace + is.to; }
    const T* from(int i) const { return is.from[i] < 0 ? nullptr : workspace + is.from[i]; }
    const T* constants() const { return static_cast<const T*>(is.constants); }
    const T* state(int64_t numbers) const { return static_cast<const T*>(is.state) + stream * numbers; }
    T* next(int64_t numbers) const { return aside ? aside : static_cast<T*>(is.state) + stream * numbers; }
    int64_t width() const { return is.panels * PANEL; }
};

template <typename T>
ALWAYS_INLINE T total(const Vec<T>& v) {
    T sum = 0, lane[Vector<T>::lanes];
    store<T>(lane, v);
    for (int j = 0; j < Vector<T>::lanes; ++j) sum += lane[j];
    return sum;
}

// y = weight (x - mean) / sqrt(variance + eps) + bias. Constants: ones where there are channels, weight, bias; eps. With
// option 1, mean is 0 (RMSNorm); with 2, y is 0 in a gap.
template <typename T>
void norm(const Row<T>& row) {
    constexpr int W = Row<T>::W;
    const int64_t width = row.width();
    const T *x = row.from(0), *there = row.constants(), *weight = there + width, *bias = weight + width;
    const T eps = bias[width];
    Vec<T> sum = {}, squares = {};
    if (row.is.option & 2 && !row.known) {
        for (int64_t j = 0; j < width; j += W) store<T>(row.to() + j, Vec<T>{});
        return;
    }
    if (!(row.is.option & 1))
        for (int64_t j = 0; j < width; j += W) sum = sum + load(x + j);
    const T mean = total<T>(sum) / T(row.is.inputs);
    for (int64_t j = 0; j < width; j += W) {
        const Vec<T> centred = (load(x + j) - mean) * load(there + j);
        squares = squares + centred * centred;
    }
    const T scale = 1 / T(__builtin_sqrt(total<T>(squares) / T(row.is.inputs) + eps));
    for (int64_t j = 0; j < width; j += W)
        store<T>(row.to() + j, (load(x + j) - mean) * scale * load(weight + j) + load(bias + j));
}

// y = act(bias + sum_k taps[k] window[k]), where the window is the state, oldest sample first, and then x; option 1: SiLU.
// Constants: bias, then the taps (states + 1, d). State: (states, d).
template <typename T>
void convolution(const Row<T>& row) {
    constexpr int W = Row<T>::W;
    const int64_t width = row.width(), past = row.is.states;
    const T *x = row.from(0), *bias = row.constants(), *taps = bias + width;
    const T* state = row.state(past * width);
    T* next = row.next(past * width);
    for (int64_t j = 0; j < width; j += W) {
        const Vec<T> now = load(x + j);
        Vec<T> sum = load(bias + j);
        for (int64_t k = 0; k < past; ++k) {
            sum = sum + load(taps + k * width + j) * load(state + k * width + j);
            store<T>(next + k * width + j, k + 1 < past ? load(state + (k + 1) * width + j) : now);
        }
        sum = sum + load(taps + past * width + j) * now;
        store<T>(row.to() + j, row.is.option ? sum * logistic<T>(sum) : sum);
    }
}

// The selective state space model: kernels/selective_state_update derives it. Rows: x, delta before its softplus, B, C, gate.
// Constants: D, then A in panels (panels, states, PANEL). State: like A. Option: an UpdateRule.
template <typename T, int64_t rule>
void selective_by(const Row<T>& row) {
    constexpr int W = Row<T>::W;
    using Field = Reals<T>;
    const int64_t width = row.width(), n = row.is.states;
    const T *x = row.from(0), *step = row.from(1), *B = row.from(2), *C = row.from(3), *gate = row.from(4);
    const T *D = row.constants(), *A = D + width;
    const T* state = row.state(width * n);
    T* next = row.next(width * n);
    for (int64_t j = 0; j < width; j += W) {
        const Vec<T> delta = softplus<T>(load(step + j)), u = load(x + j), input = delta * u;
        const int64_t panel = j / PANEL * PANEL * n + j % PANEL;
        Vec<T> sum = {};
        for (int64_t k = 0; k < n; ++k) {
            const typename Field::Pole pole = {load(A + panel + k * PANEL) * Constants<T>::log2e};
            const Vec<T> before = load(state + panel + k * PANEL), decay = Field::decay(delta, pole).re;  // exp(delta A) - 1
            Vec<T> drive = input * B[k];
            if (rule == UPDATE_ZOH) {
                const Vec<T> exponent = Field::exponent(delta, pole).re;
                const Ints<T> still = exponent == 0;  // the input adds up where nothing decays
                drive = drive * (still ? splat<T>(T(1)) : decay / (still ? splat<T>(T(1)) : exponent));
            }
            const Vec<T> now = before + decay * before + drive;
            store<T>(next + panel + k * PANEL, now);
            sum = sum + (rule == UPDATE_EXPONENTIAL_TRAPEZOIDAL ? now - T(0.5) * drive : now) * C[k];
        }
        Vec<T> y = sum + load(D + j) * u;
        if (gate) {
            const Vec<T> z = load(gate + j);
            y = y * (z * logistic<T>(z));
        }
        store<T>(row.to() + j, y);
    }
}

template <typename T>
void selective(const Row<T>& row) {
    if (row.is.option == UPDATE_EULER_B)
        selective_by<T, UPDATE_EULER_B>(row);
    else if (row.is.option == UPDATE_ZOH)
        selective_by<T, UPDATE_ZOH>(row);
    else
        selective_by<T, UPDATE_EXPONENTIAL_TRAPEZOIDAL>(row);
}

// h <- a h + b x, y = Re sum_n c h + D x, where a = pole + rest, and rest is what the rounding of the pole cut off. Constants:
// D, then pole, rest, b and c in panels (panels, states, 4 complex, PANEL). State: (panels, states, 1 complex, PANEL). With
// `asked`, what another sample would give in place of x: what becomes of h is the same for both.
template <typename T, bool asks>
void diagonal_by(const Row<T>& row, const Row<T>* asked) {
    constexpr int W = Row<T>::W;
    const int64_t width = row.width(), n = row.is.states;
    const T *x = row.from(0), *question = asks ? asked->from(0) : nullptr, *D = row.constants(), *coefficients = D + width;
    const T* state = row.state(2 * width * n);
    T* next = row.next(2 * width * n);
    for (int64_t j = 0; j < width; j += W) {
        const Vec<T> u = load(x + j), v = asks ? load(question + j) : u;
        const int64_t panel = j / PANEL * PANEL * n;
        const T* c = coefficients + 8 * panel + j % PANEL;
        const T* h = state + 2 * panel + j % PANEL;
        T* to = next + 2 * panel + j % PANEL;
        Vec<T> sum = load(D + j) * u, answer = load(D + j) * v;
        for (int64_t k = 0; k < n; ++k, c += 8 * PANEL, h += 2 * PANEL, to += 2 * PANEL) {
            const Vec<T> re = load(h), im = load(h + PANEL);
            const Vec<T> pole_re = load(c), pole_im = load(c + PANEL);
            const Vec<T> rest_re = load(c + 2 * PANEL), rest_im = load(c + 3 * PANEL);
            const Vec<T> drive_re = load(c + 4 * PANEL), drive_im = load(c + 5 * PANEL);
            const Vec<T> look_re = load(c + 6 * PANEL), look_im = load(c + 7 * PANEL);
            const Vec<T> cut_re = rest_re * re - rest_im * im, cut_im = rest_re * im + rest_im * re;
            // What is small comes first: a slow pole is then rounded once at the size of the state, and not twice.
            const Vec<T> turned_re = cut_re - pole_im * im, turned_im = cut_im + pole_im * re;
            const Vec<T> now_re = pole_re * re + (drive_re * u + turned_re);
            const Vec<T> now_im = pole_re * im + (drive_im * u + turned_im);
            store<T>(to, now_re);
            store<T>(to + PANEL, now_im);
            sum = sum + look_re * now_re - look_im * now_im;
            if (asks) {
                const Vec<T> then_re = pole_re * re + (drive_re * v + turned_re);
                const Vec<T> then_im = pole_re * im + (drive_im * v + turned_im);
                answer = answer + look_re * then_re - look_im * then_im;
            }
        }
        store<T>(row.to() + j, sum);
        if (asks) store<T>(asked->to() + j, answer);
    }
}

template <typename T>
void diagonal(const Row<T>& row) {
    diagonal_by<T, false>(row, nullptr);
}

// What each channel of a vector from `first` on reads where so many of `channels` share a number, `stride` apart.
template <typename T>
ALWAYS_INLINE Vec<T> shared(const T* from, int64_t first, int64_t channels, int64_t sharing, int64_t stride) {
    T lane[Vector<T>::lanes];
    for (int64_t j = 0; j < Vector<T>::lanes; ++j)
        lane[j] = from[(first + j < channels ? first + j : channels - 1) / sharing * stride];
    return load(lane);
}

// Heads with one decay each: h <- exp(delta A) h + delta x B, y = h C + D x, a panel at a time. Rows: x, delta of each head
// before its softplus, B and C of each group. Constants, by channel: D, A, and what delta is multiplied by, 0 behind the
// channels; then the bounds of delta. State: (panels, states, PANEL). `uniform`: a panel lies within one group.
template <typename T, bool uniform>
void heads_by(const Row<T>& row) {
    constexpr int W = Row<T>::W, V = PANEL / W;
    using Field = Reals<T>;
    const int64_t width = row.width(), n = row.is.states, channels = row.is.inputs, head = row.is.option;
    const int64_t group = channels / row.is.groups;
    const T *x = row.from(0), *step = row.from(1), *D = row.constants(), *A = D + width, *scale = A + width;
    const T low = scale[width], high = scale[width + 1];
    const T* h = row.state(width * n);
    T* next = row.next(width * n);
    for (int64_t first = 0; first < width; first += PANEL) {
        const T *B = row.from(2), *C = row.from(3);
        if (uniform) B += first / group * n, C += first / group * n;
        Vec<T> decay[V], input[V], sum[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            const int64_t j = first + v * W;
            const Vec<T> raw = head % PANEL ? shared(step, j, channels, head, 1) : splat<T>(step[first / head]);
            Vec<T> delta = softplus<T>(raw);
            delta = delta < low ? splat<T>(low) : delta;
            delta = (delta > high ? splat<T>(high) : delta) * load(scale + j);
            decay[v] = Field::decay(delta, {load(A + j) * Constants<T>::log2e}).re;  // exp(delta A) - 1
            input[v] = delta * load(x + j);
            sum[v] = Vec<T>{};
        }
        for (int64_t k = 0; k < n; ++k, h += PANEL, next += PANEL) {
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) {
                const int64_t j = first + v * W;
                const Vec<T> b = uniform ? splat<T>(B[k]) : shared(B + k, j, channels, group, n);
                const Vec<T> c = uniform ? splat<T>(C[k]) : shared(C + k, j, channels, group, n);
                const Vec<T> before = load(h + v * W), now = before + (decay[v] * before + input[v] * b);
                store<T>(next + v * W, now);
                sum[v] = sum[v] + now * c;
            }
        }
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            const int64_t j = first + v * W;
            store<T>(row.to() + j, sum[v] + load(D + j) * load(x + j));
        }
    }
}

template <typename T>
void heads(const Row<T>& row) {
    if (row.is.groups == 1 || row.is.inputs / row.is.groups % PANEL == 0)
        heads_by<T, true>(row);
    else
        heads_by<T, false>(row);
}

// y = weight x / sqrt(mean x^2 + eps), the mean being over a group of channels. Constants: ones where the channels of a group
// are, (groups, d), weight, eps.
template <typename T>
void group_norm(const Row<T>& row) {
    constexpr int W = Row<T>::W;
    const int64_t width = row.width(), groups = row.is.groups;
    const T *x = row.from(0), *there = row.constants(), *weight = there + groups * width;
    const T eps = weight[width], count = T(row.is.inputs / groups);
    for (int64_t j = 0; j < width; j += W) store<T>(row.to() + j, Vec<T>{});
    for (int64_t g = 0; g < groups; ++g, there += width) {
        Vec<T> squares = {};
        for (int64_t j = 0; j < width; j += W) squares = squares + load(x + j) * load(x + j) * load(there + j);
        const T scale = 1 / T(__builtin_sqrt(total<T>(squares) / count + eps));
        for (int64_t j = 0; j < width; j += W)
            store<T>(row.to() + j, load(row.to() + j) + load(x + j) * load(weight + j) * (scale * load(there + j)));
    }
}

// y = body(j) for each vector of the row.
template <typename T, typename Body>
ALWAYS_INLINE void each(const Row<T>& row, const Body& body) {
    for (int64_t j = 0; j < row.width(); j += Row<T>::W) store<T>(row.to() + j, body(j));
}

template <typename T>
void elementwise(const Row<T>& row) {
    const T *x = row.from(0), *with = row.from(1), *plus = row.from(2);
    switch (row.is.operation) {
        case GELU: return each<T>(row, [&](int64_t j) { return load(x + j) * normal_cdf<T>(load(x + j)); });
        case GLU:  // x sigma(with), added to `plus` if that is there
            return each<T>(row, [&](int64_t j) {
                const Vec<T> y = load(x + j) * logistic<T>(load(with + j));
                return plus ? y + load(plus + j) : y;
            });
        case GATE:  // x SiLU(with)
            return each<T>(row, [&](int64_t j) {
                const Vec<T> z = load(with + j);
                return load(x + j) * (z * logistic<T>(z));
            });
        default: return each<T>(row, [&](int64_t j) { return load(x + j) + load(with + j); });
    }
}

// Which streams have a sample.
struct Known {
    const uint8_t* first = nullptr;
    int64_t stride = 0;

    bool at(int64_t i) const { return !first || first[i * stride]; }
};

// An instruction for some streams. With `aside`, where a state may be written, the rows ask, and states stay as they are.
template <typename T>
void execute(const StackInstruction& is, T* workspace, int64_t first, int64_t count, int64_t width, T* aside, Known known) {
    if (is.operation == LINEAR) {  // constants: bias, then the matrix in panels; the second row is added if it is there
        const Row<T> row{is, workspace, first, aside};
        return linear<T>(row.to(), row.from(1), row.from(0), row.constants(), row.constants() + row.width(), count, is.panels,
                         is.inputs, width);
    }
    void (*const one)(const Row<T>&) = is.operation == NORM          ? norm<T>
                                       : is.operation == CONVOLUTION ? convolution<T>
                                       : is.operation == SELECTIVE   ? selective<T>
                                       : is.operation == DIAGONAL    ? diagonal<T>
                                       : is.operation == HEADS       ? heads<T>
                                       : is.operation == GROUP_NORM  ? group_norm<T>
                                                                     : elementwise<T>;
    for (int64_t i = 0; i < count; ++i) one({is, workspace + i * width, first + i, aside, known.at(i)});
}

// A sample that asks, and the one that is taken after it.
template <typename T>
void execute_both(const StackInstruction& is, T* asked, T* taken, int64_t first, int64_t count, int64_t width, T* aside,
                  Known known) {
    if (is.operation != DIAGONAL) {
        execute<T>(is, asked, first, count, width, aside, {});
        return execute<T>(is, taken, first, count, width, nullptr, known);
    }
    for (int64_t i = 0; i < count; ++i) {
        const Row<T> question{is, asked + i * width, first + i, aside};
        diagonal_by<T, true>({is, taken + i * width, first + i, nullptr}, &question);
    }
}

template <typename T>
void run(const StackStep& call, int64_t first, int64_t count, void* memory) {
    const int64_t rows = STREAMS * call.width;
    T *const asked = static_cast<T*>(memory), *const taken = call.asks ? asked + rows : asked, *const aside = taken + rows;
    memset(memory, 0, size_t((call.asks ? 2 : 1) * rows) * sizeof(T));
    const T* x = static_cast<const T*>(call.x) + first * call.x_stride[0];
    T* y = static_cast<T*>(call.y) + first * call.y_stride[0];
    const auto enter = [&](T* workspace) {
        for (int64_t i = 0; i < count; ++i)
            memcpy(workspace + i * call.width + call.from, x + i * call.x_stride[0], size_t(call.inputs) * sizeof(T));
        x += call.x_stride[1];
    };
    const auto leave = [&](const T* workspace) {
        for (int64_t i = 0; i < count; ++i)
            memcpy(y + i * call.y_stride[0], workspace + i * call.width + call.to, size_t(call.outputs) * sizeof(T));
        y += call.y_stride[1];
    };
    for (int64_t t = 0; t < call.length; ++t) {
        enter(asked);
        const bool both = call.asks && t + 1 < call.length;
        if (both) enter(taken);
        Known known;
        if (call.known && (both || !call.asks))
            known = {call.known + first * call.known_stride[0] + (both ? t / 2 : t) * call.known_stride[1],
                     call.known_stride[0]};
        for (int64_t k = 0; k < call.count; ++k) {
            const StackInstruction& is = call.instructions[k];
            if (both)
                execute_both<T>(is, asked, taken, first, count, call.width, aside, known);
            else
                execute<T>(is, asked, first, count, call.width, call.asks ? aside : nullptr, known);
        }
        leave(asked);
        if (both) ++t;
    }
}

}  // namespace
}  // namespace statespace

#define STACK_STEP_KERNELS                                    \
    {                                                         \
        {sizeof(float), run<float>}, {sizeof(double), run<double>}, \
    }
