"""Memory that is kept: a table that comes again costs no page faults."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from statespace.memory import keep_freed
print(keep_freed() if sys.argv[1] == "keep" else None)
for _ in range(10):
    np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word: str) -> tuple[str, int]:
    found = subprocess.run([sys.executable, "-c", FAULTS, word], capture_output=True, text=True, check=True)
    told, count = found.stdout.split()
    return told, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_a_table_that_comes_again_costs_no_page_faults() -> None:
    assert faults("keep") == ("True", pytest.approx(0, abs=20))
    assert faults("give back")[1] > 200  # with pages of 2 MB; thousands with small ones
