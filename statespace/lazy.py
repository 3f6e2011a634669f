"""Names of a package that are loaded when they are first asked for, since what they stand on takes long to load."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def when_asked_for(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``; see PEP 562.

    Args:
        package: its name.
        modules: where each name is that is loaded when it is asked for.
    Returns:
        The two functions. The first raises an AttributeError for names that are unknown, and says which are known.
    """

    def get(name: str) -> object:
        if name in modules:
            return getattr(import_module(modules[name]), name)
        known = ", ".join(sys.modules[package].__all__)
        raise AttributeError(f"module {package!r} has no attribute {name!r}: it has {known}")

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return get, listed
