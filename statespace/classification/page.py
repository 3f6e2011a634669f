"""An evaluation as one page of HTML that needs no other file: numbers, tables, and pictures within it."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}th,td{padding:.25em .8em;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}img{max-width:100%}@media(prefers-color-scheme:dark){
body{background:#16181d;color:#ddd}th,td{border-color:#444}img{background:#fff}}"""


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}"
    return escape(str(value))


def _table(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
    rows = ("".join(f"<td>{_cell(value)}</td>" for value in row) for row in table.itertuples(index=False))
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def page(
    title: str, summary: dict[str, Any], tables: dict[str, pd.DataFrame], pictures: Sequence[tuple[str, Path]]
) -> str:
    """Return the page.

    Args:
        title: its heading.
        summary: numbers by name.
        tables: by heading.
        pictures: headings with PNG files, which are put into the page.
    Returns:
        HTML.
    """
    numbers = pd.DataFrame([(name.replace("_", " "), value) for name, value in summary.items()], columns=["", "value"])
    parts = [_table(numbers)]
    for heading, path in pictures:
        data = b64encode(path.read_bytes()).decode()
        parts.append(f'<h2>{escape(heading)}</h2><img alt="{escape(heading)}" src="data:image/png;base64,{data}">')
    parts += [f"<h2>{escape(heading)}</h2>{_table(table)}" for heading, table in tables.items()]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{''.join(parts)}</html>\n"
    )
