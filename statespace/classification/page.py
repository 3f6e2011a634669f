"""An evaluation as one page of HTML that needs no other file: numbers, tables, and pictures within it."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from statespace.page import section, table, whole_page


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
    parts = [table(numbers)]
    for heading, path in pictures:
        data = b64encode(path.read_bytes()).decode()
        parts.append(section(heading, f'<img alt="{escape(heading)}" src="data:image/png;base64,{data}">'))
    parts += [section(heading, table(content)) for heading, content in tables.items()]
    return whole_page(title, *parts)
