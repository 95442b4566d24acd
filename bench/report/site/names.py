"""Where each page lies in a site: the one place that knows a file's name."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from pathlib import Path

from bench.report.site.track import Track

INDEX = "index.html"
STYLE = "static/site.css"
SCRIPT = "static/site.js"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class Names:
    """Paths inside the site, with ``/``; safe on every file system and in a link."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._taken: set[str] = set()
        self._slugs: dict[Hashable, str] = {}
        for track in tracks:
            plan = track.plan
            paper, profile = _slug(plan.paper.id), _slug(plan.profile)
            self._take(paper_key(track), f"{paper}.{profile}")
            self._take(_key(track), f"{paper}-{_slug(plan.suite.name)}.{profile}")

    def paper(self, track: Track) -> str:
        """Return the page of a track's paper and profile."""
        return f"papers/{self._slugs[paper_key(track)]}.html"

    def anchor(self, track: Track) -> str:
        """Return the place of a track on its paper's page."""
        return f"{self.paper(track)}#{self.stem(track)}"

    def stem(self, track: Track) -> str:
        """Return the name of a track's own files without ending."""
        return self._slugs[_key(track)]

    def cells(self, track: Track) -> str:
        """Return the page that lists a track's cells."""
        return f"suites/{self.stem(track)}.html"

    def csv(self, track: Track) -> str:
        """Return the cells as CSV."""
        return f"suites/{self.stem(track)}.csv"

    def curves_csv(self, track: Track) -> str:
        """Return the numbers of the figures of curves as CSV."""
        return f"suites/{self.stem(track)}.curves.csv"

    def claims_csv(self, track: Track) -> str:
        """Return the values that claims compare as CSV."""
        return f"suites/{self.stem(track)}.claims.csv"

    @staticmethod
    def figure(file: str) -> str:
        """Return a suite's figure."""
        return f"figures/{file}"

    @staticmethod
    def cell(cell_id: str) -> str:
        """Return a cell's page."""
        return f"cells/{cell_id}.html"

    @staticmethod
    def curves(cell_id: str, group: str, key: str) -> str:
        """Return the drawing of some of a cell's curves; ``key`` says what is drawn."""
        return f"curves/{cell_id}-{group}-{key}.svg"

    def _take(self, key: Hashable, slug: str) -> None:
        if key in self._slugs:
            return
        name, number = slug, 1
        # Some file systems do not tell A from a.
        while name.lower() in self._taken:
            number += 1
            name = f"{slug}-{number}"
        self._taken.add(name.lower())
        self._slugs[key] = name


def paper_key(track: Track) -> tuple[str, Path, str]:
    """Return what tracks on one paper's page share."""
    return ("paper", track.plan.file.parent, track.plan.profile)


def _key(track: Track) -> tuple[str, Path, str]:
    return ("suite", track.plan.file, track.plan.profile)


def _slug(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-")[:80] or "unnamed"
