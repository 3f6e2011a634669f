"""Kernels of Triton, compiled ahead of time for GPUs that are not there: TRITON_INTERPRET=0 pytest tests/compile."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from statespace.kernels import gpu

TARGETS = {
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "sm_100": ("cuda", 100, 32),
    "gfx942": ("hip", "gfx942", 64),
}
TYPES = {
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.int32: "i32",
    torch.int64: "i64",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("triton") is None:
        why = "Triton is not installed: pip install 'statespace[triton]'"
    elif os.environ.get("TRITON_INTERPRET") != "0":
        why = "compiled in a process of its own: TRITON_INTERPRET=0 python -m pytest tests/compile"
    else:
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=why))


@dataclass
class Launch:
    """A kernel and what it was launched with."""

    kernel: Any
    arguments: dict[str, Any]
    options: dict[str, Any]

    def source(self) -> Any:
        """What Triton would compile for these arguments: types, constants, and what is a multiple of 16."""
        from triton.compiler import ASTSource

        types, constants, hints = {}, {}, {}
        for i, parameter in enumerate(self.kernel.params):
            value = self.arguments[parameter.name]
            if parameter.is_constexpr or value is None or (isinstance(value, int) and value == 1):
                types[parameter.name], constants[(i,)] = "constexpr", value
                continue
            if isinstance(value, torch.Tensor):
                types[parameter.name] = "*" + TYPES[value.dtype]
            else:
                types[parameter.name] = "i32" if abs(value) < 2**31 else "i64"
            if isinstance(value, torch.Tensor) or value % 16 == 0:
                hints[(i,)] = [["tt.divisibility", 16]]
        return ASTSource(self.kernel, types, constants, hints)


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """The launches of the wrappers under test, which are noted instead of carried out."""
    from triton.runtime.jit import JITFunction

    noted: list[Launch] = []

    def note(kernel: Any, *values: Any, grid: object, warmup: bool, **named: Any) -> None:
        arguments = dict(zip(kernel.arg_names, values, strict=False)) | named
        options = {name: value for name, value in named.items() if name not in kernel.arg_names}
        noted.append(Launch(kernel, arguments, options))

    monkeypatch.setattr(JITFunction, "run", note)
    return noted


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a GPU, which the wrappers take to be the one at hand."""
    amd = TARGETS[request.param][0] == "hip"
    monkeypatch.setattr(torch.version, "hip", "6" if amd else None)
    assert gpu.lanes() == TARGETS[request.param][2]
    return str(request.param)


def _assembler(arch: int) -> str:
    from triton.backends.nvidia.compiler import get_ptxas

    found: Any = get_ptxas(arch) if get_ptxas.__code__.co_argcount else get_ptxas()
    return str(getattr(found, "path", found))


@pytest.fixture
def spills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Launch, str], int]:
    """Compile a launch for a GPU, and return how much a thread spills: bytes, or registers on AMD."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))

    def count(launch: Launch, target: str) -> int:
        from triton.backends.compiler import GPUTarget
        from triton.compiler import compile as build

        built = build(launch.source(), target=GPUTarget(*TARGETS[target]), options=launch.options)
        if TARGETS[target][0] == "hip":
            return int(re.search(r"\.vgpr_spill_count:\s*(\d+)", built.asm["amdgcn"])[1])
        (tmp_path / "kernel.ptx").write_text(built.asm["ptx"])
        arch = re.search(r"\.target (\w+)", built.asm["ptx"])[1]
        command = [_assembler(TARGETS[target][1]), "-v", f"--gpu-name={arch}", "kernel.ptx", "-o", "kernel.cubin"]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return sum(map(int, re.findall(r"(\d+) bytes spill", said.stdout + said.stderr)))

    return count
