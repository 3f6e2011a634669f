// Rows of a table as text: lines of CSV or JSON that are read many at once, and numbers that are written behind rows.
//
// Numbers are read and written with a point, as the locale "C" has them, in which Python leaves a program.
#pragma once

#include <cstdint>

namespace statespace {

// PLAIN lines have all that is asked for, as most lines have it; of OTHER ones Python finds out what they have.
enum LineKind : uint8_t { EMPTY, PLAIN, OTHER };

// One call: `kernels/native/text.py` holds the same list. The first three columns are the series, the stamp and the value.
struct ReadRows {
    const char* text;           // whole lines, and a zero behind them
    int64_t length;
    int64_t is_json;            // an object on each line; else fields with commas between them
    int64_t width;              // fields of a line of CSV
    int64_t columns;
    const int64_t* places;      // of each column among the fields, -1 for one that is not there
    const char* keys;           // the names of the columns one behind the other, and where each ends
    const int64_t* key_ends;
    const char* leads;          // what is told before each of the first three columns
    const int64_t* lead_ends;
    int64_t series;
    const char* names;          // of the series
    const int64_t* name_ends;
    const int64_t* sorted;      // their numbers, in the order of the bytes of their names
    // For each line:
    uint8_t* kind;              // a LineKind
    int64_t* begin;             // where it begins
    int64_t* which;             // the number of its series
    double* numbers;            // (columns - 2), NaN for nothing
    int64_t* stamp;             // the number of its stamp
    int64_t* told;              // begin and end of its first three columns in `text_told`
    // Of all lines:
    char* text_told;
    int64_t* stamps;            // begin and end in `text_told` of each stamp that is not that of the line before
    int64_t found;              // how many of them
};

// One call: the text of rows, with numbers behind it.
struct WriteRows {
    int64_t rows, columns;
    const char* told;
    const int64_t* spans;       // begin and end of each row in `told`
    const double* const* values;
    const int64_t* digits;      // of the numbers of each column, at most; 0 where they are false or true
    const char* leads;          // before each column, and behind the last; where each ends
    const int64_t* lead_ends;
    const char* words[3];       // for NaN, false and true
    char* to;                   // with room for LONGEST more characters for each number
};

constexpr int64_t LONGEST = 32;

}  // namespace statespace
