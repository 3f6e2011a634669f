"""Results that are whole or absent: files and folders are prepared out of sight, then put in their place.

Whoever works on a forecast for minutes may be interrupted, run out of disk, or be told to write where nothing may be
written. The two context managers here give a path to write to, and put what was written in its place only when the
block has ended well. On any exception, ``KeyboardInterrupt`` included, what was there before is there again, and
nothing half-written remains. Only a process that is killed outright can leave a hidden ``.unfinished-…`` folder.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from statespace.errors import InputError

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _refusal(where: str, path: Path | str, error: OSError) -> InputError:
    reason = error.strerror or str(error)
    return InputError(f"{where}: {str(path)!r} cannot be written ({reason}): choose a place that you may write to.")


@contextmanager
def _workshop(where: str, path: Path | str, folder: Path) -> Iterator[Path]:
    """Give an empty hidden folder inside `folder`, making `folder` if need be, and take it away at the end."""
    missing = [parent for parent in (folder, *folder.parents) if not os.path.lexists(parent)]
    workshop = folder / f".unfinished-{secrets.token_hex(6)}"
    done = False
    try:
        try:
            workshop.mkdir(parents=True)
        except OSError as error:
            raise _refusal(where, path, error) from error
        try:
            yield workshop
        except OSError as error:
            if error.errno in _FULL_DISK or str(workshop) in str(error.filename):
                raise _refusal(where, path, error) from error
            raise
        done = True
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
        if not done:
            for parent in missing:
                with suppress(OSError):
                    parent.rmdir()


def _swap_in(fresh: Path, target: Path, aside: Path, stale: Sequence[str]) -> None:
    """Move every entry of `fresh` into `target`; what stood there goes `aside`, and comes back if anything fails."""
    arriving = sorted(entry.name for entry in fresh.iterdir())
    leaving = [entry.name for entry in target.iterdir() if any(fnmatch(entry.name, pattern) for pattern in stale)]
    moves: list[tuple[Path, Path]] = []
    try:
        for name in dict.fromkeys([*arriving, *leaving]):
            if os.path.lexists(target / name):
                moves.append((target / name, aside / name))
                os.replace(*moves[-1])
        for name in arriving:
            moves.append((fresh / name, target / name))
            os.replace(*moves[-1])
    except BaseException:
        for source, destination in reversed(moves):
            with suppress(FileNotFoundError):  # a move is noted before it is made
                os.replace(destination, source)
        raise


@contextmanager
def replace_atomically(where: str, path: Path | str) -> Iterator[Path]:
    """Write a file beside its place and move it there in one step at the end of the block.

    Args:
        where: the function or option that was called, for the message.
        path: the file to make or to replace; missing folders on the way are made. A link keeps pointing where it did.
    Yields:
        The path to write to, with the same name and suffix as `path`.
    Raises:
        InputError: `path` is something else than a file, or its folder cannot be made or written.
    """
    target = Path(os.path.realpath(path))
    if os.path.lexists(target) and not target.is_file():
        raise InputError(f"{where}: {str(path)!r} is not a file and cannot be replaced by one: choose another name.")
    with _workshop(where, path, target.parent) as workshop:
        yield workshop / target.name
        os.replace(workshop / target.name, target)


@contextmanager
def replace_folder_atomically(where: str, path: Path | str, stale: Sequence[str] = ()) -> Iterator[Path]:
    """Fill a folder out of sight and put it in its place at the end of the block.

    A new folder appears in one step. In one that exists, entries of the same name are replaced, those that match
    `stale` and are not written again are removed, and all others are left alone: they are the user's.

    Args:
        where: the function or option that was called, for the message.
        path: the folder to make or to fill; missing folders on the way are made.
        stale: shell patterns of what an earlier run may have written here, such as ``"*.png"``.
    Yields:
        An empty folder to write to.
    Raises:
        InputError: `path` is something else than a folder, or it cannot be made or written.
    """
    target = Path(os.path.realpath(path))
    exists = os.path.lexists(target)
    if exists and not target.is_dir():
        raise InputError(f"{where}: {str(path)!r} is a file, but a folder is to be written: choose another name.")
    with _workshop(where, path, target if exists else target.parent) as workshop:
        fresh, aside = workshop / "fresh", workshop / "aside"
        fresh.mkdir()
        aside.mkdir()
        yield fresh
        if exists:
            _swap_in(fresh, target, aside, stale)
        else:
            os.replace(fresh, target)


def expect_writable_folder(where: str, path: Path | str) -> None:
    """Check that a folder can be made or filled at `path`, before the work whose result it is to hold.

    Args:
        where: the function or option that was called, for the message.
        path: the folder; nothing of it remains if it was not there.
    Raises:
        InputError: `path` is something else than a folder, or it cannot be made or written.
    """

    class _TriedEnoughError(Exception):
        pass

    with suppress(_TriedEnoughError), replace_folder_atomically(where, path):
        raise _TriedEnoughError
