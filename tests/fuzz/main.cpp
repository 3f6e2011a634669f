// Runs each registered operation for some time: fuzz SECONDS [SEED]. A run that fails prints the seed of its call.
#include <chrono>
#include <csignal>
#include <string>
#include <unistd.h>

#include "fuzz.h"

static char last_words[128];

int main(int count, char** arguments) {
    const double seconds = count > 1 ? std::atof(arguments[1]) : 1;
    const uint64_t first = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 0;
    for (const fuzz::Operation& operation : fuzz::operations()) {
        const auto begin = std::chrono::steady_clock::now();
        uint64_t seed = first;
        do {
            std::snprintf(last_words, sizeof last_words, "%s, seed %llu", operation.name, (unsigned long long)seed);
            fuzz::Random random(seed++);
            operation.body(random);
        } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < seconds);
        std::printf("fuzz: %-32s %8llu calls\n", operation.name, (unsigned long long)(seed - first));
        std::fflush(stdout);
    }
}

// The sanitizers call this before the process ends.
extern "C" void __asan_on_error() {
    (void)!write(2, "fuzz: ", 6);
    (void)!write(2, last_words, std::strlen(last_words));
    (void)!write(2, "\n", 1);
}
