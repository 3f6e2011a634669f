"""``statespace verify``: every discretization against SciPy, on a family of systems or on the user's own."""

import argparse
import re
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from statespace.discretization import METHODS, find_method
from statespace.discretization._arguments import check_alpha
from statespace.errors import InputError
from statespace.files import expect_writable_folder, replace_folder_atomically
from statespace.systems import StateSpace, cont2discrete
from statespace.verification import cut_short, disputed, error_over_dt, read_system, summarise, verify, verify_families
from statespace.verification.summary import NOTES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace verify``."""
    parser.add_argument(
        "system",
        nargs="?",
        help="a system, .json or .npz with A, B, C, D or num, den or z, p, k; without it a family of systems is tried",
    )
    # argparse takes -1e-3 for an option otherwise (mended in Python 3.14)
    parser._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)
    parser.add_argument("--num", nargs="+", type=float, metavar="N", help="numerator, highest power first")
    parser.add_argument("--den", nargs="+", type=float, metavar="N", help="denominator, highest power first")
    parser.add_argument(
        "--dt",
        nargs="+",
        type=float,
        metavar="S",
        help="step or steps in s; needed for a system (the family: six decades)",
    )
    parser.add_argument("--method", nargs="+", metavar="NAME", help=f"methods (default: all): {', '.join(METHODS)}")
    parser.add_argument("--alpha", type=float, default=None, help="weight of the end of the step, for gbt")
    parser.add_argument(
        "--quiet", action="store_true", help="print nothing but errors; the exit code and the files tell the result"
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="write verify.csv and verify.png there (default: verify/ for the family, nothing for a system)",
    )


def _given_system(options: argparse.Namespace) -> StateSpace | None:
    if (options.num is None) != (options.den is None):
        missing = "--den" if options.den is None else "--num"
        raise InputError(f"verify: {missing} is missing: a transfer function needs --num and --den.")
    if options.num is not None:
        if options.system is not None:
            raise InputError("verify: both a file and --num, --den are given: leave one of them out.")
        return StateSpace.from_transfer_function(options.num, options.den)
    return None if options.system is None else read_system(options.system)


def _show_matrices(system: StateSpace, dt: float, method: str, alpha: float | None) -> None:
    discrete = cont2discrete(system, dt, method, alpha)
    print(f"\n{method}, dt = {dt:g} s")
    with np.printoptions(precision=17, linewidth=160, threshold=4096):
        for name, matrix in zip("ABCD", discrete, strict=False):
            assert not isinstance(matrix, float | None)
            lines = str(matrix.numpy()).splitlines()
            print(f"{name} = " + "\n    ".join(lines))


def _print_table(table: pd.DataFrame) -> None:
    print(table.to_string(float_format="{:.1e}".format, index=False))


def run(options: argparse.Namespace) -> int:
    """Compare, print, write, and return 0 only if everything holds."""
    with redirect_stdout(StringIO() if options.quiet else sys.stdout):
        return _compare(options)


def _verify_one(system: StateSpace, options: argparse.Namespace, methods: list[str] | None) -> pd.DataFrame:
    """Verify the user's own system, and only then print its discrete matrices."""
    if options.dt is None:
        raise InputError("verify: --dt is missing: say the step in seconds, such as --dt 0.01.")
    alpha = options.alpha
    if methods is None:
        methods = [name for name in METHODS if METHODS[name].alpha != "required" or alpha is not None]
        if (system.D != 0).any():
            methods = [name for name in methods if not METHODS[name].strictly_proper]
    for name in methods:
        if METHODS[name].alpha == "required":
            check_alpha(name, alpha)
    table = verify(system, options.dt, methods, 0.5 if alpha is None else alpha)
    margin = system.stability_margin().item()
    if margin <= 0:
        print(f"The continuous system is not stable: its stability margin is {margin:.3g} 1/s.")
    for method in dict.fromkeys(methods):
        for dt in dict.fromkeys(options.dt):
            _show_matrices(system, dt, method, alpha)
    print()
    return table


def _compare(options: argparse.Namespace) -> int:
    system = _given_system(options)
    methods = None if options.method is None else [find_method("verify", name).name for name in options.method]
    out = options.out if options.out is not None or system is not None else "verify"
    if out is not None:
        expect_writable_folder("verify --out", out)
    if system is None:
        if options.alpha is not None:
            raise InputError("verify: --alpha belongs to a system: name a file, or --num and --den.")
        table = verify_families(methods=methods, **({} if options.dt is None else {"dt": options.dt}))
    else:
        table = _verify_one(system, options, methods)
    _print_table(summarise(table))
    print(f"\n{NOTES}")
    for found, title in (
        (cut_short(table), "Responses that could not be compared over all 40 steps (the shortest of each method):"),
        (disputed(table), "Where SciPy and we disagree, both to 50 digits (the worst of each system):"),
    ):
        if len(found):
            print(f"\n{title}")
            _print_table(found)
    failed = table[~table["holds"]]
    if len(failed):
        print("\nWhat does not hold:")
        _print_table(failed)
    if out is not None:
        with replace_folder_atomically("verify --out", out) as folder:
            table.to_csv(folder / "verify.csv", index=False)
            error_over_dt(table, folder / "verify.png")
        print(f"\nEvery comparison is in {Path(out) / 'verify.csv'}, the errors over dt in {Path(out) / 'verify.png'}")
    return 1 if len(failed) else 0
