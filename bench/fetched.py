"""What ``bench fetch`` has noted beside the Hub's cache: which files are whole, and of what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.files import file_sha256

MANIFEST = "retable-fetch.json"
FORMAT = 1
Kind = Literal["dataset", "model"]


@dataclass(frozen=True)
class FetchedFile:
    """A file of a repository, as its digest was compared with the Hub's."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Fetched:
    """What was fetched of one commit of a repository.

    Attributes
    ----------
    revision
        What was asked for; None for the newest, whatever it was.
    commit
        What that was.
    complete
        Whether all that was asked for is there; not so while a fetch goes on, or was ended.
    gated
        Whether terms had to be accepted.
    when
        In ISO 8601, UTC.
    files
        Path in the repository to what is there of it. Nothing is here that was not verified.
    splits
        Of a dataset: configuration (``""`` for the only one) to split to the paths of its files.
    """

    kind: Kind
    repository: str
    revision: str | None
    commit: str
    complete: bool
    gated: bool
    when: str
    files: Mapping[str, FetchedFile] = field(default_factory=dict)
    splits: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def files_of(self, config: str | None, wanted: Iterable[str]) -> dict[str, list[str]] | None:
        """Return the files of some splits, by split; None where not all of them were fetched."""
        known = self.splits.get(config or "", {})
        found = {split: list(known[split]) for split in wanted if split in known}
        return found if set(found) == set(wanted) else None

    def beside_splits(self) -> list[str]:
        """Return the files that are of no split: cards."""
        of_splits = {path for by in self.splits.values() for paths in by.values() for path in paths}
        return [path for path in self.files if path not in of_splits]

    def problem(self, folder: Path, paths: Iterable[str]) -> str | None:
        """Return what is wrong with files below a snapshot's folder; None where all are right.

        Their bytes are read: a copy of a folder may have gone wrong where the fetch had not.
        """
        for path in paths:
            known, file = self.files.get(path), folder / path
            if known is None:
                return f"{path} was never verified"
            try:
                if file.stat().st_size != known.size or file_sha256(file) != known.sha256:
                    return f"{file} is not the file that was fetched"
            except OSError as error:
                return f"{file} cannot be read ({error.strerror})"
        return None


def read_manifest(hub: Path) -> tuple[Fetched, ...]:
    """Return what a cache of the Hub is known to hold; nothing where no fetch has been at work.

    Parameters
    ----------
    hub
        The cache, ``HF_HUB_CACHE``; the manifest lies beside it, in ``HF_HOME``.
    """
    try:
        text = (hub.parent / MANIFEST).read_text(encoding="utf-8")
    except OSError:
        return ()
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            return ()
        return tuple(_of_plain(one) for one in data["repositories"])
    except (ValueError, KeyError, TypeError, AttributeError):
        # It is written whole or not at all: what cannot be read is not ours.
        return ()


def fetched(hub: Path, kind: Kind, repository: str, revision: str | None) -> Fetched | None:
    """Return what is known of a repository at a revision, or of the newest that was fetched."""
    for one in reversed(read_manifest(hub)):
        same = (one.kind, one.repository) == (kind, repository)
        if same and revision in (one.commit, one.revision):
            return one
    return None


def snapshot_folder(hub: Path, one: Fetched) -> Path:
    """Return the folder of a commit's files, as the Hub's own clients lay it out."""
    return hub / f"{one.kind}s--{one.repository.replace('/', '--')}" / "snapshots" / one.commit


def plain(one: Fetched) -> dict[str, Any]:
    """Return an entry of the manifest as data for JSON."""
    return {
        **vars(one),
        "files": {path: vars(file) for path, file in sorted(one.files.items())},
        "splits": {c: {s: list(p) for s, p in by.items()} for c, by in one.splits.items()},
    }


def _of_plain(data: dict[str, Any]) -> Fetched:
    files = {path: FetchedFile(**file) for path, file in data["files"].items()}
    splits = {c: {s: tuple(p) for s, p in by.items()} for c, by in data["splits"].items()}
    return Fetched(**{**data, "files": files, "splits": splits})
