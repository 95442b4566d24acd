"""How much room there is where records, prepared data and downloads go."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.doctor.finding import Asked, Finding, gigabytes

KEYS = ("folder", "free", "total", "files_free", "writable")
# Of prepared data or downloads: the larger suites need more, `bench run` says which.
ENOUGH = 10 * 2**30
# On a disk this full not even records can be written for long.
SPARE = 50 * 2**20


def store(asked: Asked) -> Finding:
    """Look at the store's disk."""
    return room_at(asked.store, "give another folder with --store", 2**30)


def cache(asked: Asked) -> Finding:
    """Look at the disk of prepared data."""
    named = os.environ.get("RETABLE_CACHE")
    folder = Path(named).expanduser() if named else Path.home() / ".cache" / "retable"
    return room_at(folder, "set RETABLE_CACHE to a folder on a larger disk", ENOUGH)


def downloads(asked: Asked) -> Finding:
    """Look at the disk of what is downloaded from the Hub."""
    return room_at(hub_cache(), "set HF_HOME to a folder on a larger disk", ENOUGH)


def hub_cache() -> Path:
    """Return where the Hub's files are kept, without importing its library."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(named).expanduser() if named else hub_home() / "hub"


def hub_home() -> Path:
    """Return the folder of the Hub's library."""
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "huggingface"


def room_at(folder: Path, remedy: str, enough: int) -> Finding:
    """Return whether a folder, which need not be there yet, can take so many bytes."""
    there = existing(folder)
    usage = shutil.disk_usage(there)
    state = os.statvfs(there)
    writable = os.access(there, os.W_OK | os.X_OK)
    measured = {
        "folder": str(folder),
        "free": usage.free,
        "total": usage.total,
        # Where it does not count files, it has room for any number.
        "files_free": state.f_favail if state.f_files else None,
        "writable": writable,
    }
    if not writable:
        return Finding("fails", f"{short(there)} cannot be written to", remedy, measured)
    fact = f"{gigabytes(usage.free)} free at {short(folder)}"
    if usage.free < SPARE or measured["files_free"] == 0:
        full = "" if usage.free < SPARE else ", but no file may be added"
        return Finding("fails", fact + full, remedy, measured)
    if usage.free < enough:
        return Finding("look", fact, remedy, measured)
    return Finding("ok", fact, measured=measured)


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest above it that is there."""
    folder = folder.absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def short(folder: Path, width: int = 38) -> str:
    """Return a path that fits on a line: its end is what tells it from others."""
    text = str(folder)
    return text if len(text) <= width else "…" + text[1 - width :]
