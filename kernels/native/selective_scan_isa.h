// The last line of each instruction set's file: the kernels compiled above, as tables.
#pragma once

#include "selective_scan_backward.h"
#include "selective_scan_forward.h"

#define KERNELS_OVER(F)                                                                                           \
    {                                                                                                             \
        Vector<F::Scalar>::lanes, GROUP<F>, forward_scratch<F>, backward_scratch<F>, forward<F>, forward_sum<F>,   \
            backward<F>, backward_sum<F>                                                                          \
    }
#define SELECTIVE_SCAN_KERNELS                                     \
    {                                                              \
        {KERNELS_OVER(Reals<float>), KERNELS_OVER(Complexes<float>)}, { \
            KERNELS_OVER(Reals<double>), KERNELS_OVER(Complexes<double>) \
        }                                                          \
    }
