"""Lines as they come, from a pipe or a file, until it ends or somebody asks to stop."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

_CHUNK, _CHUNKS = 1 << 20, 4  # bytes that are read at once, and how often before they are looked at


class Lines:
    """Whole lines from a file descriptor, until it ends, or SIGTERM or Ctrl-C comes.

    Args:
        descriptor: where they come from.
        rest: of a line, which stands before the first byte.
    Attributes:
        rest: of a line that has not ended.
        stopped: number of the signal that has come, or 0.
    """

    def __init__(self, descriptor: int, rest: bytes) -> None:
        self._descriptor, self.rest, self.stopped, self._ended = descriptor, rest, 0, False
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        # A pipe holds 64 KiB, so that the rows of one stamp of many series would come in parts.
        with suppress(ImportError, AttributeError, OSError):
            fcntl = import_module("fcntl")
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _CHUNK)

    def _stop(self, number: int, *_: Any) -> None:
        self.stopped = number

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM and Ctrl-C as the wish to stop."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        woken = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(self._wake)

    def _waiting(self) -> bytes:
        """Return what has come, up to a limit: many rows at once take less time than in parts as large as a pipe."""
        parts = [os.read(self._descriptor, _CHUNK)]
        while parts[-1] and len(parts) < _CHUNKS and self.more():
            parts.append(os.read(self._descriptor, _CHUNK))
        return b"".join(parts)

    def more(self, patience: float = 0.0) -> bool:
        """Return whether there is more to read within so many seconds; not after the end."""
        return not self._ended and bool(select.select([self._descriptor], [], [], patience)[0])

    def give_back(self, text: bytes) -> None:
        """Take the last lines again, to stand before what is read next."""
        self.rest = text + self.rest

    def __iter__(self) -> Iterator[bytes]:
        while not self.stopped:
            ready, _, _ = select.select([self._descriptor, self._woken], [], [])
            if self.stopped or self._descriptor not in ready:  # a pipe may close as the wish to stop comes
                continue
            found = self._waiting()
            self._ended = not found
            whole, newline, self.rest = (self.rest + found).rpartition(b"\n") if found else (self.rest, b"", b"")
            if whole or newline:
                yield whole + newline
            if self._ended:
                return
