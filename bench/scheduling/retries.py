"""Which failures are worth another attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bench.records.record import Failure
from bench.scheduling.backoff import DELAYS

Verdict = Literal["again", "alone", "later", "over"]

# What may have come from outside: a crash, a signal, an exception of a library or a disk.
_TRANSIENT = frozenset({"error", "signal", "exit"})


def verdict(failures: Sequence[Failure], retries: int) -> Verdict:
    """Return what to do after a cell's failures in this run, the last of which is new.

    The rule: an exception, a signal or an exit is tried again up to ``retries`` times; running
    out of memory once, alone on its device; what would happen again the same way (the user's
    error, a NaN, the time limit) is not. With ``retries`` 0 nothing is tried again. Failures of
    earlier runs do not count.
    """
    if not failures or not retries:
        return "over"
    kinds = [failure.kind for failure in failures]
    if kinds[-1] == "out-of-memory":
        return "alone" if kinds.count("out-of-memory") == 1 else "over"
    if kinds[-1] == "network":
        return "later" if kinds.count("network") <= len(DELAYS) else "over"
    if kinds[-1] in _TRANSIENT and sum(kind in _TRANSIENT for kind in kinds) <= retries:
        return "again"
    return "over"


def needs_device_alone(failures: Sequence[Failure]) -> bool:
    """Return whether a cell is to have its device alone: what it failed by since changes nothing.

    It ran out of memory once, beside others or not.
    """
    return any(failure.kind == "out-of-memory" for failure in failures)
