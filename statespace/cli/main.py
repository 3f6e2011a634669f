"""The command ``statespace``: one subcommand a job, one file each.

Input that cannot be used ends in one sentence on stderr and exit code 2; Ctrl-C in exit code 130.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from statespace.errors import InputError
from statespace.memory import keep_freed
from statespace.version import __version__

COMMANDS = {
    "forecast": "forecast the series of a table, with intervals, pictures and metrics",
    "backtest": "tell how good forecasts of a table would have been, window by window",
    "classify": "classify recordings and sensor signals: train, predict, eval, stream",
    "demo": "forecast the bundled series",
    "fit": "train what a file describes: a model of any layers, on any task",
    "predict": "forecast a table, or one part of it after the other, by a model that is there",
    "stream": "follow series row by row through a pipe: forecasts, intervals, and what is out of the ordinary",
    "verify": "hold every discretization against SciPy, on a family of systems or on your own",
}
"""Each subcommand with its line of help; ``statespace.cli.<name>`` is loaded when it is chosen."""

FREE = {"fit"}
"""The subcommands that read options themselves which they do not announce; they find them in ``options.others``."""


class Command(Protocol):
    """What the module of a subcommand offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do the job and return the exit code."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence that ends with what to do."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see '{self.prog} --help'\n")


class _Notes:
    """Warnings of ours, kept until the job is done: where it fails, one sentence says why, and nothing beside it."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def __call__(self, message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, UserWarning):
            self.kept.append(str(message))

    def show(self) -> None:
        """Print each once, without the line of code that it came from."""
        for message in dict.fromkeys(self.kept):
            print(f"note: {message}", file=sys.stderr)


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = _Parser(prog="statespace", description="State space models for signals and time series.")
    parser.add_argument("--version", action="version", version=f"statespace {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_Parser)
    for name, line in COMMANDS.items():
        sub = commands.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".", allow_abbrev=False)
        if name == chosen:
            cast(Command, import_module(f"statespace.cli.{name}")).add_arguments(sub)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows ``statespace``; by default what the process was called with.
    Returns:
        The exit code: 0, 2 for input that cannot be used, 130 after Ctrl-C, 141 when a reader closed the pipe.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((argument for argument in given if not argument.startswith("-")), None)
    try:
        parser = _parser(chosen)
        options, others = parser.parse_known_args(given)
        if others and options.command not in FREE:
            parser.error(f"unrecognized arguments: {' '.join(others)}")
        options.others = others
        if options.command is None:
            parser.print_help()
            return 0
        keep_freed()  # a command is a process of its own, and the same tables come again with every step
        notes = _Notes()
        with warnings.catch_warnings():
            warnings.showwarning = notes
            code = cast(Command, import_module(f"statespace.cli.{options.command}")).run(options)
        if not getattr(options, "quiet", False):
            notes.show()
        return code
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
            raise
        print(
            f"{options.command}: the memory does not suffice: ask for fewer steps, or a shorter history.",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
