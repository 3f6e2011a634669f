// The step of the selective scan as a function of Python: past ctypes and torch's dispatcher, for tensors that fit as they are.
#pragma once

#include "tensors.h"

namespace statespace {

// _native.selective_state_update(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus, rule, threads, instruction_set, followed):
// y, or None, with nothing done, where something does not fit. `followed`: whether autograd follows what needs a gradient.
PyObject* selective_state_update_of(const TensorLibrary& library, PyObject* const* given, Py_ssize_t count);

}  // namespace statespace
