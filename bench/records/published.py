"""The bundles that come with Retable: the records behind its published pages."""

from __future__ import annotations

from pathlib import Path

from bench.errors import StoreError, did_you_mean
from bench.spec.find import shipped_folder


def published_bundles() -> dict[str, Path]:
    """Return each bundle by the name of its page, ``PAPER/SUITE.PROFILE``."""
    folder = shipped_folder("leaderboards")
    files = sorted(folder.glob("*/*.zip")) if folder is not None else []
    return {f"{file.parent.name}/{file.stem}": file for file in files}


def bundles_called(name: str) -> list[Path]:
    """Return the bundles of a paper, of a suite or of a page: ``bss``, ``bss/table2``, ….

    Raises
    ------
    StoreError
        If no published page is called so.
    """
    known = published_bundles()
    found = [file for page, file in known.items() if name in _names(page)]
    if not found:
        names = sorted({each for page in known for each in _names(page)})
        raise StoreError(
            f"there is no file and no published page {name!r}", remedy=did_you_mean(name, names)
        )
    return found


def _names(page: str) -> tuple[str, str, str]:
    return page.split("/")[0], page.rpartition(".")[0], page
