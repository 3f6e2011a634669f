"""Real signals with classes that come with the library, in the parts for training and test of the UCR and UEA archives.

Each part is a file ``data/cases/<name>-<part>.ts.gz``. ``data/TERMS.md`` states source and terms.
"""

from importlib.resources import as_file, files

from statespace.datasets.archives import Cases, read_archive
from statespace.errors import choose

CASES = {
    "basic-motions": "Four activities by acceleration and turning rate of a wrist, 6 channels of 100 samples",
    "gunpoint": "Drawing a gun or pointing a finger, by the height of the hand, 150 samples",
    "italy-power-demand": "Winter or summer, by the electric power of 24 hours",
}
"""Each bundled set of signals with a line in words."""

PARTS = ("train", "test")


def load_cases(name: str, part: str = "train") -> Cases:
    """Load one part of a bundled set of signals with classes.

    Args:
        name: a key of `CASES`.
        part: ``"train"`` or ``"test"``.
    Returns:
        Signals ``(channels, length)`` and their classes.
    Raises:
        InputError: no bundled set has this name, or there is no such part.
    """
    choose("load_cases", "name", name, CASES)
    choose("load_cases", "part", part, PARTS)
    with as_file(files("statespace.datasets").joinpath("data", "cases", f"{name}-{part}.ts.gz")) as path:
        return read_archive(path)
