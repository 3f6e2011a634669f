"""Whole or absent: what the disk holds after success, failure, interruption and refusal."""

import errno
import os
import stat
from pathlib import Path

import pytest

from statespace.errors import InputError
from statespace.files import expect_writable_folder, replace_atomically, replace_folder_atomically


def contents(folder: Path) -> dict[str, str]:
    """Every path below `folder`, hidden ones included, with its text; a folder's text is '/'."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else "/" for path in sorted(folder.rglob("*"))
    }


def test_a_file_appears_with_missing_folders_on_its_way(tmp_path: Path) -> None:
    with replace_atomically("test", tmp_path / "a" / "b" / "table.csv.gz") as path:
        assert path.name == "table.csv.gz"
        path.write_text("new")
    assert contents(tmp_path) == {"a": "/", "a/b": "/", "a/b/table.csv.gz": "new"}


def test_a_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with replace_atomically("test", target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert contents(tmp_path) == {"table.csv": "new"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interrupted_file_leaves_what_was_there(tmp_path: Path, interruption: type[BaseException]) -> None:
    (tmp_path / "table.csv").write_text("old")
    for target in (tmp_path / "table.csv", tmp_path / "a" / "b" / "table.csv"):
        with pytest.raises(interruption), replace_atomically("test", target) as path:
            path.write_text("half")
            raise interruption
    assert contents(tmp_path) == {"table.csv": "old"}


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    with replace_atomically("test", tmp_path / "link.csv") as path:
        path.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_a_device_is_not_replaced_by_a_file() -> None:
    with pytest.raises(InputError, match="is not a file"), replace_atomically("test", os.devnull):
        pass
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_new_files_have_the_permissions_that_the_user_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replace_folder_atomically("test", tmp_path / "model") as folder:
            (folder / "weights").write_text("w")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "model" / "weights").stat().st_mode) == 0o640


def test_a_new_folder_appears_whole(tmp_path: Path) -> None:
    with replace_folder_atomically("test", tmp_path / "a" / "model") as folder:
        (folder / "weights").write_text("w")
        assert not (tmp_path / "a" / "model").exists()
    assert contents(tmp_path) == {"a": "/", "a/model": "/", "a/model/weights": "w"}


def test_an_old_folder_keeps_the_files_of_the_user(tmp_path: Path) -> None:
    for name in ("notes.txt", "airline.png", "co2.png", "forecast.csv"):
        (tmp_path / name).write_text("old")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "leftover").write_text("old")
    with replace_folder_atomically("test", tmp_path, stale=["*.png", "model"]) as folder:
        (folder / "forecast.csv").write_text("new")
        (folder / "airline.png").write_text("new")
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_text("new")
    expected = {"airline.png": "new", "forecast.csv": "new", "notes.txt": "old", "model": "/", "model/weights": "new"}
    assert contents(tmp_path) == expected


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("moves_before", range(5))
def test_a_swap_that_breaks_off_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException], moves_before: int
) -> None:
    for name in ("a", "b", "gone.png"):
        (tmp_path / name).write_text("old")
    before = contents(tmp_path)
    real, calls = os.replace, 0

    def breaks_off(source: Path, destination: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == moves_before + 1:
            raise interruption
        real(source, destination)

    monkeypatch.setattr("statespace.files.os.replace", breaks_off)
    with pytest.raises(interruption), replace_folder_atomically("test", tmp_path, stale=["*.png"]) as folder:
        (folder / "a").write_text("new")
        (folder / "b").write_text("new")
    assert contents(tmp_path) == before


def test_a_file_where_a_folder_is_expected_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    for path in (tmp_path / "model", tmp_path / "model" / "below"):
        with pytest.raises(InputError, match=r"test: .*model"), replace_folder_atomically("test", path):
            pass
    with pytest.raises(InputError, match="cannot be written"), replace_atomically("test", tmp_path / "model" / "x.csv"):
        pass
    assert contents(tmp_path) == {"model": "mine"}


def test_a_folder_where_a_file_is_expected_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"), replace_atomically("test", tmp_path):
        pass


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)  # the superuser may write anywhere
    with pytest.raises(InputError, match=r"'out' cannot be written \(Permission denied\)"):
        expect_writable_folder("test", "out")


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No space left"), replace_atomically("test", tmp_path / "table.csv") as path:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert contents(tmp_path) == {}


def test_errors_about_other_files_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replace_atomically("test", tmp_path / "table.csv"):
        (tmp_path / "another").read_text()


def test_asking_whether_a_folder_can_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    expect_writable_folder("test", tmp_path / "old")
    expect_writable_folder("test", tmp_path / "a" / "new")
    assert contents(tmp_path) == before
    with pytest.raises(InputError, match="is a file"):
        expect_writable_folder("test", tmp_path / "old" / "notes.txt")
