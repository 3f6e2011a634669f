// Random calls of the compiled core, built with sanitizers: whoever reads or writes a byte that is not his ends the run.
//
// An operation takes part with one file: it fills its call with random sizes, strides and numbers, declares its results,
// and registers itself. Each call is made twice, with one thread and with several, into memory that held different
// garbage; the results must be the same bytes, so all of them were written, by whatever number of threads.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace fuzz {

// The operation and the seed of the call that runs.
inline char* last_words() {
    static char words[128];
    return words;
}

[[noreturn]] inline void fail(const char* what) {
    std::fprintf(stderr, "fuzz: %s: %s\n", last_words(), what);
    std::abort();
}

class Random {
    std::mt19937_64 engine;

public:
    explicit Random(uint64_t seed) : engine(seed) {}
    // Small numbers and the ends of the range more often than the rest: that is where the special cases are.
    int64_t size(int64_t least, int64_t most) {
        const int64_t span = most - least;
        switch (engine() % 4) {
            case 0: return least + int64_t(engine() % uint64_t(span < 4 ? span + 1 : 4));
            case 1: return most - int64_t(engine() % uint64_t(span < 4 ? span + 1 : 4));
            default: return least + int64_t(engine() % uint64_t(span + 1));
        }
    }
    bool coin() { return engine() & 1; }
    uint64_t bits() { return engine(); }
    double uniform() { return double(engine() >> 11) * 0x1p-52 - 1; }  // in [-1, 1)
    template <typename T>
    T one_of(std::initializer_list<T> choices) {
        return choices.begin()[engine() % choices.size()];
    }
};

// Memory of exactly so many bytes, off the boundaries that the system's own allocator keeps.
class Block {
    char* memory;
    size_t shift;

public:
    Block(size_t bytes, size_t shift) : memory(static_cast<char*>(std::malloc(bytes + shift))), shift(shift) {}
    ~Block() { std::free(memory); }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    char* get() const { return memory + shift; }
};

// How the numbers of an array are stored.
enum Kind : int64_t { FLOAT, DOUBLE, HALF, FLAG };
inline int64_t bytes_of(int64_t kind) { return kind == DOUBLE ? 8 : kind == FLOAT ? 4 : kind == HALF ? 2 : 1; }

// The arguments and results of one call.
class Call {
    Random& random;
    std::deque<Block> inputs;
    struct Result {
        void** at;
        size_t bytes;
        const void* before;  // what the call changes, or null for garbage
    };
    std::vector<Result> results;

public:
    explicit Call(Random& random) : random(random) {}

    // Numbers in [-scale, scale); halves are any bits, infinities and NaN included.
    const void* numbers(int64_t count, int64_t kind, double scale = 1, double offset = 0) {
        const size_t size = size_t(bytes_of(kind));
        inputs.emplace_back(size_t(count) * size, random.coin() ? size : 0);
        char* memory = inputs.back().get();
        for (int64_t i = 0; i < count; ++i) {
            const double value = offset + scale * random.uniform();
            const float narrow = float(value);
            const uint64_t bits = random.bits();
            std::memcpy(memory + size_t(i) * size,
                        kind == DOUBLE ? (const void*)&value : kind == FLOAT ? (const void*)&narrow : &bits, size);
        }
        return memory;
    }
    const void* maybe(int64_t count, int64_t kind, double scale = 1) {
        return random.coin() ? numbers(count, kind, scale) : nullptr;
    }

    // An array with axes of these sizes, each with a stride: in any order, stretched (by multiples of `grain`), or none at
    // all (expanded).
    template <size_t N>
    const void* strided(const int64_t (&sizes)[N], int64_t (&strides)[N], int64_t kind, bool last_contiguous = false,
                        int64_t grain = 1) {
        size_t order[N];
        for (size_t i = 0; i < N; ++i) order[i] = i;
        for (size_t i = N - last_contiguous; i > 1; --i) std::swap(order[i - 1], order[random.bits() % i]);
        int64_t stride = 1, extent = 1;
        for (size_t i = N; i-- > 0;) {
            const size_t axis = order[i];
            const bool expanded = random.bits() % 8 == 0 && !(last_contiguous && axis == N - 1);
            strides[axis] = expanded ? 0 : stride;
            if (expanded) continue;
            const int64_t size = sizes[axis] > 0 ? sizes[axis] : 1;
            extent += (size - 1) * stride;
            stride *= size;
            if (random.bits() % 4 == 0) stride += grain * random.size(0, 5);
        }
        int64_t count = 1;
        for (int64_t size : sizes) count *= size;
        return numbers(count ? extent : 0, kind);
    }

    // `count` bounds or lengths, from a range that may go beyond what the arrays hold: the core clamps them.
    const int64_t* integers(int64_t count, int64_t least, int64_t most) {
        inputs.emplace_back(size_t(count) * 8, 0);
        auto* memory = reinterpret_cast<int64_t*>(inputs.back().get());
        for (int64_t i = 0; i < count; ++i) memory[i] = random.size(least, most);
        return memory;
    }

    // What the call writes for a later one to read; it need not write all of it.
    void* workspace(int64_t count, int64_t kind) { return const_cast<void*>(numbers(count, kind)); }

    // What the call writes, all of it.
    template <typename T>
    void result(T*& at, int64_t count, int64_t kind) {
        results.push_back({reinterpret_cast<void**>(&at), size_t(count * bytes_of(kind)), nullptr});
    }
    // What the call reads and then writes.
    template <typename T>
    void changed(T*& at, int64_t count, int64_t kind) {
        results.push_back({reinterpret_cast<void**>(&at), size_t(count * bytes_of(kind)), numbers(count, kind)});
    }

    // Makes the call twice. `threads` is the field of the call that says how many.
    template <typename Body>
    void check(int64_t& threads, const Body& body) {
        std::deque<Block> memory[2];
        for (int round = 0; round < 2; ++round) {
            threads = round ? random.size(2, 5) : 1;
            for (const Result& result : results) {
                Block& block = memory[round].emplace_back(result.bytes, 0);
                if (result.before)
                    std::memcpy(block.get(), result.before, result.bytes);
                else
                    std::memset(block.get(), round ? 0x5b : 0xa4, result.bytes);
                *result.at = block.get();
            }
            if (body() != 0) fail("a call ran out of memory");
        }
        for (size_t i = 0; i < results.size(); ++i)
            if (std::memcmp(memory[0][i].get(), memory[1][i].get(), results[i].bytes) != 0)
                fail(("result " + std::to_string(i) + " depends on the number of threads, or was not written").c_str());
        results.clear();
    }
};

struct Operation {
    const char* name;
    std::function<void(Random&)> body;
};

inline std::vector<Operation>& operations() {
    static std::vector<Operation> list;
    return list;
}

struct Register {
    Register(const char* name, std::function<void(Random&)> body) { operations().push_back({name, std::move(body)}); }
};

}  // namespace fuzz
