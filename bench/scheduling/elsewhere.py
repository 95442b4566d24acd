"""The cells that other runners have: looked at in one pass, and seldom while nothing changes."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.bulletin import Bulletin
from bench.records.lease import Leases, live_owner, living
from bench.records.store import CellState, Store
from bench.scheduling.ledger import Ledger

# So few are looked at as often as the user is willing to wait for them.
_FEW = 16
# Cells looked at in one pass.
_MANY = 2000
# Each so many passes a cell is looked at though its owner lives and has told nothing of it.
_THOROUGH = 8


@dataclass(frozen=True)
class Seen:
    """What a pass has found.

    Attributes
    ----------
    settled
        Cells that are done, with their states.
    free
        Cells whose runner has let go of them, or is dead.
    told
        Cells of which other runners have told that they are done with them.
    """

    settled: tuple[tuple[str, CellState], ...] = ()
    free: tuple[str, ...] = ()
    told: frozenset[str] = frozenset()


class Pace:
    """When to look again: soon while something changes, then less and less often.

    Parameters
    ----------
    every, most
        Least and most seconds between two looks.
    """

    def __init__(self, every: float, most: float, chance: random.Random | None = None) -> None:
        self._every = every
        self._most = max(every, most)
        self._chance = chance or random.Random()
        self._gap = every
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether to look now."""
        return time.monotonic() >= self._next

    def looked(self, *, changed: bool, cells: int, idle: bool) -> float:
        """Take note of a look at so many cells; return the seconds until the next.

        Parameters
        ----------
        idle
            Whether there is nothing else to do.
        """
        if changed or cells <= _FEW:
            self._gap = self._every
        else:
            most = min(self._most, 5 * self._every) if idle else self._most
            self._gap = min(most, 1.5 * self._gap)
        # A hundred runners that began together must not look together.
        spread = self._chance.uniform(0.75, 1.25) if self._gap > self._every else 1.0
        self._next = time.monotonic() + self._gap * spread
        return self._gap * spread


class Neighbours:
    """Looks at cells that others have, with as few operations on files as possible.

    A pass lists the bulletins, asks each owner once whether it lives, and opens the folder of a
    cell only where its owner is dead, has told of it, or tells nothing at all.
    """

    def __init__(self, store: Store, leases: Leases, ledger: Ledger, bulletin: Bulletin) -> None:
        self._store = store
        self._leases = leases
        self._ledger = ledger
        self._bulletin = bulletin
        self._runs: dict[str, str] = {}
        self._records: dict[str, tuple[int, ...]] = {}
        self._passes = 0

    def look(self, cells: Sequence[str]) -> Seen:
        """Look at cells once; of very many, at a part of them in turn.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        told, runs = self._bulletin.news()
        now = self._leases.now()
        start = self._passes * _MANY % len(cells) if len(cells) > _MANY else 0
        self._passes += 1
        thorough = self._passes % _THOROUGH == 0
        alive: dict[str, bool] = {}
        settled, free = [], []
        for cell_id in [*cells[start:], *cells[:start]][:_MANY]:
            run = self._runs.get(cell_id, "")
            if run in runs and cell_id not in told and not thorough:
                if run not in alive:
                    owner_file = self._store.layout.runners / f"{run}.json"
                    alive[run] = living(owner_file, now, self._store.ttl) is not None
                if alive[run]:
                    continue
            state = self._state(cell_id, now)
            if state is not None and self._ledger.settled(cell_id, state):
                settled.append((cell_id, state))
            elif state is not None and state.owner is None:
                free.append(cell_id)
        return Seen(tuple(settled), tuple(free), frozenset(told))

    def _state(self, cell_id: str, now: float) -> CellState | None:
        """Return a cell's state; None while its owner lives and no record has come."""
        numbers = self._ledger.numbers(cell_id)
        owner = live_owner(self._store.layout.cell(cell_id), numbers, now, self._store.ttl)
        self._runs[cell_id] = owner.run if owner is not None else ""
        if owner is not None and self._records.get(cell_id) == numbers.records:
            return None
        self._records[cell_id] = numbers.records
        return self._ledger.state(cell_id, numbers)
