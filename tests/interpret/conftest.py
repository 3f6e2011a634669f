"""Kernels of Triton, interpreted on the CPU: a process of its own, started with TRITON_INTERPRET=1."""

import importlib.util
import os

import pytest

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = os.path.dirname(__file__)
    if importlib.util.find_spec("triton") is None:
        why = "Triton is not installed: pip install 'statespace[triton]'"
    elif not INTERPRETED:
        why = "kernels are interpreted in a process of their own: TRITON_INTERPRET=1 pytest tests/interpret"
    else:
        return
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.skip(reason=why))
