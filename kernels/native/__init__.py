"""The compiled core: plain C functions in an extension module that the package's build makes where it finds a compiler.

The module is opened with ctypes, so the core knows nothing of torch, takes raw pointers, and runs without the GIL; only
a single step, which takes less time than a call through ctypes, is a function of Python's own, and looks at tensors
through DLPack. It holds one version of each kernel for each instruction set and chooses among those of this processor
when it is called.
"""

import ctypes
import importlib.util
from functools import cache

import torch

from statespace.errors import InputError, choose
from statespace.kernels.dispatch import looked_up_once

ABI_VERSION = 9  # as in module.cpp, where it says what it counts
# The numbers of kernels/native/dtype.h.
DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_AGAIN = (
    "Install a C++17 compiler (g++ or clang++) and install statespace again: pip install --force-reinstall --no-deps"
)


@cache
def _open() -> ctypes.CDLL | str:
    """The opened core, or the reason why there is none."""
    spec = importlib.util.find_spec("statespace.kernels._native")
    if spec is None or spec.origin is None:
        return f"not built: no C++ compiler was found when the package was installed, or it failed. {_AGAIN}"
    try:
        core = ctypes.CDLL(spec.origin)
        core.statespace_abi_version.restype = ctypes.c_int64
        version = core.statespace_abi_version()
    except (OSError, AttributeError) as error:
        return f"not usable: {spec.origin} cannot be opened ({error}). {_AGAIN}"
    if version != ABI_VERSION:
        return f"not usable: {spec.origin} was built for another version of statespace. {_AGAIN}"
    core.statespace_instruction_set.restype = ctypes.c_char_p
    core.statespace_instruction_set.argtypes = [ctypes.c_int64]
    return core


def why_missing() -> str | None:
    """Say why there is no compiled core and what to do, or None where there is one."""
    core = _open()
    return core if isinstance(core, str) else None


@looked_up_once
def why_refused(device: str) -> str | None:
    """Say why the compiled core cannot compute on a device, or None where it can."""
    if device != "cpu":
        return f"it computes on the CPU, and the tensors are on {device}."
    missing = why_missing()
    return missing and f"it is {missing}."


def library() -> ctypes.CDLL:
    """Return the opened core.

    Raises:
        InputError: there is none; the message says why, and what to do.
    """
    core = _open()
    if isinstance(core, str):
        raise InputError(f"backend 'native' is {core}. Or take backend='chunked', which needs no compiler.")
    return core


@cache
def instruction_sets() -> dict[str, int]:
    """Return the instruction sets of this processor that the core has kernels for, fastest first, by name.

    Raises:
        InputError: there is no compiled core.
    """
    core = library()
    found: dict[str, int] = {}
    index = 0
    while (name := core.statespace_instruction_set(index)) is not None:
        if name:
            found[name.decode()] = index
        index += 1
    return found


def instruction_set(name: str | None = None) -> int:
    """Return the core's number for an instruction set, the fastest one of this processor where `name` is None.

    Raises:
        InputError: there is no compiled core, or this processor or this core has no such instruction set.
    """
    sets = instruction_sets()
    return next(iter(sets.values())) if name is None else sets[choose("native", "instruction_set", name, sets)]
