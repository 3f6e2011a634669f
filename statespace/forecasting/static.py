"""What belongs to a series as a whole: numbers, standardised, and categories, each by its place in a list."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from statespace.datasets.frames import as_pandas
from statespace.errors import InputError
from statespace.forecasting.panel import numbers
from statespace.forecasting.stamps import shown


def _checked(where: str, table: pd.DataFrame | None, id_col: str, names: Sequence[str]) -> pd.DataFrame:
    asked = ", ".join(names)
    if table is None:
        raise InputError(
            f"{where}: static_df is missing, but stat_exog_list asks for {asked}: pass a table with {id_col!r} "
            "and these."
        )
    table = as_pandas(where, table, "static_df")
    for name in (id_col, *names):
        if (table.columns == name).sum() != 1:
            found = ", ".join(map(str, table.columns)) or "none"
            raise InputError(
                f"{where}: static_df must have one column {name!r}, but its columns are {found}: add it, or take it "
                "out of stat_exog_list."
            )
    doubled = table[id_col].duplicated()
    if doubled.any():
        raise InputError(
            f"{where}: static_df has two rows for series {shown(table.loc[doubled, id_col].iloc[0])}: keep one."
        )
    return table.set_index(id_col)


def _other_kind(name: Any, index: pd.Index) -> str:
    """Return what sets a series apart from the row that is written alike, where there is one; nothing otherwise."""
    if str(name) not in map(str, index):
        return ""
    there, here = ("text", "numbers") if not isinstance(name, str) else ("numbers", "text")
    return f", and its ids are {there}, while those of df are {here}: write both alike"


@dataclass(frozen=True)
class Static:
    """How the static table is read: which columns are numbers, and what the categories are.

    Attributes:
        names: the columns, in the order of ``stat_exog_list``.
        mean: of each column of numbers, by its name.
        scale: their standard deviation; 1 for a column that is constant.
        categories: values of each other column, in their order, by its name.
    """

    names: tuple[str, ...] = ()
    mean: dict[str, float] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)
    categories: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, where: str, table: pd.DataFrame | None, id_col: str, names: Sequence[str], ids: list[Any]) -> "Static":
        """Read off the static table of the training series what the numbers and the categories are.

        Raises:
            InputError: the table is missing, or a column is.
        """
        if not names:
            return cls()
        rows = _checked(where, table, id_col, names)
        rows = rows.loc[[name for name in ids if name in rows.index]]  # so that the order of the table does not matter
        mean, scale, categories = {}, {}, {}
        for name in names:
            column = rows[name]
            if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
                values = numbers(f"{where}: static_df", column)
                mean[name] = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
                spread = float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
                scale[name] = spread if spread > 1e-12 * abs(mean[name]) else 1.0  # what rounding leaves is none
            else:
                categories[name] = sorted({_plain(value) for value in column.dropna()}, key=str)
        return cls(tuple(names), mean, scale, categories)

    # In the order of `names`: a mapping that was stored comes back in another.
    @property
    def _numbers(self) -> list[str]:
        return [name for name in self.names if name in self.mean]

    @property
    def _categories(self) -> list[str]:
        return [name for name in self.names if name in self.categories]

    @property
    def sizes(self) -> list[int]:
        """Number of values of each category."""
        return [len(self.categories[name]) for name in self._categories]

    def read(
        self, where: str, table: pd.DataFrame | None, id_col: str, ids: list[Any]
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return numbers ``(series, s)`` and places of the categories ``(series, c)``; None where there are none.

        Raises:
            InputError: a series has no row, a number or a category is missing, or a category was not there in
                training.
        """
        if not self.names:
            if table is not None:
                raise InputError(
                    f"{where}: static_df is given, but stat_exog_list is empty: name the columns to use there."
                )
            return None, None
        rows = _checked(where, table, id_col, self.names)
        for name in ids:
            if name not in rows.index:
                raise InputError(
                    f"{where}: static_df has no row for series {shown(name)}: every series needs one"
                    f"{_other_kind(name, rows.index)}."
                )
        rows = rows.loc[ids]
        found, codes = [], []
        for name in self._numbers:
            values = numbers(f"{where}: static_df", rows[name])
            if np.isnan(values).any():
                lost = ids[int(np.isnan(values).argmax())]
                raise InputError(f"{where}: static_df has no number in column {name!r} for series {shown(lost)}.")
            found.append((values - self.mean[name]) / self.scale[name])
        for name in self._categories:
            known = self.categories[name]
            place = {value: i for i, value in enumerate(known)}
            column = []
            for series, value in zip(ids, rows[name], strict=True):
                if pd.isna(value):
                    raise InputError(
                        f"{where}: static_df has no category in column {name!r} for series {shown(series)}: fill it, "
                        "such as by 'unknown', in training and in forecasting alike."
                    )
                if _plain(value) not in place:
                    listed = ", ".join(map(repr, known[:8])) + (" …" if len(known) > 8 else "")
                    raise InputError(
                        f"{where}: static_df has {shown(value)} in column {name!r} for series {shown(series)}, which "
                        f"was not there in training: the categories are {listed}."
                    )
                column.append(place[_plain(value)])
            codes.append(column)
        return (
            np.stack(found, 1) if found else None,
            np.array(codes, np.int64).T if codes else None,
        )


def _plain(value: Any) -> Any:
    """Return a category as JSON can hold it."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | bool | int | float) else str(value)
