#include "selective_state_update_python.h"

#include "export.h"
#include "selective_state_update.h"

EXPORT int statespace_selective_state_update(const statespace::SelectiveStateUpdate* call);

namespace statespace {
namespace {

enum Given { STATE, X, DT, A, B, C, D, Z, BIAS, TENSORS, SOFTPLUS = TENSORS, RULE, THREADS, INSTRUCTIONS, FOLLOWED, GIVEN };

// A number of Dtype, or DTYPES for what the core does not compute with.
int64_t dtype_of(const TensorView& v) {
    if (v.lanes != 1) return DTYPES;
    if (v.code == BRAIN_FLOATING && v.bits == 16) return BFLOAT16;
    if (v.code != FLOATING) return DTYPES;
    return v.bits == 32 ? FLOAT32 : v.bits == 64 ? FLOAT64 : v.bits == 16 ? FLOAT16 : DTYPES;
}

bool is(const TensorView& v, uint8_t code, int bits) { return v.code == code && v.bits == bits && v.lanes == 1; }

// The call, or false where something does not fit; `y` is left out.
bool fill(const TensorLibrary& library, PyObject* const* given, SelectiveStateUpdate& call) {
    static PyObject* const needs_gradient = PyUnicode_InternFromString("requires_grad");
    static PyObject* const is_lazy = PyUnicode_InternFromString("is_conj");
    TensorView v[TENSORS];
    const bool followed = given[FOLLOWED] == Py_True;
    bool there[TENSORS];
    for (int i = 0; i < TENSORS; ++i) {
        there[i] = given[i] != Py_None;
        if (!there[i] && i >= D) continue;
        if (!library.view(given[i], v[i]) || v[i].device_type != ON_CPU) return false;
        if (followed && TensorLibrary::holds(given[i], needs_gradient, false)) return false;
    }
    if (v[STATE].rank != 3 || (v[B].rank != 2 && v[B].rank != 3)) return false;
    call.batch = v[STATE].shape[0], call.channels = v[STATE].shape[1], call.states = v[STATE].shape[2];
    call.groups = v[B].rank == 2 ? 1 : v[B].shape[1];
    call.dtype = dtype_of(v[X]);
    call.is_complex = v[STATE].code == COMPLEX;
    if (call.dtype == DTYPES || call.groups < 1 || call.channels % call.groups) return false;

    const int bits = call.dtype == FLOAT64 ? 64 : 32;
    auto is_wide = [&](int i) { return is(v[i], FLOATING, bits); };
    auto is_row = [&](int i) {
        return is(v[i], v[X].code, v[X].bits) && v[i].has_shape(call.batch, call.channels) && v[i].strides[1] == 1;
    };
    auto is_number = [&](int i) { return call.is_complex ? is(v[i], COMPLEX, 2 * bits) : is_wide(i); };
    auto is_vector = [&](int i) {
        const bool fits = v[B].rank == 2 ? v[i].has_shape(call.batch, call.states)
                                         : v[i].has_shape(call.batch, call.groups, call.states);
        return fits && v[i].strides[v[i].rank - 1] == 1 &&
               (call.is_complex ? is_number(i) : is(v[i], v[X].code, v[X].bits));
    };
    auto is_parameter = [&](int i) { return v[i].has_shape(call.channels) && is_wide(i) && v[i].is_contiguous(); };
    if (!(is_row(X) && is_row(DT) && is_number(STATE) && v[STATE].is_contiguous() && is_number(A) &&
          v[A].has_shape(call.channels, call.states) && v[A].is_contiguous() && is_vector(B) && is_vector(C) &&
          (!there[D] || is_parameter(D)) && (!there[Z] || is_row(Z)) && (!there[BIAS] || is_parameter(BIAS))))
        return false;
    constexpr int numbers[] = {STATE, A, B, C};
    for (int i : numbers)
        if (call.is_complex && TensorLibrary::holds(given[i], is_lazy, true)) return false;

    const int softplus = PyObject_IsTrue(given[SOFTPLUS]);
    call.softplus = softplus;
    call.rule = PyLong_AsLongLong(given[RULE]);
    call.threads = PyLong_AsLongLong(given[THREADS]);
    call.instruction_set = PyLong_AsLongLong(given[INSTRUCTIONS]);
    if (softplus < 0 || PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    const int64_t group = v[B].rank - 2;
    call.state = v[STATE].begin();
    call.x = v[X].begin(), call.x_stride = v[X].strides[0];
    call.dt = v[DT].begin(), call.dt_stride = v[DT].strides[0];
    call.A = v[A].begin();
    call.B = v[B].begin(), call.B_stride[0] = v[B].strides[0], call.B_stride[1] = v[B].strides[group];
    call.C = v[C].begin(), call.C_stride[0] = v[C].strides[0], call.C_stride[1] = v[C].strides[group];
    call.D = there[D] ? v[D].begin() : nullptr;
    call.z = there[Z] ? v[Z].begin() : nullptr, call.z_stride = there[Z] ? v[Z].strides[0] : 0;
    call.dt_bias = there[BIAS] ? v[BIAS].begin() : nullptr;
    return true;
}

}  // namespace

PyObject* selective_state_update_of(const TensorLibrary& library, PyObject* const* given, Py_ssize_t count) {
    if (count != GIVEN) return PyErr_Format(PyExc_TypeError, "%d arguments are expected, but %zd came", int(GIVEN), count);
    SelectiveStateUpdate call;
    if (!library.table || library.is_watched() || !fill(library, given, call)) Py_RETURN_NONE;
    PyObject* const y = PyObject_CallOneArg(library.empty_like, given[X]);  // contiguous, as its last axis is
    if (!y) return nullptr;
    TensorView view;
    if (!library.view(y, view) || !view.is_contiguous()) {
        Py_DECREF(y);
        Py_RETURN_NONE;
    }
    call.y = view.begin();
    int failed;
    Py_BEGIN_ALLOW_THREADS;
    failed = statespace_selective_state_update(&call);
    Py_END_ALLOW_THREADS;
    if (!failed && library.tell_changed(given[STATE])) return y;
    Py_DECREF(y);
    if (failed) PyErr_SetString(PyExc_MemoryError, "selective_state_update: no memory left to share the work among threads.");
    return nullptr;
}

}  // namespace statespace
