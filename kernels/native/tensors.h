// Tensors as Python passes them, looked at through the table of C functions that DLPack has from version 1.2 on: a tenth of a
// microsecond each, and nothing of torch is needed to compile it.
//
// Source: DLPack 1.3, dlpack.h, for the layout of what is declared here.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdint>

namespace statespace {

// As DLTensor.
struct TensorView {
    void* data;
    int32_t device_type, device;
    int32_t rank;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;  // in elements
    uint64_t byte_offset;

    char* begin() const { return static_cast<char*>(data) + byte_offset; }
    bool has_shape(int64_t a) const { return rank == 1 && shape[0] == a; }
    bool has_shape(int64_t a, int64_t b) const { return rank == 2 && shape[0] == a && shape[1] == b; }
    bool has_shape(int64_t a, int64_t b, int64_t c) const {
        return rank == 3 && shape[0] == a && shape[1] == b && shape[2] == c;
    }
    bool is_empty() const {
        for (int32_t i = 0; i < rank; ++i)
            if (!shape[i]) return true;
        return false;
    }
    bool is_contiguous() const {
        int64_t step = 1;
        for (int32_t i = rank; i-- > 0; step *= shape[i])
            if (shape[i] != 1 && strides[i] != step) return false;
        return true;
    }
};
enum TensorDevice : int32_t { ON_CPU = 1 };
enum TensorCode : uint8_t { FLOATING = 2, BRAIN_FLOATING = 4, COMPLEX = 5 };

// As DLPackExchangeAPI; what is not called is a plain pointer.
struct ExchangeTable {
    uint32_t major, minor;
    ExchangeTable* before;
    void *allocate, *managed_from, *managed_to;
    int (*view)(void* tensor, TensorView* out);
    void* stream;
};

// What there is to know of the library that the tensors come from: references that are held for good.
struct TensorLibrary {
    const ExchangeTable* table = nullptr;
    PyObject *tensor = nullptr, *parameter = nullptr;  // classes; another one has ideas of its own
    // Functions: (tensor); whether somebody traces, (); how many modes there are, (); (tensors).
    PyObject *empty_like = nullptr, *is_tracing = nullptr, *modes = nullptr, *increment_version = nullptr;

    // False, with no error set, for what is no plain tensor, or has its numbers elsewhere, as one that wraps another.
    bool view(PyObject* object, TensorView& out) const {
        PyObject* const type = reinterpret_cast<PyObject*>(Py_TYPE(object));
        if (type != tensor && type != parameter) return false;
        if (!table->view(object, &out)) return out.data || out.is_empty();
        PyErr_Clear();
        return false;
    }
    // Whether object.name, or object.name(), is true; an error counts as true.
    static bool holds(PyObject* object, PyObject* name, bool is_call) {
        return is_true(is_call ? PyObject_CallMethodNoArgs(object, name) : PyObject_GetAttr(object, name));
    }
    // Whether a tracer, or a mode of the dispatcher, is to hear of what is done.
    bool is_watched() const { return is_true(PyObject_CallNoArgs(is_tracing)) || is_true(PyObject_CallNoArgs(modes)); }
    // Tell autograd that a tensor was changed in place; false, with an error set, where that fails.
    bool tell_changed(PyObject* object) const {
        PyObject* const objects = PyTuple_Pack(1, object);
        PyObject* const told = objects ? PyObject_CallOneArg(increment_version, objects) : nullptr;
        Py_XDECREF(objects);
        Py_XDECREF(told);
        return told;
    }

private:
    // Takes the reference; an error counts as true.
    static bool is_true(PyObject* found) {
        const int truth = found ? PyObject_IsTrue(found) : -1;
        if (truth < 0) PyErr_Clear();
        Py_XDECREF(found);
        return truth;
    }
};

}  // namespace statespace
