"""A site that is built again whenever the store has changed, and served meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click

# Seconds between looks at the store; more where a look, or a build, takes long.
_EVERY = 2.0
_LOOKS = 20
_BUILDS = 4


def serve(folder: Path, store: Path, port: int, arguments: Sequence[str], known: int) -> None:
    """Serve a site until Ctrl-C.

    Parameters
    ----------
    arguments
        Of the command that builds it.
    known
        :func:`store_stamp` before the site was built.
    """
    from bench.report.site.serve import SiteServer

    with SiteServer(folder, port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        click.echo(f"{server.address} (open pages follow the store; Ctrl-C ends)")
        site, told = _site_stamp(folder), ""
        try:
            while True:
                start = time.monotonic()
                stamp = store_stamp(store)
                looked = time.monotonic() - start
                if stamp != known:
                    known = stamp
                    problem = _build(arguments)
                    if problem and problem != told:
                        click.echo(f"{problem}\nthe site stays as it was", err=True)
                    told = problem
                    if (now := _site_stamp(folder)) != site:
                        site = now
                        server.build += 1
                built = time.monotonic() - start - looked
                time.sleep(max(_EVERY, _LOOKS * looked, _BUILDS * built))
        except KeyboardInterrupt:
            server.shutdown()


def store_stamp(store: Path) -> int:
    """Return a number that changes when a cell's folder does: a lease, a record, a log."""
    cells = [cell for group, _ in _folders(store / "cells") for cell in _folders(group)]
    return hash(tuple(sorted(cells)))


def _folders(path: Path | str) -> list[tuple[str, int]]:
    """Return the folders in one with the time of their last change; none where it is gone."""
    try:
        with os.scandir(path) as entries:
            return [(entry.path, entry.stat().st_mtime_ns) for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []


def _site_stamp(folder: Path) -> int:
    files = (path.stat() for path in folder.rglob("*") if path.is_file())
    return hash(tuple(sorted((s.st_ino, s.st_mtime_ns, s.st_size) for s in files)))


def _build(arguments: Sequence[str]) -> str:
    """Build the site in a process of its own, which reads suites, records and code as they are now.

    Return what it says where it fails, else nothing.
    """
    from bench.import_path import with_package

    command = [sys.executable, "-P", "-m", "bench", "site", *arguments]
    built = subprocess.run(command, capture_output=True, text=True, env=with_package(), check=False)
    return "" if built.returncode == 0 else built.stderr.strip() or "the site was not built"
