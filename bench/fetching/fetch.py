"""Bringing files: what comes is verified beside its place, and only then put there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from filelock import FileLock, Timeout

from bench.errors import UserError
from bench.fetching.digests import Digests, digests_of
from bench.fetching.place import Place
from bench.fetching.remote import RemoteFile, Wanted, bring
from bench.fetching.transport import Advance, FetchError, Tell
from bench.files import sync

LOCK = ".retable-fetch.lock"
# Beside the files: names, links, the manifest.
SPARE = 50 * 2**20


@dataclass(frozen=True)
class Amount:
    """How much is wanted of a repository: files, bytes, and bytes that are still to come."""

    files: int
    size: int
    missing: int


def amount(one: Wanted, place: Place) -> Amount:
    """Return how much is wanted of a repository; files of equal bytes count once."""
    files = {file.etag: file for file in one.files}.values()
    missing = sum(place.missing(one, file) for file in files)
    return Amount(len(one.files), sum(file.size for file in files), missing)


def check_room(repositories: Sequence[Wanted], place: Place) -> None:
    """Raise FetchError if what is still to come does not fit."""
    needed, free = sum(amount(one, place).missing for one in repositories), place.free()
    if needed and needed + SPARE > free:
        raise FetchError(
            f"{gigabytes(needed)} are still to come, and only {gigabytes(free)} are free",
            file=place.home,
            remedy="free some, name a folder on another disk by --to, or bring less by --only",
        )


def fetch(repositories: Sequence[Wanted], place: Place, tell: Tell, advance: Advance) -> None:
    """Bring everything that is missing, and verify everything that is there.

    A repository's files get the names by which they are found when all of them are verified, so
    that nothing half is ever loaded. What is ended in the middle goes on at the next call.

    Raises
    ------
    FetchError
        If there is too little room, something cannot be had, or came with wrong bytes twice.
    UserError
        If another fetch is at work on the folder, or it cannot be written to.
    """
    check_room(repositories, place)
    try:
        place.hub.mkdir(parents=True, exist_ok=True)
        with FileLock(place.home / LOCK, timeout=0):
            for one in repositories:
                _fetch_one(one, place, tell, advance)
    except Timeout:
        raise UserError("another fetch is at work on it", file=place.home) from None
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}",
            file=place.home,
            remedy="what has come stays: run the same command again when this is mended",
        ) from error


def _fetch_one(one: Wanted, place: Place, tell: Tell, advance: Advance) -> None:
    place.note(one, None)
    found: dict[str, Digests] = {}
    for file in one.files:
        found[file.path] = _file(one, file, place, tell, advance)
    for file in one.files:
        place.show(one, file)
    place.point(one)
    place.note(one, found)


def _file(one: Wanted, file: RemoteFile, place: Place, tell: Tell, advance: Advance) -> Digests:
    there = place.there(one, file)
    if there is not None:
        digests = digests_of(there)
        if file.is_of(digests):
            return digests
        tell(f"{one.repository}: {file.path} was here with wrong bytes; it is brought again")
        place.remove(one, file)
    part, blob = place.part(one, file), place.blob(one, file)
    part.parent.mkdir(parents=True, exist_ok=True)
    digests = bring(one, file, part, tell, advance)
    sync(part)
    os.replace(part, blob)
    return digests


def gigabytes(number: float) -> str:
    """Return a number of bytes for people."""
    return f"{number / 1e9:,.2f} GB" if number >= 1e8 else f"{number / 1e6:,.1f} MB"
