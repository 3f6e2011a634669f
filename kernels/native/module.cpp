// The extension module `statespace.kernels._native`, so that the package's build makes and installs it: plain C functions that
// are opened with ctypes, and one of Python's own where ctypes would take longer than the work. Nothing of torch is needed to
// compile it.

#include "cpu.h"
#include "export.h"
#include "selective_state_update_python.h"

// Counts the changes of what Python and the core know of each other: functions, their arguments, the structs they point to.
// `kernels/native/__init__.py` holds the same number, and refuses a core that was built for another version of the package.
constexpr int64_t ABI_VERSION = 9;
EXPORT int64_t statespace_abi_version() { return ABI_VERSION; }

// The name of instruction set i where this processor has it, an empty name where not, null after the last.
EXPORT const char* statespace_instruction_set(int64_t i) {
#if defined(__x86_64__)
    static const char* const names[] = {"AVX-512", "AVX2", "SSE2"};
#elif defined(__aarch64__)
    static const char* const names[] = {"NEON"};
#else
    static const char* const names[] = {"baseline"};
#endif
    if (i < 0 || i >= statespace::INSTRUCTION_SETS) return nullptr;
    return statespace::supports(i) ? names[i] : "";
}

namespace {

statespace::TensorLibrary library;

// introduce(table, Tensor, Parameter, empty_like, is_tracing, modes, increment_version): whether tensors of these classes can
// be looked at from now on.
PyObject* introduce(PyObject*, PyObject* const* given, Py_ssize_t count) {
    if (count != 7) return PyErr_Format(PyExc_TypeError, "7 arguments are expected, but %zd came", count);
    auto* table = static_cast<statespace::ExchangeTable*>(PyCapsule_GetPointer(given[0], "dlpack_exchange_api"));
    if (!table) return nullptr;
    while (table && table->major != 1) table = table->before;
    if (!table || !table->view) Py_RETURN_FALSE;
    for (int i = 1; i < 7; ++i) Py_INCREF(given[i]);
    library = {table, given[1], given[2], given[3], given[4], given[5], given[6]};
    Py_RETURN_TRUE;
}

PyObject* selective_state_update(PyObject*, PyObject* const* given, Py_ssize_t count) {
    return statespace::selective_state_update_of(library, given, count);
}

PyMethodDef methods[] = {
    {"introduce", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(introduce)), METH_FASTCALL, nullptr},
    {"selective_state_update", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(selective_state_update)),
     METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", "The compiled core.", -1,
                          methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() {
    PyObject* const module = PyModule_Create(&definition);
#if defined(Py_GIL_DISABLED)
    if (module) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
