"""What the arguments of `Forecaster` may be: each checked by itself, with a sentence where it is not."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from statespace.errors import InputError, choose
from statespace.forecasting.calendar_features import names_of
from statespace.forecasting.panel import Columns
from statespace.forecasting.scalers import SCALERS
from statespace.layers import LAYERS
from statespace.layers.mixing import MIXINGS
from statespace.models import OUTPUTS
from statespace.models.instance_norm import NORMS, REVERSIBLE

AUTO = "auto"
_WHERE = "Forecaster"
_MOST = 2**31 - 1
_NAMES = {
    "layer": (AUTO, *LAYERS),
    "strategy": ("auto", "ddp"),
    "mixing": ("auto", *MIXINGS),
    "transform": ("auto", "log", "boxcox", "none"),
    "intervals": ("quantile", "conformal"),
    "distribution": tuple(OUTPUTS),
    "point": ("median", "mean"),
    "local_scaler_type": tuple(SCALERS),
    "scaler_type": (*(name for name in NORMS if name != "scale"), REVERSIBLE),
}
_COUNTS = ("h", "max_steps", "batch_size", "d_model", "n_layers", "d_state", "val_check_steps", "devices")
_COUNTS_OR_NONE = {"input_size": 1, "season_length": 1, "val_size": 0}
LISTS = ("futr_exog_list", "hist_exog_list", "stat_exog_list", "calendar", "holidays")
_TEXTS = ("id_col", "time_col", "target_col", "accelerator")
_TEXTS_OR_NONE = ("weight_col", "alias")
_SWITCHES = ("verbose", "multivariate")


def _whole(name: str, value: object, least: int, most: int = _MOST) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{_WHERE}: {name} is {value!r}, but a whole number from {least} on is expected.")
    if value > most:
        raise InputError(f"{_WHERE}: {name} is {value!r}, but a whole number up to {most} is expected.")


def _number(name: str, value: object, low: float, high: float, expected: str, include_low: bool = True) -> None:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not (low < value < high or (include_low and value == low)):  # type: ignore[operator]  # a number
        raise InputError(f"{_WHERE}: {name} is {value!r}, but {expected} is expected.")


def _names(option: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, str):
        raise InputError(f"{_WHERE}: {option} is {value!r}, but a list of names is expected: write [{value!r}].")
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
        raise InputError(f"{_WHERE}: {option} is {value!r}, but a list of names, as text, is expected.")


def listed(names: object) -> tuple[str, ...]:
    """Return a list of names, or none, as a tuple."""
    return () if names is None else tuple(names)  # type: ignore[arg-type]  # checked by check_options


def check_options(options: Mapping[str, Any], name: str) -> None:
    """Check the arguments of a `Forecaster`.

    Args:
        options: by name.
        name: of the forecast's column.
    Raises:
        InputError: one is out of range or not known, or two of them do not go together.
    """
    for count in _COUNTS:
        _whole(count, options[count], 1)
    for count, least in _COUNTS_OR_NONE.items():
        if options[count] is not None:
            _whole(count, options[count], least)
    _whole("early_stop_patience_steps", options["early_stop_patience_steps"], -1)
    _whole("random_seed", options["random_seed"], 0, 2**63 - 1)
    for option, known in _NAMES.items():
        choose(_WHERE, option, options[option], known)
    if options["batch_size"] < options["devices"]:
        raise InputError(
            f"{_WHERE}: batch_size is {options['batch_size']}, but devices={options['devices']} share each batch: "
            "raise it to as many at least."
        )
    infinity = float("inf")
    _number("learning_rate", options["learning_rate"], 0, infinity, "a positive number", include_low=False)
    _number("dropout", options["dropout"], 0, 1, "a probability in [0, 1)")
    _number("weight_decay", options["weight_decay"], 0, infinity, "a number from 0 on")
    if options["augmentation"] is not None:
        _number("augmentation", options["augmentation"], 0, infinity, "a number from 0 on, or None,")
    for option in _TEXTS:
        if not isinstance(options[option], str) or not options[option]:
            raise InputError(f"{_WHERE}: {option} is {options[option]!r}, but a name, as text, is expected.")
    for option in _TEXTS_OR_NONE:
        if options[option] is not None and (not isinstance(options[option], str) or not options[option]):
            raise InputError(f"{_WHERE}: {option} is {options[option]!r}, but a name, as text, or None is expected.")
    for option in _SWITCHES:
        if not isinstance(options[option], bool | np.bool_):
            raise InputError(f"{_WHERE}: {option} is {options[option]!r}, but True or False is expected.")
    for option in LISTS:
        _names(option, options[option])
    names_of(_WHERE, listed(options["calendar"]), listed(options["holidays"]))
    if options["transform"] in ("log", "boxcox") and OUTPUTS[options["distribution"]]().positive:
        raise InputError(
            f"{_WHERE}: transform is {options['transform']!r}, but distribution {options['distribution']!r} is one of "
            "values as they are: use transform='none'."
        )
    if options["multivariate"] and OUTPUTS[options["distribution"]]().positive:
        raise InputError(
            f"{_WHERE}: distribution is {options['distribution']!r}, one of values as they are, but multivariate=True "
            "sets the series beside each other in common units: forecast each alone, or use another distribution."
        )
    _check_columns(options, name)


def _is_of_forecast(column: str, name: str) -> bool:
    return column == name or column.startswith((f"{name}-lo-", f"{name}-hi-", f"{name}_ql"))


def expect_apart(where: str, columns: Columns, name: str, added: str, with_target: bool) -> None:
    """Check that no column of a result takes the place of another.

    Args:
        where: the function, for the message.
        columns: names of the columns of the table.
        name: of the forecast's column.
        added: the column that the function adds to those of a forecast.
        with_target: whether what came stands beside the forecast.
    Raises:
        InputError: two of them have one name.
    """
    own = {"id_col": columns.id, "time_col": columns.time} | ({"target_col": columns.target} if with_target else {})
    for option, column in (own | {"alias": name}).items():
        if column == added:
            raise InputError(
                f"{where}: {option} is {column!r}, but the result has a column {added!r} of its own: choose another "
                "name."
            )
    if with_target and _is_of_forecast(columns.target, name):
        raise InputError(
            f"{where}: target_col is {columns.target!r}, which is also a column of the forecast, and the result has "
            "both: pass another alias, or rename that column."
        )


def _check_columns(options: Mapping[str, Any], name: str) -> None:
    for option in ("id_col", "time_col"):
        column = options[option]
        if _is_of_forecast(column, name):
            raise InputError(
                f"{_WHERE}: {option} is {column!r}, which is also a column of the forecast: rename that column."
            )
    used: dict[str, str] = {}
    for option in ("id_col", "time_col", "target_col", "hist_exog_list", "futr_exog_list", "weight_col"):
        given = options[option]
        # That the three columns of a series differ is said where the table is at hand.
        for column in (given,) if option.endswith("_col") else listed(given):
            if column is not None and column in used and option not in ("time_col", "target_col"):
                raise InputError(
                    f"{_WHERE}: column {column!r} is named by {used[column]} and by {option}: a column has one part to "
                    "play; leave it out of one of them."
                )
            used[column] = option
    static = listed(options["stat_exog_list"])
    for place, column in enumerate(static):
        if column == options["id_col"] or column in static[:place]:
            raise InputError(
                f"{_WHERE}: stat_exog_list is {list(static)}, but {column!r} "
                + (
                    "names the series: leave it out."
                    if column == options["id_col"]
                    else "is there twice: name it once."
                )
            )
