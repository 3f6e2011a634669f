"""Sequential MNIST: a handwritten digit, pixel after pixel, 784 of them; permuted MNIST: the same in one random order.

The second takes away what is near: a model must relate pixels that lie far apart.

Source: Le, Jaitly and Hinton 2015 (arXiv:1504.00941), section 4.2. The files are those of LeCun, Cortes and Burges:
magic number ``0 0 type rank``, the sizes as big-endian 32-bit numbers, the data.
"""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

from statespace.datasets.tasks.stored import StoredTask, hold_out
from statespace.errors import InputError, at_least

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_BYTES = 8  # the type of the data: unsigned bytes


def read_idx(path: Path | str) -> np.ndarray:
    """Read an idx file of unsigned bytes, compressed or not.

    Args:
        path: the file; where it does not exist, ``path.gz`` is read.
    Returns:
        The array, uint8.
    Raises:
        InputError: there is no such file, or it is not of this form.
    """
    file = Path(path)
    if not file.is_file():
        file = file.with_name(file.name + ".gz")
    if not file.is_file():
        raise InputError(f"read_idx: there is no file {str(path)!r}, nor with .gz: name the folder that holds it.")
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"read_idx: {str(file)!r} cannot be read ({error}): fetch it again.") from error
    rank = data[3] if len(data) >= 4 and data[:3] == bytes([0, 0, _BYTES]) else 0
    head = 4 + 4 * rank
    shape = tuple(np.frombuffer(data[4:head], ">u4").tolist()) if rank and len(data) >= head else ()
    if not shape or len(data) != head + prod(shape):
        raise InputError(f"read_idx: {str(file)!r} is no whole idx file of unsigned bytes: fetch it again.")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


class SequentialMNIST(StoredTask):
    """Tell the digit after its last pixel.

    Args:
        folder: where the four idx files lie, compressed or not.
        validation: cases at the end of the training set that are held out.
    Raises:
        InputError: a file is missing or not whole, or `validation` is out of range.
    """

    def __init__(self, folder: str, validation: int = 5000) -> None:
        name = type(self).__name__
        parts = {}
        for split, files in _FILES.items():
            images, labels = (read_idx(Path(folder) / file) for file in files)
            if images.ndim != 3 or labels.shape != images.shape[:1]:
                raise InputError(
                    f"{name}: the files in {folder!r} hold images {images.shape} and labels {labels.shape}, which do "
                    "not belong together: fetch them again."
                )
            parts[split] = (images.reshape(len(images), -1, 1), labels.astype(np.int64))
        super().__init__({**hold_out(name, parts["train"], validation), "test": parts["test"]}, 10)
        self.length = parts["test"][0].shape[1]
        self.order = np.arange(self.length)

    def _prepared(self, x: np.ndarray) -> np.ndarray:
        return x[:, self.order].astype(np.float32) / 255


class PermutedMNIST(SequentialMNIST):
    """Tell the digit from its pixels in one random order, the same for all.

    Args:
        folder: where the four idx files lie, compressed or not.
        validation: cases at the end of the training set that are held out.
        permutation_seed: of the order.
    Raises:
        InputError: a file is missing or not whole, or an argument is out of range.
    """

    def __init__(self, folder: str, validation: int = 5000, permutation_seed: int = 0) -> None:
        super().__init__(folder, validation)
        at_least("PermutedMNIST", 0, permutation_seed=permutation_seed)
        self.order = np.random.default_rng(permutation_seed).permutation(self.length)
