"""The packaging map against the disk: what pyproject forgets is missing from the wheel, silently."""

import re
import tomllib
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import statespace


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    with (repository / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@pytest.fixture
def sources(repository: Path) -> Path:
    """The repository, where it holds the sources and not only the tests."""
    if not (repository / "kernels").is_dir():
        pytest.skip("the sources are not beside these tests: an installed wheel is tested")
    return repository


def packages_on_disk(root: Path, rooms: dict[str, str]) -> set[str]:
    found = set()
    for name, folder in rooms.items():
        for marker in (root / folder).rglob("__init__.py"):
            found.add(".".join([name, *marker.parent.relative_to(root / folder).parts]))
    return found


def test_every_folder_with_code_is_packaged(project: dict[str, Any], sources: Path) -> None:
    settings = project["tool"]["setuptools"]
    assert sorted(settings["packages"]) == sorted(packages_on_disk(sources, settings["package-dir"]))
    assert len(settings["packages"]) == len(set(settings["packages"]))


def test_no_code_stands_in_a_folder_that_is_no_package(project: dict[str, Any], sources: Path) -> None:
    for folder in project["tool"]["setuptools"]["package-dir"].values():
        strays = {path for path in (sources / folder).rglob("*.py") if not (path.parent / "__init__.py").exists()}
        assert not strays


def test_every_pattern_of_package_data_finds_something(project: dict[str, Any], sources: Path) -> None:
    settings = project["tool"]["setuptools"]
    for package, patterns in settings["package-data"].items():
        folder = sources / settings["package-dir"][package]
        for pattern in patterns:
            assert list(folder.glob(pattern)), f"{pattern} of {package} matches no file"


def test_every_native_module_has_its_sources(project: dict[str, Any], sources: Path) -> None:
    for module in project["tool"]["setuptools"].get("ext-modules", []):
        for source in [*module["sources"], *module.get("depends", [])]:
            assert (sources / source).is_file()
        assert module["optional"], "without a compiler the installation must succeed"


def test_the_installed_package_holds_its_data() -> None:
    package = resources.files("statespace")
    assert package.joinpath("py.typed").is_file()
    data = resources.files("statespace.datasets").joinpath("data")
    assert {entry.name for entry in data.iterdir()} >= {"TERMS.md", "airline.csv", "co2.csv", "sunspots.csv"}


def test_the_distribution_says_what_it_is(project: dict[str, Any]) -> None:
    distribution = metadata.distribution("statespace")
    assert distribution.version == statespace.__version__
    assert distribution.metadata["License-Expression"] == "Apache-2.0"
    assert set(distribution.metadata.get_all("Provides-Extra")) == set(project["project"]["optional-dependencies"])
    scripts = {entry.name: entry.value for entry in distribution.entry_points if entry.group == "console_scripts"}
    assert scripts == project["project"]["scripts"]


def test_every_dependency_is_pinned_within_its_range(project: dict[str, Any], repository: Path) -> None:
    pins = {}
    for line in (repository / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), f"not a plain pin: {line}"
            name, _, version = line.partition("==")
            pins[canonicalize_name(name)] = version
    extras = project["project"]["optional-dependencies"]
    for text in [*project["project"]["dependencies"], *(text for wanted in extras.values() for text in wanted)]:
        wanted = Requirement(text)
        version = pins.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted.name} is not pinned in constraints.txt"
        assert wanted.specifier.contains(version), f"{wanted.name} is pinned to {version}, outside {wanted.specifier}"
    assert pins["torch"] == "2.13.0"


def test_the_changelog_knows_this_version(sources: Path) -> None:
    text = (sources / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text or f"## [{statespace.__version__}]" in text
