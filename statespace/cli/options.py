"""Types of options that several subcommands share."""

import argparse


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def level(text: str) -> float:
    """Read a level in percent."""
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage: write 80 or 95") from None


def as_freq(text: str | None) -> str | int | None:
    """Read a frequency: a whole number for integer time, else an alias."""
    return int(text) if text is not None and text.lstrip("+-").isdigit() else text
