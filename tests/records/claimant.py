"""A runner without engine: claims each of N cells and writes its record. Run as a process."""

from __future__ import annotations

import errno
import os
import random
import sys
import time
from pathlib import Path

from bench.records.freshness import Expectations
from bench.records.lease import Leases
from bench.records.store import Store
from tests.records.built import cell, record


def refused(*args: object) -> None:
    raise OSError(errno.EPERM, "no hard links here")


def work(root: Path, cells: int, seed: int) -> None:
    store = Store(root)
    plan = [cell(number) for number in range(cells)]
    random.Random(seed).shuffle(plan)
    with Leases(store.layout) as leases:
        while not all(state.done for state in store.states(plan, Expectations()).values()):
            for one in plan:
                if store.state(one, Expectations()).done:
                    continue
                lease = leases.claim(
                    one.id, lambda _, c=one: not store.state(c, Expectations()).done
                )
                if lease is None:
                    continue
                with open(root / "executed", "a") as journal:
                    journal.write(f"{one.id}\n")
                time.sleep(0.002)
                leases.commit(lease, record(one, lease.attempt))


if __name__ == "__main__":
    if os.environ.get("NO_LINKS"):
        os.link = refused  # type: ignore[assignment]
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
