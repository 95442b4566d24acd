"""Python and the installed libraries, against the lowest versions that Retable takes."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from bench.doctor.finding import Asked, Finding

KEYS_PYTHON = ("version", "implementation", "executable", "needs")
KEYS_LIBRARIES = ("versions", "unfit")
_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def python(asked: Asked) -> Finding:
    """Look at the interpreter."""
    return judge_python(platform.python_version(), declared()[0])


def judge_python(version: str, needs: str) -> Finding:
    """Return whether a version of Python will do; ``needs`` is as in pyproject.toml."""
    measured = {
        "version": version,
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "needs": needs,
    }
    if Requirement(f"python{needs}").specifier.contains(version, prereleases=True):
        return Finding("ok", f"{version} ({needs} is needed)", measured=measured)
    fact = f"{version}, but {needs} is needed"
    return Finding("fails", fact, "install a newer Python and make the environment anew", measured)


def libraries(asked: Asked) -> Finding:
    """Look at what is installed."""
    return judge_libraries(declared()[1], _version_of)


def judge_libraries(
    requirements: Sequence[str], version_of: Callable[[str], str | None]
) -> Finding:
    """Return whether each requirement has an installed version that it takes."""
    versions: dict[str, str | None] = {}
    unfit: dict[str, str] = {}
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = versions[requirement.name] = version_of(requirement.name)
        if version is None:
            unfit[requirement.name] = f"missing {requirement}"
        elif not requirement.specifier.contains(version, prereleases=True):
            unfit[requirement.name] = f"{requirement} has {version}"
    measured = {"versions": versions, "unfit": unfit}
    if not unfit:
        torch = f", torch {versions['torch']}" if "torch" in versions else ""
        return Finding("ok", f"all {len(versions)} are there{torch}", measured=measured)
    wanted = " ".join(f"'{r}'" for r in requirements if Requirement(r).name in unfit)
    return Finding("fails", "; ".join(unfit.values()), f"pip install {wanted}", measured)


def declared(project: Path = _PROJECT) -> tuple[str, tuple[str, ...]]:
    """Return what Python and which libraries are needed: of a checkout by its pyproject.toml."""
    try:
        # An editable install's metadata is as old as the install.
        table = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
    except OSError:
        table = {}
    if table.get("name") == "retable":
        return table["requires-python"], tuple(table["dependencies"])
    metadata = importlib.metadata.metadata("retable")
    return metadata["Requires-Python"], tuple(importlib.metadata.requires("retable") or ())


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
