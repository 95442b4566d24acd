"""Whether an attempt runs by the code that its runner expects, and by no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import SpecError
from bench.records.code import code_digests, files_of, is_ours, units_of
from bench.scheduling.engines.watch import watch
from bench.scheduling.job import Job
from bench.spec.parts import find_part


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


def has_users_part(job: Job) -> bool:
    """Return whether a part of the cell is of a user's file, or of an installed package."""
    parts = (find_part(kind, name, job.resources.plugins) for kind, name in job.cell.parts)
    return any(part is not None and not is_ours(part.file) for part in parts)


@contextmanager
def watched(job: Job) -> Iterator[None]:
    """Let a user's part execute only code that a digest is of, or that is installed.

    Raises
    ------
    SpecError
        If it executes another file: one that lies elsewhere than beside it, is found by a name
        made up at run time, or is read and executed as text. What this process executed before,
        in another attempt, counts as well.
    """
    if not has_users_part(job):
        watch.remember_modules()
        yield
        return
    files = files_of(units_of(job.cell, job.resources))
    watch.begin(files, frozenset(file for file in files if not is_ours(file)))
    try:
        yield
    except Exception as error:
        # An import that was refused may have become any other error.
        _check_strays(job, watch.refused(), error)
        raise
    finally:
        watch.end()
    _check_strays(job, watch.strays())


def _check_strays(job: Job, strays: list[str], cause: Exception | None = None) -> None:
    if strays:
        raise SpecError(
            f"executes {', '.join(strays)}, which is in no digest of the cell's code",
            file=", ".join(job.resources.plugins) or None,
            remedy="put it beside the file of the part, as Python that this imports by a plain "
            "`import`, or install it as a package",
        ) from cause
