"""What a check is, what it is asked, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

Mark = Literal["ok", "look", "fails", "not here"]
Choice = Literal["auto", "cpu", "cuda"]
Measured = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What the machine is to be good for.

    Attributes
    ----------
    store
        Folder of records; need not be there yet.
    device
        ``auto``; ``cpu`` where GPUs do not matter; ``cuda`` where there must be one.
    """

    store: Path
    device: Choice = "auto"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    mark
        ``look`` is what a run survives; after ``fails`` it will not end well, or not as recorded.
    fact
        In one short line.
    remedy
        What to do about it; empty where nothing is to be done.
    measured
        Plain data, by the check's keys.
    """

    mark: Mark
    fact: str
    remedy: str = ""
    measured: Measured = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Finding:
        """Return what :meth:`plain` made.

        Raises
        ------
        ValueError
            If it is of another form.
        """
        if plain.get("mark") not in get_args(Mark) or not isinstance(plain.get("fact"), str):
            raise ValueError("no finding")
        return Finding(plain["mark"], plain["fact"], plain["remedy"], plain["measured"])


@dataclass(frozen=True)
class Check:
    """One thing that is looked at.

    Attributes
    ----------
    look
        Called in a process of its own, so that it may hang or crash.
    keys
        What it measures; in JSON each is there, null where it was not measured.
    limit
        Seconds.
    """

    name: str
    look: Callable[[Asked], Finding]
    keys: tuple[str, ...]
    limit: float = 30.0


def not_here(why: str) -> Finding:
    """Return that there is nothing of the kind to look at."""
    return Finding("not here", why)


def gigabytes(number: float) -> str:
    """Return bytes for a reader.

    >>> gigabytes(23.4e9)
    '23.4 GB'
    """
    return f"{number / 1e9:,.1f} GB"
