// Reads lines of CSV or JSON: finds the series by its name, numbers by their value, and tells equal stamps from each other.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "export.h"
#include "text.h"

namespace statespace {
namespace {

struct Piece {
    const char *begin = nullptr, *end = nullptr;

    int64_t size() const { return end - begin; }
    bool is(const Piece& other) const { return size() == other.size() && !memcmp(begin, other.begin, size_t(size())); }
};

// Piece i of many that lie one behind the other.
Piece piece(const char* text, const int64_t* ends, int64_t i) { return {text + (i ? ends[i - 1] : 0), text + ends[i]}; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Moves p behind a number in the grammar of JSON, and takes its value; false for anything else, and for what is too large.
bool number(const char*& p, double& value) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char* const start = p;
    const bool negative = *p == '-';
    if (negative) ++p;
    if (!is_digit(*p) || (*p == '0' && is_digit(p[1]))) return false;
    uint64_t digits = 0;
    int64_t count = 0, exponent = 0;
    for (; is_digit(*p); ++p, ++count) digits = digits * 10 + uint64_t(*p - '0');
    if (*p == '.') {
        const char* const point = ++p;
        for (; is_digit(*p); ++p, ++count) digits = digits * 10 + uint64_t(*p - '0');
        exponent = point - p;
        if (exponent == 0) return false;
    }
    if (*p == 'e' || *p == 'E') {
        ++p;
        const bool less = *p == '-';
        if (*p == '-' || *p == '+') ++p;
        if (!is_digit(*p)) return false;
        int64_t power = 0;
        for (; is_digit(*p); ++p) power = power < 10000 ? power * 10 + (*p - '0') : power;
        exponent += less ? -power : power;
    }
    // Both are exact in double precision, so that their product or quotient is rounded once: the nearest number.
    if (count <= 18 && digits <= uint64_t(1) << 53 && exponent >= -22 && exponent <= 22) {
        value = exponent < 0 ? double(digits) / powers[-exponent] : double(digits) * powers[exponent];
        if (negative) value = -value;
        return true;
    }
    value = strtod(start, nullptr);
    return std::isfinite(value);
}

class Reader {
    ReadRows& call;
    char* told;
    int64_t last_series = -1;
    Piece last_stamp, pieces[3];  // the series, the stamp and the value as they are written

public:
    explicit Reader(ReadRows& call) : call(call), told(call.text_told) {}

    LineKind line(int64_t i, const char* p, const char* end) {
        if (end > p && end[-1] == '\r') --end;
        const char* seen = p;
        while (seen < end && (*seen == ' ' || *seen == '\t')) ++seen;
        if (seen == end) return EMPTY;
        for (Piece& part : pieces) part = {};
        double* numbers = call.numbers + i * (call.columns - 2);
        for (int64_t column = 2; column < call.columns; ++column) numbers[column - 2] = NAN;
        Piece name;
        if (!(call.is_json ? object(p, end, numbers, name) : fields(p, end, numbers, name))) return OTHER;
        if (!find(name)) return OTHER;
        call.which[i] = last_series;
        tell(i);
        return PLAIN;
    }

private:
    // A field of CSV as a column takes it: nothing, or a number up to its end.
    static bool take(const Piece& field, double& value) {
        if (field.begin == field.end) return true;
        const char* p = field.begin;
        return number(p, value) && p == field.end;
    }

    bool fields(const char* p, const char* end, double* numbers, Piece& name) {
        if (memchr(p, '"', size_t(end - p))) return false;
        int64_t place = 0;
        while (true) {
            const char* comma = static_cast<const char*>(memchr(p, ',', size_t(end - p)));
            const Piece field{p, comma ? comma : end};
            for (int64_t column = 0; column < call.columns; ++column) {
                if (call.places[column] != place) continue;
                if (column < 3) pieces[column] = field;
                if (column >= 2 && !take(field, numbers[column - 2])) return false;
            }
            ++place;
            if (!comma) break;
            p = comma + 1;
        }
        name = pieces[0];
        return place == call.width;
    }

    static void spaces(const char*& p, const char* end) {
        while (p < end && (*p == ' ' || *p == '\t')) ++p;
    }

    // Moves p behind a text without escapes; what is in it, without its quotes.
    static bool quoted(const char*& p, const char* end, Piece& inside) {
        if (p == end || *p != '"') return false;
        inside.begin = ++p;
        while (p < end && *p != '"') {
            if (*p == '\\' || static_cast<unsigned char>(*p) < ' ') return false;
            ++p;
        }
        inside.end = p;
        return p < end && *p++ == '"';
    }

    static bool word(const char*& p, const char* end, const char* expected) {
        const size_t size = strlen(expected);
        if (size_t(end - p) < size || memcmp(p, expected, size)) return false;
        p += size;
        return true;
    }

    int64_t column_of(const Piece& key) const {
        for (int64_t column = 0; column < call.columns; ++column)
            if (key.is(piece(call.keys, call.key_ends, column))) return column;
        return -1;
    }

    bool object(const char* p, const char* end, double* numbers, Piece& name) {
        while (end > p && (end[-1] == ' ' || end[-1] == '\t')) --end;
        spaces(p, end);
        if (p == end || *p++ != '{') return false;
        uint64_t seen = 0;  // columns
        while (true) {
            Piece key, inside;
            spaces(p, end);
            if (!quoted(p, end, key)) return false;
            spaces(p, end);
            if (p == end || *p++ != ':') return false;
            spaces(p, end);
            const int64_t column = column_of(key);
            const char* const begin = p;
            double value = NAN;
            const bool is_text = p < end && *p == '"';
            if (is_text) {
                if (column >= 2 || !quoted(p, end, inside)) return false;
            } else if (!word(p, end, "null")) {
                if (!number(p, value)) {
                    p = begin;
                    if (column >= 0 || !(word(p, end, "true") || word(p, end, "false"))) return false;
                }
            } else if (column == 0 || column == 1) {
                return false;
            }
            if (column >= 0 && column < 3) pieces[column] = {begin, p};
            if (column == 0) name = is_text ? inside : pieces[0];
            if (column >= 2) numbers[column - 2] = value;
            if (column >= 64 || (column >= 0 && seen >> column & 1)) return false;
            if (column >= 0) seen |= uint64_t(1) << column;
            spaces(p, end);
            if (p == end) return false;
            if (*p == '}') break;
            if (*p++ != ',') return false;
        }
        return p + 1 == end && seen == (call.columns == 64 ? ~uint64_t(0) : (uint64_t(1) << call.columns) - 1);
    }

    // Series mostly come in their order; else they are looked for by halves.
    bool find(const Piece& name) {
        const int64_t next = last_series + 1 == call.series ? 0 : last_series + 1;
        if (call.series && name.is(piece(call.names, call.name_ends, next))) {
            last_series = next;
            return true;
        }
        int64_t low = 0, high = call.series;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            const Piece other = piece(call.names, call.name_ends, call.sorted[middle]);
            const int order = memcmp(name.begin, other.begin, size_t(std::min(name.size(), other.size())));
            if (order == 0 && name.size() == other.size()) {
                last_series = call.sorted[middle];
                return true;
            }
            if (order < 0 || (order == 0 && name.size() < other.size()))
                high = middle;
            else
                low = middle + 1;
        }
        return false;
    }

    void put(const Piece& part) {
        if (part.begin) memcpy(told, part.begin, size_t(part.size()));
        told += part.size();
    }

    void tell(int64_t i) {
        call.told[2 * i] = told - call.text_told;
        for (int64_t column = 0; column < 3; ++column) {
            put(piece(call.leads, call.lead_ends, column));
            const char* const begin = told;
            put(pieces[column]);
            if (column == 1 && !(call.found && last_stamp.is({begin, told}))) {
                last_stamp = {begin, told};
                call.stamps[2 * call.found] = begin - call.text_told;
                call.stamps[2 * call.found++ + 1] = told - call.text_told;
            }
        }
        call.stamp[i] = call.found - 1;
        call.told[2 * i + 1] = told - call.text_told;
    }
};

}  // namespace
}  // namespace statespace

// Returns the number of lines.
EXPORT int64_t statespace_read_rows(statespace::ReadRows* call) {
    statespace::Reader reader(*call);
    const char *p = call->text, *const end = p + call->length;
    int64_t lines = 0;
    call->found = 0;
    while (p < end) {
        const char* newline = static_cast<const char*>(memchr(p, '\n', size_t(end - p)));
        const char* const stop = newline ? newline : end;
        call->begin[lines] = p - call->text;
        call->kind[lines] = reader.line(lines, p, stop);
        ++lines;
        p = newline ? newline + 1 : end;
    }
    return lines;
}
