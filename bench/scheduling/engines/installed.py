"""Which files are installed: the standard library's, an installed package's, Retable's own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import site
import sys
import sysconfig
from collections import defaultdict
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bench import sources

_FOLDERS = ("site-packages", "dist-packages")


def is_installed(file: str) -> bool:
    """Return whether an absolute path is of something installed, be it in place (editable)."""
    return file.startswith(installed_folders()) or any(
        file.startswith(folder) and names & _stems(file[len(folder) :])
        for folder, names in _elsewhere(tuple(sys.path))
    )


@cache
def installed_folders() -> tuple[str, ...]:
    """Return the folders in which everything is installed, as they are at the first call."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {sysconfig.get_path(name) for name in names}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    folders |= {entry for entry in sys.path if os.path.basename(entry) in _FOLDERS}
    package = os.path.dirname(sources.__file__)
    return tuple(_inside(folder) for folder in {*folders, package})


@cache
def _elsewhere(path: tuple[str, ...]) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return the folder and the top-level names of each package that is installed elsewhere.

    A file of the same name in another folder is not the package's, though it is imported in its
    place.
    """
    names: defaultdict[str, set[str]] = defaultdict(set)
    for name, packages in importlib.metadata.packages_distributions().items():
        for distribution in packages:
            names[distribution].add(name)
    found = []
    for package in importlib.metadata.distributions(path=list(path)):
        folder = _inside(_folder(package))
        if folder not in installed_folders():
            own = package.metadata["Name"] or ""
            # Packages that are installed in place often do not tell the names of their modules.
            found.append((folder, frozenset(names[own] | {own.replace("-", "_").lower()})))
    return tuple(found)


def _folder(package: importlib.metadata.Distribution) -> str:
    origin = json.loads(package.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return url2pathname(urlsplit(origin["url"]).path)
    return str(package.locate_file(""))


def _inside(folder: str) -> str:
    return os.path.join(os.path.abspath(folder), "")


def _stems(path: str) -> set[str]:
    return {Path(part).stem for part in Path(path).parts}
