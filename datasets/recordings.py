"""Whole data sets of recordings, as signals of one rate and one number of channels, with what is said of them.

Folders, tables and single files of recordings are listed as `datasets.listing` has it. Beside them, a ``.ts`` or
``.tsv`` archive and a long table with the columns ``case``, ``time`` and one a channel are taken as they are: neither
knows a sampling rate, and ``.npy`` files, ``(channels, n)`` or ``(n,)``, do not either.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from statespace.datasets.archives import SUFFIXES as ARCHIVES
from statespace.datasets.archives import read_archive
from statespace.datasets.listing import FILES, GROUP, LABEL, PATH, SPLIT, Entry, list_folder, list_table
from statespace.datasets.long_table import CASE, TIME, read_long
from statespace.datasets.readers import SUFFIXES as TABLES
from statespace.datasets.readers import read_frame
from statespace.datasets.resampling import resample, resampled_length
from statespace.datasets.stored import StoredFile, StoredSignals, read_file
from statespace.errors import InputError, choose

RATES, CHANNELS, UNREADABLE = ("resample", "refuse", "keep"), ("refuse", "mono"), ("stop", "skip")
_SHOWN = 5  # files named in a message


@dataclass(frozen=True)
class Recordings:
    """Signals with what is said of them.

    Attributes:
        signals: ``(channels, n)`` each, float32: a list, or `StoredSignals`, which are read when they are asked for.
        names: how each is called in the source.
        labels: the class of each, or ``None`` where the source knows none.
        groups: whom each comes from, or ``None``.
        splits: the part of the data that each belongs to, or ``None``.
        rate: samples in a second that all have, in Hz; ``None`` where it is not known, or not the same.
        rates: that of each, ``None`` where it is not known.
        skipped: the names of what could not be read, and why.
        targets: the number to be found of each, ``(b,)``, in regression archives; else ``None``.
    """

    signals: Sequence[np.ndarray]
    names: list[str]
    labels: list[str] | None
    groups: list[str] | None
    splits: list[str] | None
    rate: float | None
    rates: list[float | None]
    skipped: list[tuple[str, str]]
    targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.signals)

    @property
    def channels(self) -> int:
        """Channels that each has."""
        return _widths(self.signals)[0]

    @property
    def turned(self) -> str | None:
        """The name of the first ``.npy`` file that looks transposed: it has more channels than samples."""
        shapes = zip(_widths(self.signals), _lengths(self.signals), self.names, strict=True)
        return next((name for width, length, name in shapes if width > length and name.lower().endswith(".npy")), None)

    def in_split(self, name: str) -> list[int]:
        """Return the rows of a split, however its name is written: ``Train`` and ``train`` are one."""
        return [row for row, split in enumerate(self.splits or []) if split.strip().casefold() == name.casefold()]

    def take(self, rows: Sequence[int]) -> "Recordings":
        """Return some of the recordings."""

        def some(values: list[str] | None) -> list[str] | None:
            return None if values is None else [values[row] for row in rows]

        return replace(
            self,
            signals=_some(self.signals, rows),
            names=[self.names[row] for row in rows],
            labels=some(self.labels),
            groups=some(self.groups),
            splits=some(self.splits),
            rates=[self.rates[row] for row in rows],
            targets=None if self.targets is None else self.targets[list(rows)],
        )


def _some(signals: Sequence[np.ndarray], rows: Sequence[int]) -> Sequence[np.ndarray]:
    return signals.take(rows) if isinstance(signals, StoredSignals) else [signals[row] for row in rows]


def _widths(signals: Sequence[np.ndarray]) -> list[int]:
    return signals.widths if isinstance(signals, StoredSignals) else [len(signal) for signal in signals]


def _lengths(signals: Sequence[np.ndarray]) -> list[int]:
    return list(signals.lengths) if isinstance(signals, StoredSignals) else [signal.shape[1] for signal in signals]


def _gaps(signals: Sequence[np.ndarray]) -> list[bool]:
    if isinstance(signals, StoredSignals):
        return [file.has_gaps for file in signals.files]
    return [bool(np.isnan(signal).any()) for signal in signals]


def _known(values: Sequence[str | None]) -> list[str] | None:
    return None if None in values else [str(value) for value in values]


def _read_files(entries: list[Entry], unreadable: str, in_memory: bool) -> Recordings:
    kept: list[Entry] = []
    signals: list[np.ndarray] = []
    files: list[StoredFile] = []
    rates: list[float | None] = []
    skipped: list[tuple[str, str]] = []
    for entry in entries:
        try:
            signal, rate = read_file(entry.path)
        except InputError as error:
            skipped.append((entry.name, str(error)))
            continue
        kept.append(entry)
        if in_memory:
            signals.append(signal)
        else:
            width, length = signal.shape
            files.append(StoredFile(entry.path, width, length, bool(np.isnan(signal).any())))
        rates.append(rate)
    if len(skipped) == 1 and not kept:
        raise InputError(skipped[0][1])
    names = ", ".join(repr(name) for name, _ in skipped[:_SHOWN]) + (" …" if len(skipped) > _SHOWN else "")
    if skipped and (unreadable == "stop" or not kept):
        hint = "mend or remove them" + (", or skip them: unreadable='skip', or --unreadable skip" if kept else "")
        raise InputError(
            f"read_recordings: {len(skipped)} of {len(entries)} recordings cannot be read ({names}): {hint}; of the "
            f"first: {skipped[0][1]}"
        )
    if skipped:
        _tell(f"{len(skipped)} of {len(entries)} recordings cannot be read and were left out: {names}.")
    return Recordings(
        signals if in_memory else StoredSignals(files),
        [entry.name for entry in kept],
        _known([entry.label for entry in kept]),
        _known([entry.group for entry in kept]),
        _known([entry.split for entry in kept]),
        None,
        rates,
        skipped,
    )


def _tell(message: str) -> None:
    warnings.warn(f"read_recordings: {message}", stacklevel=3)


def _without_rates(
    signals: list[np.ndarray],
    names: list[str],
    labels: list[str] | None,
    groups: list[str] | None = None,
    splits: list[str] | None = None,
) -> Recordings:
    return Recordings(signals, names, labels, groups, splits, None, [None] * len(signals), [])


def _read_archive(path: Path) -> Recordings:
    signals, y = read_archive(path)
    names = [str(row) for row in range(len(signals))]
    if y.dtype.kind == "f":
        return replace(_without_rates(signals, names, None), targets=y)
    return _without_rates(signals, names, y.tolist())


def _read_table(path: Path, unreadable: str, in_memory: bool) -> Recordings:
    table = read_frame(path, text=(PATH, LABEL, GROUP, SPLIT, CASE))
    if PATH in table.columns:
        return _read_files(list_table("read_recordings", table, path.parent), unreadable, in_memory)
    if CASE in table.columns and TIME in table.columns:
        return _without_rates(*read_long(str(path), table))
    raise InputError(
        f"read_recordings: {str(path)!r} has the columns {', '.join(map(str, table.columns[:8]))}, but either "
        f"{PATH!r}, or {CASE!r} and {TIME!r}, are expected: name them so in its first line."
    )


def _read(source: Path, unreadable: str, in_memory: bool) -> Recordings:
    name = source.name.lower()
    if source.is_dir():
        listed = list_folder("read_recordings", source, _tell, skip_empty=unreadable == "skip")
        return _read_files(listed, unreadable, in_memory)
    if not source.exists():
        raise InputError(f"read_recordings: there is no file or folder {str(source)!r}: check its name.")
    if name.endswith(FILES):
        return _read_files([Entry(source, source.name)], "stop", in_memory)
    if name.endswith(ARCHIVES):
        return _read_archive(source)
    if name.endswith(TABLES):
        return _read_table(source, unreadable, in_memory)
    raise InputError(
        f"read_recordings: {str(source)!r} is neither a folder nor one of {', '.join((*FILES, *ARCHIVES, *TABLES))}."
    )


def _at_one_rate(found: Recordings, rate: float | None, assumed: float | None, how: str) -> Recordings:
    stated = [assumed if given is None else float(given) for given in found.rates]
    counts = Counter(given for given in stated if given is not None)
    if not counts:
        return replace(found, rate=rate)
    target = counts.most_common(1)[0][0] if rate is None else rate
    own = [target if given is None else given for given in stated]
    others = Counter(given for given in own if given != target)
    if how == "keep":
        return replace(found, rate=None if others else target, rates=[*own])
    if not others:
        return replace(found, rate=target, rates=[*own])
    listed = ", ".join(f"{count} at {given:g} Hz" for given, count in others.most_common(_SHOWN))
    if how == "refuse":
        raise InputError(
            f"read_recordings: {others.total()} of {len(own)} recordings are not at {target:g} Hz ({listed}): resample "
            "them, or pass rates='resample', or --rates resample."
        )
    _tell(f"{others.total()} of {len(own)} recordings were resampled to {target:g} Hz: {listed}.")
    gaps = _gaps(found.signals)
    for given, has_gaps, name in zip(own, gaps, found.names, strict=True):
        if given != target and has_gaps:
            raise InputError(f"read_recordings: {name!r} has gaps (NaN), so it cannot be resampled: fill them.")
        try:
            resampled_length(1, given, target)
        except InputError as error:
            raise InputError(f"read_recordings: {name!r} cannot be resampled; {error}") from error
    if isinstance(found.signals, StoredSignals):
        signals: Sequence[np.ndarray] = found.signals.resampled(own, target)
    else:
        signals = [resample(signal, given, target) for signal, given in zip(found.signals, own, strict=True)]
    return replace(found, signals=signals, rate=target, rates=[target] * len(signals))


def _with_one_width(found: Recordings, how: str) -> Recordings:
    widths = Counter(_widths(found.signals))
    if found.turned is not None and (how == "mono" or len(widths) > 1):
        shape = found.signals[found.names.index(found.turned)].shape
        raise InputError(
            f"read_recordings: {found.turned!r} has {shape[0]} channels of {shape[1]} samples: it looks transposed. "
            "Time is the last axis: save signals as (channels, n), such as by numpy.save(path, signal.T)."
        )
    if how == "mono":
        if set(widths) == {1}:
            return found
        if isinstance(found.signals, StoredSignals):
            return replace(found, signals=found.signals.mixed_down())
        return replace(found, signals=[signal.mean(0, keepdims=True) for signal in found.signals])
    if len(widths) > 1:
        usual = widths.most_common(1)[0][0]
        odd = next(name for name, width in zip(found.names, _widths(found.signals), strict=True) if width != usual)
        listed = ", ".join(f"{count} with {width}" for width, count in widths.most_common(_SHOWN))
        raise InputError(
            f"read_recordings: the recordings have different numbers of channels ({listed}; {odd!r} is not as most): "
            "give all the same, or mix them down: channels='mono', or --channels mono."
        )
    return found


def read_recordings(
    source: Path | str,
    rate: float | None = None,
    rates: str = "resample",
    channels: str = "refuse",
    unreadable: str = "stop",
    assumed: float | None = None,
    in_memory: bool = True,
) -> Recordings:
    """Read all recordings of a folder, a table, an archive or a file.

    Args:
        source: see the module.
        rate: samples in a second that all are wanted to have, in Hz; ``None``: as most of them have.
        rates: what to do with those at another rate: ``"resample"`` them by a polyphase filter, ``"refuse"`` them, or
            ``"keep"`` each at its own.
        channels: what to do where recordings have different numbers of channels: ``"refuse"`` them, or mix all down to
            ``"mono"``.
        unreadable: what to do with files that are broken, cut short or empty, and with classes that have none:
            ``"stop"``, or ``"skip"`` them.
        assumed: rate of what does not state one, in Hz; ``None``: `rate`, or as most of the others have.
        in_memory: whether recordings are kept; else each is looked through, and read anew whenever it is asked for, so
            that a folder may be larger than memory. Archives and long tables are kept in any case.
    Returns:
        The recordings. A warning says how many were resampled, and which were left out.
    Raises:
        InputError: the source is not there or none of these, holds nothing that can be read, or holds what is to be
            refused; the message names the file.
    """
    choose("read_recordings", "rates", rates, RATES)
    choose("read_recordings", "channels", channels, CHANNELS)
    choose("read_recordings", "unreadable", unreadable, UNREADABLE)
    for name, value in (("rate", rate), ("assumed", assumed)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(
                f"read_recordings: {name} is {value}, but a positive number of samples in a second is expected."
            )
    try:
        found = _read(Path(source), unreadable, in_memory)
    except OSError as error:
        raise InputError(
            f"read_recordings: {str(source)!r} cannot be read ({error.strerror}): check its name."
        ) from error
    return _at_one_rate(_with_one_width(found, channels), rate, assumed, rates)
