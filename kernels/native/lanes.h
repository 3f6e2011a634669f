// Vectors whose lanes are (batch, channel) pairs, and the way from arrays of shape (b, l, d) into them and back.
//
// With the layout (batch, length, channels) a row of u is one load, and no sum runs across lanes.
//
// Compiled once for each instruction set, as vectors.h says.
#pragma once

#include "lti_scan.h"
#include "vectors.h"

namespace statespace {
namespace {

template <typename T>
struct Complex {
    Vec<T> re, im;
};

template <typename T>
ALWAYS_INLINE void add(double* sum, const Vec<T>& v) {
    T lane[Vector<T>::lanes];
    store(lane, v);
    for (int j = 0; j < Vector<T>::lanes; ++j) sum[j] += lane[j];
}

// Where the lanes of a block lie.
template <typename T>
struct Block {
    static constexpr int W = Vector<T>::lanes;
    const LtiScan& call;
    int count = 0;          // lanes in use
    bool adjacent;          // all lanes are in use, and belong to one batch element
    int64_t longest = 0;
    int64_t pair[W], batch[W], channel[W], length[W];

    Block(const LtiScan& call, int64_t first) : call(call) {
        int64_t at_batch = first / call.channels, at_channel = first % call.channels;
        for (int j = 0; j < W; ++j) {
            bool used = at_batch < call.batch;
            count += used;
            pair[j] = first + j;
            batch[j] = at_batch;
            channel[j] = at_channel;
            if (++at_channel == call.channels) at_channel = 0, ++at_batch;
            length[j] = !used ? 0 : call.lengths ? call.lengths[batch[j]] : call.length;
            if (length[j] < 0) length[j] = 0;
            if (length[j] > call.length) length[j] = call.length;
            if (length[j] > longest) longest = length[j];
        }
        adjacent = count == W && batch[0] == batch[W - 1];
    }

    // Segments end at multiples of SEGMENT and where a sequence ends.
    int64_t segment_end(int64_t begin) const {
        int64_t end = (begin / SEGMENT + 1) * SEGMENT;
        if (end > longest) end = longest;
        for (int j = 0; j < count; ++j)
            if (length[j] > begin && length[j] < end) end = length[j];
        return end;
    }
    int64_t segment_begin(int64_t end) const {
        int64_t begin = (end - 1) / SEGMENT * SEGMENT;
        for (int j = 0; j < count; ++j)
            if (length[j] < end && length[j] > begin) begin = length[j];
        return begin;
    }

    bool all_reach(int64_t end) const {
        for (int j = 0; j < W; ++j)
            if (length[j] < end) return false;
        return true;
    }

    // Rows begin..end of a (b, l, d) array into a tile, zero beyond each lane's length: padding may hold anything.
    // The rows `ahead` of these are fetched meanwhile: strides of whole pages defeat the processor's own foresight.
    void read(T* tile, const void* from, const int64_t* stride, int64_t begin, int64_t end, int64_t ahead) const {
        const T* array = static_cast<const T*>(from);
        if (adjacent && stride[2] == 1 && all_reach(end)) {
            const T* row = array + batch[0] * stride[0] + begin * stride[1] + channel[0];
            for (int64_t t = begin; t < end; ++t, row += stride[1], tile += W) {
                __builtin_prefetch(row + ahead * stride[1], 0, 2);
                store<T>(tile, load(row));
            }
            return;
        }
        for (int j = 0; j < W; ++j) {
            int64_t t = begin;
            if (j < count) {
                const T* column = array + batch[j] * stride[0] + channel[j] * stride[2];
                int64_t stop = length[j] < end ? length[j] : end;
                for (; t < stop; ++t) tile[(t - begin) * W + j] = column[t * stride[1]];
            }
            for (; t < end; ++t) tile[(t - begin) * W + j] = 0;
        }
    }

    // A tile into rows begin..end of a contiguous (b, l, d) array, zero beyond each lane's length.
    void write(const T* tile, void* to, int64_t begin, int64_t end, int64_t ahead) const {
        T* array = static_cast<T*>(to);
        int64_t d = call.channels;
        if (adjacent && all_reach(end)) {
            T* row = array + (batch[0] * call.length + begin) * d + channel[0];
            for (int64_t t = begin; t < end; ++t, row += d, tile += W) {
                __builtin_prefetch(row + ahead * d, 1, 2);
                store<T>(row, load(tile));
            }
            return;
        }
        for (int j = 0; j < count; ++j) {
            T* column = array + batch[j] * call.length * d + channel[j];
            for (int64_t t = begin; t < end; ++t) column[t * d] = t < length[j] ? tile[(t - begin) * W + j] : T(0);
        }
    }

    // Zeros in the rows where no lane has a sample any more.
    void write_padding(void* to) const {
        for (int64_t t = longest; t < call.length; ++t)
            for (int j = 0; j < count; ++j)
                static_cast<T*>(to)[(batch[j] * call.length + t) * call.channels + channel[j]] = 0;
    }

    ALWAYS_INLINE Vec<T> feedthrough() const {
        Vec<T> D = {};
        for (int j = 0; call.D && j < count; ++j) D[j] = static_cast<const T*>(call.D)[channel[j]];
        return D;
    }
};

}  // namespace
}  // namespace statespace
