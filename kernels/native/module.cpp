// The extension module `statespace.kernels._native`: an empty module, so that the package's build makes and installs it,
// around plain C functions that are opened with ctypes. Nothing of torch is needed to compile it.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cpu.h"
#include "export.h"

// Counts the changes of what Python and the core know of each other: functions, their arguments, the structs they point to.
// `kernels/native/__init__.py` holds the same number, and refuses a core that was built for another version of the package.
constexpr int64_t ABI_VERSION = 7;
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

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", "The compiled core; opened with ctypes.", -1,
                                 nullptr, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit__native() { return PyModule_Create(&definition); }
