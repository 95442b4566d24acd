"""What an attempt has left on a node, placed into the store as if it had run here."""

from __future__ import annotations

from collections.abc import Iterable

from bench.errors import StoreError
from bench.files import bytes_sha256, write_whole
from bench.records.layout import CellFolder
from bench.records.record import Outcome
from bench.scheduling.engines.call import failed
from bench.scheduling.engines.remote.parcel import PROGRESS
from bench.scheduling.engines.remote.tree import File, Tree
from bench.scheduling.job import Job


def wanted(job: Job, files: Tree) -> list[str]:
    """Return the names of the files that come back: the log, artifacts, saved progress.

    The record and the lease are the runner's: nothing else may have their names.
    """
    own = f"{job.attempt:04d}."
    folder = CellFolder(str(job.folder))
    reserved = {folder.record(job.attempt).name, folder.lease(job.attempt).name}
    return sorted(
        name
        for name in files.files
        if name.startswith((own, PROGRESS)) and "/" not in name and name not in reserved
    )


def place_file(job: Job, name: str, file: File, content: bytes | memoryview) -> None:
    """Write a file into the cell's folder, whole or not at all.

    Raises
    ------
    StoreError
        If other bytes have come than lay on the node, or it cannot be written.
    """
    if bytes_sha256(content) != file.sha256:
        raise StoreError(f"other bytes of {name} have come than lay on the node")
    path = job.folder / name
    try:
        write_whole(path, bytes(content))
    except OSError as error:
        raise StoreError(
            f"what has come from the node cannot be written: {error.strerror or error}",
            file=path,
            remedy="give another folder with --store, or free space and mend its permissions",
        ) from error


def checked(job: Job, outcome: Outcome, files: Tree) -> Outcome:
    """Return an attempt's outcome; a failed one if an artifact that it names has not come so."""
    came = {name: files.files[name] for name in wanted(job, files)}
    for name, artifact in outcome.artifacts.items():
        file = came.get(artifact.file)
        if file is None:
            return failed("error", f"its artifact {name!r} did not come with it")
        if file.sha256 != artifact.sha256:
            return failed("error", f"its artifact {name!r} has other bytes than its record says")
    return outcome


def forget_progress(job: Job, sent: Iterable[str], files: Tree) -> None:
    """Remove the saved progress that was sent with a job and is no longer on the node."""
    for name in sent:
        if name not in files.files:
            (job.folder / name).unlink(missing_ok=True)
