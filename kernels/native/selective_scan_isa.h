// The last line of each instruction set's file: the kernels compiled above, as tables.
#pragma once

#include "selective_scan_backward.h"
#include "selective_scan_forward.h"

#define KERNELS_OVER(F)                                                                                           \
    {                                                                                                             \
        Vector<F::Scalar>::lanes, forward_scratch<F>, backward_scratch<F>, forward<F>, backward<F>    \
    }
#define SELECTIVE_SCAN_KERNELS                                     \
    {                                                              \
        {KERNELS_OVER(Reals<float>), KERNELS_OVER(Complexes<float>)}, { \
            KERNELS_OVER(Reals<double>), KERNELS_OVER(Complexes<double>) \
        }                                                          \
    }
