"""How the documentation is built: MyST pages, API pages from docstrings, and examples that run at build time."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from statespace.layers import LAYERS
from statespace.version import __version__

HERE = Path(__file__).parent

project = "statespace"
author = "the statespace developers"
copyright = "the statespace developers, Apache-2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "matplotlib.sphinxext.plot_directive",
]
exclude_patterns = ["_build"]
suppress_warnings = [
    "sphinx_gallery.space_in_filename"
]  # the repository may stand in a folder with a space in its name

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "literal"  # docstrings name arguments in single backticks
napoleon_custom_sections = ["Source"]
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields are described where the class is, once
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88

plot_formats = [("png", 120)]
plot_html_show_formats = False
plot_html_show_source_link = False

html_theme = "furo"
html_title = f"statespace {version}"

if list((HERE.parent / "examples").glob("*.py")):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": "../examples",
        "gallery_dirs": "auto_examples",
        "filename_pattern": r"[\\/]\d\d_",  # numbered files run, in this order; others are only shown
        "within_subsection_order": "FileNameSortKey",
        "download_all_examples": False,
        "remove_config_comments": True,
        "show_signature": False,
        "min_reported_time": 1,
    }


def plurals(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Let a letter follow a literal, as in ``ValueError``s: the markup wants an escaped blank between them."""
    text = re.sub(
        r"(``[^`]+``|`[^`]+`)([a-z]?)", lambda found: r"\ ".join(filter(None, found.groups())), "\n".join(lines)
    )
    lines[:] = text.split("\n")


def skip_fields(app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object) -> bool | None:
    """Leave out the fields of named tuples, of which Python only says "alias for field number 0"."""
    return True if type(thing).__name__ == "_tuplegetter" else None


class LayerTable(SphinxDirective):
    """The table of all layers, with a tick for what each says that it can do."""

    def run(self) -> list[nodes.Node]:
        can = {
            "steps": "one sample at a time",
            "irregular": "unequal times (`dt`)",
            "any_rate": "another rate (`dt_scale`)",
            "selective": "dynamics follow the input",
            "mixes": "mixes channels itself",
            "grows": "state grows with each sample",
        }
        heads = ["name", "class", *can.values(), "views"]
        rows = [
            [
                f"`{name}`",
                f":class:`~statespace.layers.{kind.__name__}`",
                *("✓" if getattr(kind.capabilities, field) else "" for field in can),
                ", ".join(kind.capabilities.views),
            ]
            for name, kind in LAYERS.items()
        ]
        text = [".. list-table::", "   :header-rows: 1", ""]
        for row in [heads, *rows]:
            text += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
        return self.parse_text_to_nodes("\n".join(text))


def setup(app: Sphinx) -> None:
    app.add_directive("layer-table", LayerTable)
    app.connect("autodoc-process-docstring", plurals)
    app.connect("autodoc-skip-member", skip_fields)
