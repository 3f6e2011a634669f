"""One page of HTML that needs no other file: the parts that all reports share, with every name escaped."""

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}th,td{padding:.25em .8em;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}img{max-width:100%}@media(prefers-color-scheme:dark){
body{background:#16181d;color:#ddd}th,td{border-color:#444}img,.chart{background:#fff}}"""


def number(value: float) -> str:
    """Return a number with three decimals, NaN as a dash."""
    return "–" if value != value else f"{value:.3f}"


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else escape(str(value))


def table(frame: "pd.DataFrame") -> str:
    """Return a data frame as a table of HTML, numbers with three decimals and NaN as a dash."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    rows = ("".join(f"<td>{_cell(value)}</td>" for value in row) for row in frame.itertuples(index=False))
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def section(heading: str, *content: str, depth: int = 2) -> str:
    """Return a heading, which is text, with what follows it, which is HTML."""
    return f"<h{depth}>{escape(heading)}</h{depth}>{''.join(content)}"


def whole_page(title: str, *content: str, head: str = "") -> str:
    """Return the page.

    Args:
        title: its heading, text.
        content: what stands below it, HTML.
        head: what stands in its head besides the title and the style, HTML.
    Returns:
        HTML.
    """
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"{head}<h1>{escape(title)}</h1>{''.join(content)}</html>\n"
    )
