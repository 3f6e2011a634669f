"""MNIST-1D as it was published: 4000 signals to train on and 1000 to be judged by.

Source: Greydanus and Kobak 2020 (Scaling down deep learning with MNIST-1D, arXiv:2011.14439); the Python package
``mnist1d`` makes the file.
"""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from statespace.datasets.tasks.stored import Part, StoredTask, hold_out
from statespace.errors import InputError


def _read(path: Path) -> dict[str, Part]:
    names = {"train": ("x", "y"), "test": ("x_test", "y_test")}
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = {split: (file[x][..., None], file[y].astype(np.int64)) for split, (x, y) in names.items()}
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise InputError(
            f"PublishedMNIST1D: {str(path)!r} cannot be read as the published data ({error}): name the folder that "
            "holds it, or take the task mnist1d, which draws its signals."
        ) from error
    if any(x.ndim != 3 or len(x) != len(y) for x, y in parts.values()):
        raise InputError(f"PublishedMNIST1D: {str(path)!r} does not hold signals with a label each: fetch it again.")
    return parts


class PublishedMNIST1D(StoredTask):
    """Tell which of ten shapes a signal of 40 samples holds, from 4000 signals.

    Args:
        folder: where ``mnist1d.npz`` lies, with the published ``x, y, x_test, y_test``.
        validation: cases at the end of the training set that are held out.
    Raises:
        InputError: the file is missing or holds something else, or `validation` is out of range.
    """

    def __init__(self, folder: str, validation: int = 400) -> None:
        parts = _read(Path(folder) / "mnist1d.npz")
        super().__init__({**hold_out("PublishedMNIST1D", parts["train"], validation), "test": parts["test"]}, 10)
        self.length = parts["test"][0].shape[1]
