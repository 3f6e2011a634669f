// Tiles: steps of one vector of channels, behind one another, in the precision to compute in.
#pragma once

#include "causal_conv1d.h"
#include "storage.h"

namespace statespace {
namespace {

// One block of channels of a piece, and its way between memory and tiles.
template <typename S>
struct Column {
    using T = typename Precision<S>::type;
    static constexpr int W = Vector<T>::lanes;
    const CausalConv1d& call;
    const ConvPiece& piece;
    int64_t channel, count;

    Column(const CausalConv1d& call, const ConvPiece& piece, int64_t channel)
        : call(call), piece(piece), channel(channel), count(call.channels - channel < W ? call.channels - channel : W) {}

    ALWAYS_INLINE Vec<T> gather(const S* from, int64_t stride) const {
        S lane[W] = {};
        for (int64_t j = 0; j < count; ++j) lane[j] = from[j * stride];
        return widen(lane);
    }
    ALWAYS_INLINE void scatter(S* to, const Vec<T>& v) const {
        S lane[W];
        narrow(lane, v);
        for (int64_t j = 0; j < count; ++j) to[j] = lane[j];
    }

    // Steps begin .. end of an array (b, l, d), none of them before the first. The row that the next piece begins with
    // is on its way meanwhile.
    void read(T* tile, const void* from, const int64_t* stride, int64_t begin, int64_t end) const {
        const S* row = static_cast<const S*>(from) + piece.batch * stride[0] + (piece.first + begin) * stride[1] +
                       channel * stride[2];
        if (count == W && stride[2] == 1) {
            const int64_t ahead = conv_steps(call) * stride[1];
            for (int64_t t = begin; t < end; ++t, row += stride[1], tile += W) {
                __builtin_prefetch(row + ahead, 0, 2);
                store<T>(tile, widen(row));
            }
        } else {
            for (int64_t t = begin; t < end; ++t, row += stride[1], tile += W) store<T>(tile, gather(row, stride[2]));
        }
    }

    S* state_row(void* states, int64_t step) const {
        const int64_t rows = call.width - 1;
        return static_cast<S*>(states) + (piece.sequence * rows + rows + step) * call.channels + channel;
    }

    // Steps begin .. end of x, of which those before the first are the initial state.
    void read_past(T* tile, int64_t begin, int64_t end) const {
        int64_t t = begin;
        for (; t < 0 && t < end; ++t, tile += W)
            store<T>(tile, call.initial ? gather(state_row(const_cast<void*>(call.initial), t), 1) : Vec<T>{});
        if (t < end) read(tile, call.x, call.x_stride, t, end);
    }

    // A tile into steps begin .. end of a contiguous array (b, l, d), and into `states` where they are before the first.
    void write(const T* tile, void* to, void* states, int64_t begin, int64_t end) const {
        int64_t t = begin;
        for (; t < 0 && t < end; ++t, tile += W)
            if (states) scatter(state_row(states, t), load(tile));
        S* row = static_cast<S*>(to) + (piece.batch * call.length + piece.first + t) * call.channels + channel;
        if (count == W) {
            const int64_t ahead = conv_steps(call) * call.channels;
            for (; t < end; ++t, row += call.channels, tile += W) {
                __builtin_prefetch(row + ahead, 1, 2);
                narrow(row, load(tile));
            }
        } else {
            for (; t < end; ++t, row += call.channels, tile += W) scatter(row, load(tile));
        }
    }
};

}  // namespace
}  // namespace statespace
