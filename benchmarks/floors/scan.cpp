// What no selective scan can do without, each alone and from registers: exponentials, and multiply-adds.
//
// The exponentials are the core's own, as it computes them in this instruction set, with VECTOR_BYTES given.
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "../../kernels/native/fields.h"

using namespace statespace;

namespace {

typedef Reals<float> F;
constexpr int W = Vector<float>::lanes, STEPS = 32, STATES = 4;

// Makes the compiler believe that `v` is used, at no cost.
ALWAYS_INLINE void consume(const Vec<float>& v) {
#if defined(__x86_64__)
    asm volatile("" ::"x"(v));
#else
    asm volatile("" ::"w"(v));
#endif
}

void exponentials(int64_t vectors) {
    float steps[STEPS * W], poles[STATES * W];
    for (int i = 0; i < STEPS * W; ++i) steps[i] = 0.001f * float(1 + i % 97);
    for (int i = 0; i < STATES * W; ++i) F::pole(poles + i, W, -float(1 + i / W), 0.f);
    F::Pole pole[STATES];
    for (int k = 0; k < STATES; ++k) pole[k] = F::load_pole(poles + k * W);
    for (int64_t done = 0; done < vectors; done += STEPS * STATES)
        for (int t = 0; t < STEPS; ++t) {
            const Vec<float> delta = load(steps + t * W);
#pragma GCC unroll 4
            for (int k = 0; k < STATES; ++k) consume(F::decay(delta, pole[k]).re);
        }
}

void multiply_adds(int64_t vectors) {
    constexpr int CHAINS = 10;  // as many as hide the latency of two units, and fit into 16 registers
    Vec<float> sums[CHAINS] = {}, a = splat<float>(0.5f), b = splat<float>(0.25f);
    consume(a), consume(b);
    for (int64_t done = 0; done < vectors; done += CHAINS) {
#pragma GCC unroll 10
        for (int k = 0; k < CHAINS; ++k) sums[k] = sums[k] * a + b;
    }
    for (const Vec<float>& sum : sums) consume(sum);
}

void on_each(int64_t threads, void (*body)(int64_t), int64_t vectors) {
    std::vector<std::thread> helpers;
    for (int64_t thread = 1; thread < threads; ++thread) helpers.emplace_back(body, vectors / threads);
    body(vectors / threads);
    for (std::thread& helper : helpers) helper.join();
}

}  // namespace

extern "C" {
int lanes() { return W; }
void run_exponentials(int64_t vectors, int64_t threads) { on_each(threads, exponentials, vectors); }
void run_multiply_adds(int64_t vectors, int64_t threads) { on_each(threads, multiply_adds, vectors); }
}
