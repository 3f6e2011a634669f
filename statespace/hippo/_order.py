"""Check of a state size."""

from typing import SupportsIndex

from statespace.errors import InputError


def check_order(where: str, n: int, pairs: bool = False) -> None:
    """Check that `n` is a state size: a positive integer, even where the states come in conjugate pairs.

    Args:
        where: the function that was called, for the message.
        n: the state size.
        pairs: whether the states are conjugate pairs.
    Raises:
        InputError: `n` is not such a number.
    """
    whole = isinstance(n, SupportsIndex) and not isinstance(n, bool)
    if not whole or n < 1:
        least = 2 if pairs else 1
        raise InputError(f"{where}: n is {n!r}, but a whole number of states is expected: pass {least} or more.")
    if pairs and n % 2:
        near = f"{n - 1} or {n + 1}" if n > 1 else "2"
        raise InputError(
            f"{where}: n is {n}, but its eigenvalues are conjugate pairs, so an even number is expected: pass {near}."
        )
