"""Whether an attempt runs by the code that its runner expects, and by no other."""

from __future__ import annotations

import importlib.metadata
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache

from bench import sources
from bench.errors import SpecError
from bench.records.code import code_digests, is_ours, units_of
from bench.scheduling.job import Job

_INSTALLED = ("site-packages", "dist-packages")


def check_expected_code(job: Job) -> None:
    """Compare the code that this process has, or will import, with the runner's.

    Raises
    ------
    SpecError
        If the code is not that which the runner began with: it was edited in between.
    """
    if not job.code:
        return
    made = code_digests(units_of(job.cell, job.resources))
    edited = sorted(unit for unit, digest in job.code.items() if made.get(unit) != digest)
    if edited:
        raise SpecError(
            f"the code of {', '.join(edited)} was edited since this run began",
            remedy="run again: the whole run is then by the code as it is now",
        )


def check_counted_code(job: Job) -> None:
    """Refuse what a user's part has imported and no digest is of.

    Raises
    ------
    SpecError
        If a module was imported that is neither installed nor found by reading what the part
        imports: from elsewhere than beside it, or by a name made up at run time.
    """
    if all(is_ours(file) for unit in units_of(job.cell, job.resources) for file in unit.files):
        return
    for name, file in _imported_since():
        if not (sources.was_read(file) or _is_installed(name, file)):
            raise SpecError(
                f"imports {name}, which lies at {file} and is in no digest of the cell's code",
                file=", ".join(job.resources.plugins) or None,
                remedy="put it beside the file that imports it, by a plain `import`, "
                "or install it as a package",
            )


@cache
def modules_at_first() -> frozenset[str]:
    """Return the names of the modules that were imported before this process's first attempt."""
    return frozenset(sys.modules)


def _imported_since() -> Iterator[tuple[str, str]]:
    before = modules_at_first()
    for name, module in sorted(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if name not in before and spec is not None and spec.has_location and spec.origin:
            yield name, spec.origin


def _is_installed(name: str, file: str) -> bool:
    if os.path.abspath(file).startswith(_installed_folders()):
        return True
    # What is installed in place lies anywhere; looking through all packages is slow.
    return name.partition(".")[0] in importlib.metadata.packages_distributions()


@cache
def _installed_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {sysconfig.get_path(name) for name in names}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    folders |= {entry for entry in sys.path if os.path.basename(entry) in _INSTALLED}
    package = os.path.dirname(sources.__file__)
    return tuple(os.path.join(os.path.abspath(folder), "") for folder in {*folders, package})
