"""What is installed: an upper bound where another release could break us, nothing heavy for all."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Packages whose private parts are used: where, and which. A release that changes one is installed
# only after its bound in pyproject.toml has been raised, which the tests here must survive first.
PRIVATE = {
    "uvicorn": ("frontend/listener/connection.py", "uvicorn.protocols.http.httptools_impl"),
    "ray": ("worker/cluster/node.py", "ray._private.node"),
    "faster-whisper": ("worker/engines/whisper/model.py", "faster_whisper.transcribe"),
    "transformers": (
        "worker/engines/whisper/torch_model.py",
        "transformers.models.whisper.generation_whisper",
    ),
}


def asked() -> dict[str, Requirement]:
    """What pyproject.toml asks for, in the extras too, less edge-serve itself."""
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    found = map(Requirement, lines)
    return {canonicalize_name(one.name): one for one in found if one.name != "edge-serve"}


def pinned(file: str) -> dict[str, str]:
    """Versions by package, those of the files that it includes as well."""
    text = (ROOT / file).read_text()
    found: dict[str, str] = {}
    for included in re.findall(r"^--requirement (\S+)", text, re.MULTILINE):
        found |= pinned(included)
    for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE):
        assert canonicalize_name(name) not in found, f"{name} is pinned twice"
        found[canonicalize_name(name)] = version
    return found


def _needs(package: str) -> list[str]:
    """What an installed package asks for; `bin/test unit` installs only a part of them."""
    try:
        return requires(package) or []
    except PackageNotFoundError:
        return []


@pytest.mark.parametrize("package", sorted(PRIVATE))
def test_a_package_whose_private_parts_are_used_has_an_upper_bound(package: str) -> None:
    file, module = PRIVATE[package]
    assert f"from {module} import" in (ROOT / file).read_text()
    assert any(bound.operator == "<" for bound in asked()[package].specifier)


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-unit.txt"])
def test_neither_a_box_nor_the_unit_tests_need_torch(file: str) -> None:
    assert not {"torch", "transformers", "scipy", "sentence-transformers"} & set(pinned(file))


def test_a_box_that_is_alone_has_no_ray() -> None:
    assert "ray" in set(pinned("requirements-ray.txt")) - set(pinned("requirements-test.txt"))


def test_a_box_that_draws_nothing_has_no_plot_library() -> None:
    assert "matplotlib" in set(pinned("requirements-plot.txt")) - set(pinned("requirements.txt"))


@pytest.mark.parametrize("package", sorted(asked()))
def test_what_is_pinned_is_what_is_asked_for(package: str) -> None:
    versions = pinned("requirements-ray.txt") | pinned("requirements-test.txt")
    assert asked()[package].specifier.contains(versions[package], prereleases=True)
    for line in _needs(package):
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            pin = versions.get(canonicalize_name(needed.name))
            assert pin is None or needed.specifier.contains(pin, prereleases=True), line
