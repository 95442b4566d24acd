"""A folder that is to hold what was brought: laid out as the Hub's clients look for it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.fetched import FORMAT, MANIFEST, Fetched, FetchedFile, plain, read_manifest
from bench.fetched import snapshot_folder as folder_of
from bench.fetching.digests import Digests
from bench.fetching.remote import RemoteFile, Wanted
from bench.files import write_whole


@dataclass(frozen=True)
class Place:
    """Where files go.

    Attributes
    ----------
    hub
        As ``HF_HUB_CACHE``.
    """

    hub: Path

    @property
    def home(self) -> Path:
        """The folder above the cache, as ``HF_HOME``: the manifest lies in it."""
        return self.hub.parent

    def free(self) -> int:
        """Return the bytes that are free where it is, or will be."""
        there = next(folder for folder in (self.hub, *self.hub.parents) if folder.is_dir())
        return shutil.disk_usage(there).free

    def snapshot(self, one: Wanted) -> Path:
        """Return the folder of a commit's files."""
        return folder_of(self.hub, _entry(one))

    def blob(self, one: Wanted, file: RemoteFile) -> Path:
        """Return where a file's bytes lie."""
        return self.snapshot(one).parents[1] / "blobs" / file.etag

    def part(self, one: Wanted, file: RemoteFile) -> Path:
        """Return where they lie while they come: no client looks there."""
        blob = self.blob(one, file)
        return blob.with_name(f"{blob.name}.retable-part")

    def there(self, one: Wanted, file: RemoteFile) -> Path | None:
        """Return where a file of the right size is; None where there is none."""
        for path in (self.snapshot(one) / file.path, self.blob(one, file)):
            if path.is_file() and path.stat().st_size == file.size:
                return path
        return None

    def missing(self, one: Wanted, file: RemoteFile) -> int:
        """Return how many bytes of a file are still to come."""
        if self.there(one, file) is not None:
            return 0
        part = self.part(one, file)
        have = part.stat().st_size if part.is_file() else 0
        return file.size - have if have <= file.size else file.size

    def remove(self, one: Wanted, file: RemoteFile) -> None:
        """Remove a file that is not what it should be."""
        for path in (self.snapshot(one) / file.path, self.blob(one, file)):
            path.unlink(missing_ok=True)

    def show(self, one: Wanted, file: RemoteFile) -> None:
        """Give a file's bytes the name by which it is asked for."""
        name, blob = self.snapshot(one) / file.path, self.blob(one, file)
        if name.is_file() and name.stat().st_size == file.size:
            return  # It is what was verified (`there`).
        name.unlink(missing_ok=True)
        name.parent.mkdir(parents=True, exist_ok=True)
        try:
            name.symlink_to(os.path.relpath(blob, name.parent))
        except OSError:
            # A disk without links, such as a stick that is carried.
            shutil.copyfile(blob, name)

    def point(self, one: Wanted) -> None:
        """Note which commit a revision is that is not one itself."""
        name = one.revision or "main"
        if name != one.commit:
            ref = self.snapshot(one).parents[1] / "refs" / name
            ref.parent.mkdir(parents=True, exist_ok=True)
            write_whole(ref, one.commit)

    def note(self, one: Wanted, found: Mapping[str, Digests] | None) -> None:
        """Write into the manifest what is there; None where its fetch only begins."""
        listed = list(read_manifest(self.hub))
        new = _entry(one)
        earlier = next((e for e in listed if _same(e, new)), None)
        files = dict(earlier.files) if earlier is not None else {}
        splits = {c: dict(by) for c, by in earlier.splits.items()} if earlier is not None else {}
        revision = one.revision
        if earlier is not None and (earlier.revision is None or revision == one.commit):
            # Who asks for the newest, or by a name, must find that it was asked for.
            revision = earlier.revision
        if found is not None:
            files |= {path: FetchedFile(d.size, d.sha256) for path, d in found.items()}
            for config, by in one.splits.items():
                splits[config] = {**splits.get(config, {}), **by}
        noted = Fetched(
            one.kind, one.repository, revision, one.commit, found is not None, one.gated,
            datetime.now(UTC).isoformat(timespec="seconds"), files, splits,
        )  # fmt: skip
        kept = [e for e in listed if not _same(e, new)]
        if one.revision is None:
            kept = [_no_more_the_newest(e, new) for e in kept]
        data = {"format": FORMAT, "repositories": [plain(e) for e in (*kept, noted)]}
        write_whole(self.home / MANIFEST, json.dumps(data, indent=1) + "\n")


def _entry(one: Wanted) -> Fetched:
    return Fetched(one.kind, one.repository, one.revision, one.commit, False, one.gated, "")


def _same(one: Fetched, other: Fetched) -> bool:
    return (one.kind, one.repository, one.commit) == (other.kind, other.repository, other.commit)


def _no_more_the_newest(one: Fetched, newest: Fetched) -> Fetched:
    was = one.revision is None and (one.kind, one.repository) == (newest.kind, newest.repository)
    return replace(one, revision=one.commit) if was else one
