"""What tests of the command line share."""

from collections.abc import Callable

import pytest

from statespace.cli.main import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command line; return its code, and what it wrote to stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code: object = main(list(arguments))
        except SystemExit as ending:  # of argparse
            code = ending.code
        out, err = capfd.readouterr()
        assert isinstance(code, int)
        return code, out, err

    return call
