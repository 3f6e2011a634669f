// The last line of each instruction set's file: the kernels compiled above, as a table.
#pragma once

#include "dense_expm.h"
#include "dense_resolvent.h"

#define DENSE_KERNELS_OF(T) \
    { expm_scratch<T>, expm<T>, resolvent_scratch<T>, resolvent<T> }
