"""Public names and their pages: each is documented where readers look for it."""

import importlib
import inspect
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import statespace.kernels

ROOMS = [
    "classification",
    "datasets",
    "datasets.tasks",
    "discretization",
    "errors",
    "files",
    "forecasting",
    "hippo",
    "kernels",
    "layers",
    "models",
    "models.outputs",
    "systems",
    "training",
    "verification",
]
KERNELS = sorted(marker.parent.name for marker in Path(statespace.kernels.__path__[0]).glob("*/reference.py"))
MODULES = ["statespace", *(f"statespace.{room}" for room in ROOMS), *(f"statespace.kernels.{op}" for op in KERNELS)]


@pytest.fixture
def pages(repository: Path) -> Path:
    """The folder of the documentation, where the tests stand beside it."""
    if not (repository / "docs").is_dir():
        pytest.skip("the pages are not beside these tests: an installed wheel is tested")
    return repository / "docs"


def public(module: ModuleType) -> dict[str, object]:
    """The public names of a module: those in ``__all__``, else what it defines itself under a name of its own."""
    names = getattr(module, "__all__", None) or [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]
    return {name: getattr(module, name) for name in names}


def described(docstring: str) -> set[str]:
    """The names that begin a line of a docstring, as in ``A, B: two matrices``."""
    heads = re.findall(r"^ *([*\w]+(?:, [*\w]+)*):", docstring, re.MULTILINE)
    return {name.lstrip("*") for head in heads for name in head.split(", ")}


def lacks(call: Callable[..., object], docstring: str) -> list[str]:
    """What a docstring and a signature leave out."""
    signature = inspect.signature(call)
    wanted = {name: parameter for name, parameter in signature.parameters.items() if name != "self"}
    missing = [f"{name} is not described" for name in wanted if name not in described(docstring)]
    missing += [f"{name} has no type" for name, given in wanted.items() if given.annotation is given.empty]
    if signature.return_annotation not in (None, "None") and not re.search(
        r"^(Returns?|Yields)\b", docstring, re.MULTILINE
    ):
        missing.append("what it returns is not described")
    return missing


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_described_and_typed(name: str) -> None:
    missing = []
    for label, thing in public(importlib.import_module(name)).items():
        docstring = inspect.getdoc(thing) or ""
        if inspect.isfunction(thing):
            missing += [f"{label}: {fault}" for fault in lacks(thing, docstring)]
        elif inspect.isclass(thing):
            missing += [] if docstring else [f"{label}: no docstring"]
            own = vars(thing).get("__init__")
            if inspect.isfunction(own) and own.__module__ == thing.__module__:
                missing += [f"{label}: {fault}" for fault in lacks(own, docstring)]
    assert not missing


def test_every_package_has_its_page(pages: Path) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (pages / "api").glob("*.md"))
    with (pages.parent / "pyproject.toml").open("rb") as file:
        packages = set(tomllib.load(file)["tool"]["setuptools"]["packages"])
    internal = {"statespace", "statespace.cli", "statespace.kernels.native", "statespace.kernels.gpu"}
    packages = {name for name in packages if not name.endswith(".triton")}
    assert packages - internal <= set(re.findall(r"automodule:: (\S+)", text))


@pytest.mark.parametrize("op", KERNELS)
def test_every_kernel_tells_its_derivation(pages: Path, op: str) -> None:
    assert (pages.parent / "kernels" / op / "README.md").is_file()
    assert f"kernels/{op}/README.md" in (pages / "derivations" / f"{op}.md").read_text(encoding="utf-8")
