// The last line of each instruction set's file: the kernels compiled above, as a table under the name KERNELS.
#pragma once

#include "lti_scan_backward.h"
#include "lti_scan_forward.h"

#define KERNELS_OF(T) \
    { Vector<T>::lanes, scratch_bytes<T>, forward<T>, backward<T> }
