"""Series from a table in parts: a part is read, put on the grid and let go before the next one comes.

So what is in memory at once is one part, and 8 bytes for each step and column. That takes parts which hold all rows of
their series: a table of which a series goes on from one part into another is read as a whole.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from statespace.datasets import each_part, part_files
from statespace.datasets.frames import Table
from statespace.errors import InputError
from statespace.forecasting.calendar import IRREGULAR
from statespace.forecasting.panel import Columns, Panel, panel


def read_panel(where: str, table: Table, columns: Columns, freq: object = None) -> Panel:
    """Put the series of a table on a regular grid, as `panel` does; of one in parts, part by part.

    Args:
        where: the function or option, for the messages.
        table: a row for each observation, or the folder of its parts.
        columns: names of its columns.
        freq: as `panel` takes it.
    Returns:
        The series, in the order of their names.
    Raises:
        InputError: as `panel` does; the message names the part.
    """
    if not isinstance(table, str | Path) or freq == IRREGULAR:
        return panel(where, table, columns, freq)
    pieces: list[Panel] = []
    known: set[object] = set()
    for file, part in zip(part_files(table), each_part(table, columns.all), strict=True):
        if len(part) == 0:
            continue
        try:
            piece = panel(where, part, columns, pieces[0].freq if pieces else freq)
        except InputError as error:
            if freq is None:  # what one part does not tell, the whole table may
                break
            raise InputError(f"{error} The part is {str(file)!r}.") from error
        if known & set(piece.ids):
            break
        known |= set(piece.ids)
        pieces.append(piece)
    else:
        if pieces:
            return _together(pieces)
    return panel(where, table, columns, freq)


def _together(pieces: Sequence[Panel]) -> Panel:
    """Join panels of different series, in the order of their names."""
    ids = [name for piece in pieces for name in piece.ids]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    lengths = np.concatenate([piece.lengths for piece in pieces])
    starts = lengths.cumsum() - lengths
    values = np.concatenate([piece.values for piece in pieces])
    beside = np.concatenate([piece.beside for piece in pieces])
    if order != list(range(len(ids))):
        at = np.concatenate([np.arange(starts[place], starts[place] + lengths[place]) for place in order])
        values, beside = values[at], beside[at]
    last = [stamp for piece in pieces for stamp in piece.last]
    return replace(
        pieces[0],
        ids=[ids[place] for place in order],
        values=values,
        lengths=lengths[order],
        last=[last[place] for place in order],
        beside=beside,
    )
