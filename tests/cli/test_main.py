"""The command itself: help, version, what it does not know, notes, and pipes that close."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest

import statespace
from statespace.cli import main as module
from statespace.cli.main import COMMANDS, main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = " ".join(capsys.readouterr().out.split())  # lines may be broken anywhere
    assert all(f"{name} {line}" in out for name, line in COMMANDS.items())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_own_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main([command, "--help"])
    assert ending.value.code == 0
    assert "--quiet" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["--version"])
    assert ending.value.code == 0
    assert capsys.readouterr().out == f"statespace {statespace.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["--nonsense"], ["forecast"], ["forecast", "x.csv"], ["demo", "x"]]
)
def test_what_is_not_known_is_one_line_and_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--help" in err


def test_warnings_become_notes_and_those_of_others_are_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: object) -> int:
        warnings.warn("something of ours", stacklevel=1)
        warnings.warn("something of a library", FutureWarning, stacklevel=1)
        return 0

    before = warnings.showwarning
    monkeypatch.setattr(module, "import_module", lambda _: SimpleNamespace(run=run, add_arguments=lambda _: None))
    assert main(["demo"]) == 0
    assert capsys.readouterr().err == "note: something of ours\n"
    assert warnings.showwarning is before


def test_an_interrupt_anywhere_is_code_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "import_module", interrupted)  # before there is a parser
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted: nothing was written\n"


def test_an_error_of_our_own_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "import_module", lambda _: SimpleNamespace(run=broken, add_arguments=lambda _: None))
    with pytest.raises(RuntimeError, match="a bug"):
        main(["demo"])


def test_the_help_needs_no_heavy_library() -> None:
    script = (
        "import sys; from statespace.cli.main import main; main([]); print(*{'torch', 'pandas'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == ""
