"""Whether pictures can be drawn: matplotlib is an extra, and nothing but pictures is missing without it."""

from importlib.util import find_spec


def plotting_is_possible() -> bool:
    """Tell whether matplotlib is installed."""
    return find_spec("matplotlib") is not None
