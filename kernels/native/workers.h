// A loop whose rounds are shared among threads that live for the call only.
//
// A thread costs some 20 us to start, little beside the work it is started for, and leaves nothing behind: no pool that a
// forked process would find without its threads, and no second OpenMP runtime beside torch's.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "cpu.h"

namespace statespace {

// Says that memory is about to be written for the first time. The system clears fresh memory page by page as it is touched,
// which takes longer than the computation of what is written there; with pages of 2 MB it takes a fraction of that.
inline void about_to_fill(void* memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr uintptr_t PAGE = 2 << 20;
    const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + PAGE - 1) / PAGE * PAGE;
    const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / PAGE * PAGE;
    if (memory && begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}

// Memory on the boundary of a cache line, which is also that of the widest vector.
class Buffer {
    void* memory;

public:
    explicit Buffer(size_t bytes) : memory(std::aligned_alloc(64, (bytes / 64 + 1) * 64)) {
        if (!memory) throw std::bad_alloc();
        about_to_fill(memory, bytes);
    }
    ~Buffer() { std::free(memory); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    char* get() const { return static_cast<char*>(memory); }
};

// As many of the threads as are worth starting for so much work: one for each 100 us.
inline int64_t worth(int64_t threads, int64_t nanoseconds) {
    return std::max<int64_t>(1, std::min(threads, 1 + nanoseconds / 100000));
}

// body(i, scratch) for i in 0..count, in any order, with `bytes` of scratch memory for each thread. Which thread does
// which round must not matter to the result. Throws std::bad_alloc.
template <typename Body>
void share(int64_t count, int64_t threads, size_t bytes, const Body& body) {
    threads = std::max<int64_t>(1, std::min(threads, count));
    Buffer scratch((bytes / 64 + 1) * 64 * threads);
    std::atomic<int64_t> next{0};
    auto work = [&](int64_t thread) {
        const FlushDenormals flush;
        for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;)
            body(i, scratch.get() + (bytes / 64 + 1) * 64 * thread);
    };
    std::vector<std::thread> helpers;
    helpers.reserve(threads);
    try {
        for (int64_t thread = 1; thread < threads; ++thread) helpers.emplace_back(work, thread);
    } catch (const std::system_error&) {
        // No more threads are to be had: those that started, and this one, do the work.
    }
    work(0);
    for (std::thread& helper : helpers) helper.join();
}

}  // namespace statespace
