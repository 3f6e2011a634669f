"""Cases of the UCR and UEA archives: ``.ts`` and ``.tsv`` files, plain or compressed with gzip.

A case is a signal of one or more channels with a class or, in regression archives, a number. Lengths may differ from
case to case, in ``.tsv`` files by padding with NaN at the end, which is taken away here; NaN elsewhere (``?`` in
``.ts``) stays. Where all classes of a file are whole numbers, they are taken as such, and come back without zeros or
exponents: ``0``, ``00``, ``0.0`` and NumPy's ``0.000e+00`` are one. As soon as one is not, all stay as they are
written.

Source: Dau et al., The UCR Time Series Archive, 2019; Bagnall et al., The UEA Multivariate Time Series Classification
Archive, 2018; the format is described in aeon's documentation.
"""

import gzip
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from statespace.errors import InputError

SUFFIXES = (".ts", ".ts.gz", ".tsv", ".tsv.gz")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)  # and no more, as float takes


class Cases(NamedTuple):
    """Signals with their classes.

    Attributes:
        X: a signal for each case, ``(channels, length)``, float32; the lengths may differ.
        y: a class for each case, as text, whole numbers in one form, see the module; or a number in regression
            archives.
    """

    X: list[np.ndarray]
    y: np.ndarray


def _lines(path: Path) -> list[str]:
    where = f"read_archive: {str(path)!r}"
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return file.read().decode("utf-8").splitlines()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{where} is not a whole gzip file ({error}): copy it anew.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"read_archive: {str(path)!r} is not UTF-8 text ({error.reason}): save it as UTF-8."
        ) from error
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror}): check its name.") from error


def _numbers(where: str, text: str) -> np.ndarray:
    values = [value.strip() for value in text.split(",")]
    try:
        return np.array([np.nan if value in ("?", "") else float(value) for value in values], dtype=np.float32)
    except ValueError as error:
        raise InputError(f"{where} holds {str(error).split(': ')[-1]}, which is not a number.") from error


def _header(path: Path, lines: list[str]) -> tuple[dict[str, list[str]], int]:
    """Return the tags above ``@data`` with their values, in lower case, and the number of the line after it."""
    tags: dict[str, list[str]] = {}
    for number, line in enumerate(lines):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].lower() == "@data":
            return tags, number + 1
        if not words[0].startswith("@"):
            break
        tags[words[0].lower()] = [word.lower() for word in words[1:]]
    raise InputError(f"read_archive: {str(path)!r} has no line '@data' after its header: is it a .ts file?")


def _read_ts(path: Path) -> Cases:
    lines, where = _lines(path), f"read_archive: {str(path)!r}"
    tags, first = _header(path, lines)
    if tags.get("@timestamps", ["false"])[:1] == ["true"]:
        raise InputError(f"{where} has time stamps beside its values, which are not read: drop them.")
    is_number = tags.get("@targetlabel", ["false"])[:1] == ["true"]
    if not is_number and tags.get("@classlabel", ["false"])[:1] != ["true"]:
        raise InputError(f"{where} has neither classes nor targets: '@classLabel true' is expected.")
    X: list[np.ndarray] = []
    y: list[str] = []
    for number, line in enumerate(lines[first:], first + 1):
        if not line.strip():
            continue
        where = f"read_archive: line {number} of {str(path)!r}"
        *channels, label = line.split(":")
        if not channels:
            raise InputError(f"{where} has no ':' before its class: channels and class are separated by colons.")
        signals = [_numbers(where, channel) for channel in channels]
        if len({len(signal) for signal in signals}) != 1:
            raise InputError(f"{where} has channels of {sorted({len(s) for s in signals})} samples: give all the same.")
        if X and len(signals) != len(X[0]):
            raise InputError(
                f"{where} has {len(signals)} channels, but {len(X[0])} are expected, as in the first case."
            )
        X.append(np.stack(signals))
        y.append(label.strip())
    return _whole(path, X, y, is_number)


def _read_tsv(path: Path) -> Cases:
    X: list[np.ndarray] = []
    y: list[str] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"read_archive: line {number} of {str(path)!r}"
        label, *values = line.rstrip("\n").split("\t")
        if not values:
            raise InputError(f"{where} has no tab: a class and the samples, separated by tabs, are expected.")
        signal = _numbers(where, ",".join(values))
        measured = np.flatnonzero(~np.isnan(signal))
        if not len(measured):
            raise InputError(f"{where} holds nothing but NaN: at least one sample is expected.")
        X.append(signal[None, : measured[-1] + 1])
        y.append(label.strip())
    return _whole(path, X, y, is_number=False)


def _one_form(labels: list[str]) -> list[str]:
    """Write whole numbers in one way, if all labels are such and float64 tells them apart."""
    numbers = [float(label) if _NUMBER.fullmatch(label) else np.nan for label in labels]
    whole = all(number.is_integer() and abs(number) < 2**53 for number in numbers)
    return [str(int(number)) for number in numbers] if whole else labels


def _whole(path: Path, X: list[np.ndarray], y: list[str], is_number: bool) -> Cases:
    if not X:
        raise InputError(f"read_archive: {str(path)!r} has no cases: at least one is expected.")
    if not is_number:
        return Cases(X, np.array(_one_form(y)))
    return Cases(X, _numbers(f"read_archive: a target of {str(path)!r}", ",".join(y)).astype(np.float64))


def read_archive(path: Path | str) -> Cases:
    """Read the cases of one file of the UCR or UEA archive.

    Args:
        path: a file that ends in one of `SUFFIXES`.
    Returns:
        The signals, and their classes or targets.
    Raises:
        InputError: the file is not there, broken, or not in its format; the message names the line.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".ts"):
        return _read_ts(path)
    if name.endswith(".tsv"):
        return _read_tsv(path)
    raise InputError(
        f"read_archive: {str(path)!r} ends in {path.suffix or 'no suffix'!r}, "
        f"but one of {', '.join(SUFFIXES)} is expected."
    )
