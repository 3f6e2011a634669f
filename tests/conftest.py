"""What all tests share: the installed package is tested, never the folders of the repository."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [path for path in sys.path if Path(path or os.curdir).resolve() != ROOT]

if "PYTEST_XDIST_WORKER" in os.environ:  # each core has a worker: more threads would only wait for each other
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread for the tests of a module: two would wait for each other longer than such work takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository that the tests belong to."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with data sets that are not bundled, or a skip with the reason."""
    folder = Path(os.environ.get("STATESPACE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is not there: STATESPACE_DATA points to {folder}")
    return folder
