"""What `backends()` says: what is there, what is missing, and why."""

import re
import sys
from pathlib import Path

import pytest

from statespace import kernels
from statespace.kernels import gpu, native


def test_prints_one_line_for_each_backend():
    found = kernels.backends()
    assert list(found) == ["triton", "native", "chunked", "reference"]
    assert str(found).splitlines() == [f"{name}: {status}" for name, status in found.items()]
    assert found["chunked"].startswith("available")


@pytest.fixture
def looks_again():
    """What is there is looked up once; here it is before and after."""
    gpu.why_missing.cache_clear()
    yield
    gpu.why_missing.cache_clear()


def test_triton_that_is_not_installed_says_what_to_install(monkeypatch, looks_again):
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda _: None)
    assert kernels.backends()["triton"].startswith("not there: Triton is not installed")
    assert "pip install 'statespace[triton]'" in gpu.why_refused("cuda")


def test_triton_without_a_gpu_says_so(monkeypatch, looks_again):
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda _: "there")
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    assert kernels.backends()["triton"].startswith("not usable: torch finds no GPU")


def test_triton_with_a_gpu_computes_there_alone(monkeypatch, looks_again):
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda _: "there")
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert kernels.backends()["triton"] == "available, on a GPU"
    assert gpu.why_refused("cuda") is None
    assert gpu.why_refused("cpu") == "it computes on a GPU, and the tensors are on cpu."


def test_native_names_its_instruction_set():
    if reason := native.why_missing():
        assert kernels.backends()["native"] == reason
    else:
        assert kernels.backends()["native"] == f"available, with {next(iter(native.instruction_sets()))}"


def test_a_missing_core_says_why(monkeypatch):
    native._open.cache_clear()
    monkeypatch.setattr(native.importlib.util, "find_spec", lambda _: None)
    try:
        says = kernels.backends()["native"]
    finally:
        native._open.cache_clear()
    assert says.startswith("not built: no C++ compiler was found when the package was installed")
    assert "pip install" in says


@pytest.mark.parametrize("content", [b"not a library", None], ids=["broken", "foreign"])
def test_a_core_that_is_not_ours_says_why(monkeypatch, tmp_path, content):
    path = tmp_path / "_native.so"
    origin = str(path)
    if content is None:
        origin = sys.modules["_ctypes"].__file__  # a library without our functions
    else:
        path.write_bytes(content)
    native._open.cache_clear()
    monkeypatch.setattr(native.importlib.util, "find_spec", lambda _: type("Spec", (), {"origin": origin}))
    try:
        assert "cannot be opened" in kernels.backends()["native"]
    finally:
        native._open.cache_clear()


def test_a_core_of_another_version_says_so(monkeypatch):
    if reason := native.why_missing():
        pytest.skip(f"native: {reason}")
    native._open.cache_clear()
    monkeypatch.setattr(native, "ABI_VERSION", native.ABI_VERSION + 1)
    try:
        says = kernels.backends()["native"]
    finally:
        native._open.cache_clear()
    assert "was built for another version of statespace" in says
    assert "pip install" in says


def test_the_core_has_every_function_that_is_called():
    # A core that lacks one, for all that its version is right, would fail at the call, with an AttributeError.
    if reason := native.why_missing():
        pytest.skip(f"native: {reason}")
    called = set()
    for path in Path(kernels.__file__).parent.rglob("*.py"):
        called |= set(re.findall(r"\bstatespace_[a-z0-9_]+", path.read_text()))
    assert "statespace_stack_step" in called
    assert {name for name in called if not hasattr(native.library(), name)} == set()
