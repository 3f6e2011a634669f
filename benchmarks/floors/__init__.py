"""The least time that the arithmetic of a selective scan takes on this machine, found by doing nothing else.

For each step, channel and state there are an exponential and three multiply-adds in the forward pass: the decay of the
state, its drive, and the output. The backward computes the states again, which nobody could have kept: as many
exponentials, and ten multiply-adds, two to repeat the state, one for the gradient of C, and seven for those of h, B, u,
A, Δ and the state before. Loads, stores, sums over channels, and all that is done once for a step and channel instead
of for each state, are no part of the floor.

The exponentials are the core's own and run from registers; a floor moves when they get faster.
"""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from statespace.kernels import backends

MULTIPLY_ADDS = {"forward": 3, "training": 13}
EXPONENTIALS = {"forward": 1, "training": 2}
_FLAGS = {
    "AVX-512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-DVECTOR_BYTES=64"],
    "AVX2": ["-mavx2", "-mfma", "-DVECTOR_BYTES=32"],
}


class Probe:
    """The two kinds of arithmetic, compiled for the instruction set that the core takes here."""

    def __init__(self) -> None:
        flags = next((flags for name, flags in _FLAGS.items() if name in backends()["native"]), ["-DVECTOR_BYTES=16"])
        source = Path(__file__).parent / "scan.cpp"
        with tempfile.TemporaryDirectory() as folder:
            target = str(Path(folder) / "floor.so")
            common = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-pthread"]
            subprocess.run([_compiler(), *common, *flags, str(source), "-o", target], check=True)
            self._library = ctypes.CDLL(target)

    def parts(self, which: str, size: str, threads: int) -> list[Callable[[], None]]:
        """Return functions that do all exponentials, and all multiply-adds, of a pass at a size BxLxDxN."""
        batch, length, channels, states = map(int, size.split("x"))
        lanes = self._library.lanes()
        vectors = batch * length * -(-channels // lanes) * states
        run = (
            (self._library.run_exponentials, EXPONENTIALS[which] * vectors),
            (self._library.run_multiply_adds, MULTIPLY_ADDS[which] * vectors),
        )
        return [
            lambda part=part, count=count: part(ctypes.c_int64(count), ctypes.c_int64(threads)) for part, count in run
        ]


def _compiler() -> str | None:
    return os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def can_be_probed() -> bool:
    """Return whether there is a core to compare with a floor, and a compiler to find that with."""
    return backends()["native"].startswith("available") and _compiler() is not None
