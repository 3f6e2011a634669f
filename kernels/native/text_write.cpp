// Writes rows: their text as it came, and numbers as printf's %.7g has them.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "export.h"
#include "text.h"

namespace statespace {
namespace {

constexpr int EXACT = 22, DIGITS = 9;  // powers of ten that are numbers, and digits that are written without printf

constexpr double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// The exponent of a number's first digit, or one less next to a power of ten.
int first_digit(double value) {
    int e = int(std::floor(std::ilogb(value) * 0.30102999566398120));
    const double next = e + 1 >= 0 ? powers[e + 1] : 1 / powers[-e - 1];
    return value >= next ? e + 1 : e;
}

char* general(double value, int digits, char* to) {
    const double size = std::fabs(value);
    const auto by_printf = [&] { return to + snprintf(to, size_t(LONGEST), "%.*g", digits, value); };
    if (size == 0) {
        if (std::signbit(value)) *to++ = '-';
        *to++ = '0';
        return to;
    }
    if (!(size >= 1e-14 && size < 1e14) || digits > DIGITS) return by_printf();
    int e = first_digit(size);
    const int scale = digits - 1 - e;
    if (scale > EXACT || scale < -EXACT) return by_printf();
    // One rounding: off by less than 1e-6 of the last digit, so that only a number next to a tie may go the wrong way.
    const double scaled = scale < 0 ? size / powers[-scale] : size * powers[scale];
    int64_t whole = int64_t(scaled);
    const double rest = scaled - double(whole);
    if (std::fabs(rest - 0.5) < 1e-4) return by_printf();
    whole += rest > 0.5;
    const int64_t most = int64_t(powers[digits]);
    if (whole >= most) {
        whole /= 10;
        ++e;
    }
    if (whole < most / 10 || whole >= most) return by_printf();
    char digit[DIGITS];
    for (int j = digits; j-- > 0; whole /= 10) digit[j] = char('0' + whole % 10);
    int count = digits;
    while (count > 1 && digit[count - 1] == '0') --count;
    if (std::signbit(value)) *to++ = '-';
    if (e < -4 || e >= digits) {
        *to++ = digit[0];
        if (count > 1) {
            *to++ = '.';
            for (int j = 1; j < count; ++j) *to++ = digit[j];
        }
        *to++ = 'e';
        *to++ = e < 0 ? '-' : '+';
        *to++ = char('0' + std::abs(e) / 10);
        *to++ = char('0' + std::abs(e) % 10);
        return to;
    }
    int j = 0;
    if (e < 0) *to++ = '0';
    for (; j <= e; ++j) *to++ = j < count ? digit[j] : '0';
    if (e < 0 || j < count) {
        *to++ = '.';
        for (int zero = -1; zero > e; --zero) *to++ = '0';
        for (; j < count; ++j) *to++ = digit[j];
    }
    return to;
}

char* put(const char* begin, int64_t size, char* to) {
    memcpy(to, begin, size_t(size));
    return to + size;
}

}  // namespace
}  // namespace statespace

// Returns the number of characters.
EXPORT int64_t statespace_write_rows(const statespace::WriteRows* call) {
    char* to = call->to;
    for (int64_t i = 0; i < call->rows; ++i) {
        to = statespace::put(call->told + call->spans[2 * i], call->spans[2 * i + 1] - call->spans[2 * i], to);
        for (int64_t j = 0; j <= call->columns; ++j) {
            const int64_t begin = j ? call->lead_ends[j - 1] : 0;
            to = statespace::put(call->leads + begin, call->lead_ends[j] - begin, to);
            if (j == call->columns) break;
            const double value = call->values[j][i];
            if (call->digits[j] && value == value) {
                to = statespace::general(value, int(call->digits[j]), to);
            } else {
                const char* word = call->words[value != value ? 0 : value != 0 ? 2 : 1];
                to = statespace::put(word, int64_t(strlen(word)), to);
            }
        }
    }
    return to - call->to;
}
