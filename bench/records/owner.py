"""Who holds a lease, and whether that process still lives."""

from __future__ import annotations

import json
import math
import os
import socket
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

# By a signal, or by a debugger.
_STOPPED = ("T", "t")


@dataclass(frozen=True)
class Owner:
    """A runner's process, told apart from any other on any machine.

    Attributes
    ----------
    boot
        The kernel's boot id and the process's PID namespace; empty where they are not known.
    start
        Start time of the process in clock ticks since boot; empty where it is not known.
    run
        Id of the run.
    ttl
        Seconds without a heartbeat after which others are to take it for dead, where heartbeats
        must tell; None leaves it to them.
    """

    host: str
    boot: str
    pid: int
    start: str
    run: str
    ttl: float | None = None

    def to_json(self) -> str:
        """Return the text kept in the owner file."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str | bytes) -> Owner | None:
        """Return the owner told by a lease's text; None if it tells none."""
        try:
            data = json.loads(text)
            named = {name: data[name] for name in ("host", "boot", "pid", "start", "run")}
            ttl = data.get("ttl")
            # Older runners have named none.
            return Owner(**named, ttl=float(ttl) if ttl and math.isfinite(float(ttl)) else None)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def lives(self) -> bool | None:
        """Return whether the process lives; None where its heartbeat must tell.

        That is where this machine cannot know, and where the process is stopped: it does nothing,
        and may never go on.
        """
        if not self._here():
            return None
        state, start = _stat(self.pid)
        if not start or start != self.start:
            return False
        return None if state in _STOPPED else True

    def stopped(self) -> bool:
        """Return whether the process is known to be stopped, as by Ctrl-Z."""
        state, start = _stat(self.pid)
        return self._here() and start == self.start and state in _STOPPED

    def _here(self) -> bool:
        return bool(self.boot) and (self.host, self.boot) == (socket.gethostname(), this_boot())


def owner_of(file: Path) -> Owner | None:
    """Return the owner that an owner file, or a lease, tells of; None if it tells none."""
    try:
        return Owner.from_json(file.read_bytes())
    except OSError:
        return None


def stopped_owners(runners: Path) -> list[Owner]:
    """Return the runners of this machine that are stopped, of those with a file in a folder."""
    owners = (owner_of(file) for file in sorted(runners.glob("*.json")))
    return [owner for owner in owners if owner is not None and owner.stopped()]


def this_process(run: str) -> Owner:
    """Return this process as an owner."""
    pid = os.getpid()
    return Owner(socket.gethostname(), this_boot(), pid, start_of(pid), run)


@lru_cache(maxsize=1)
def this_boot() -> str:
    """Return what two processes share if one's pid means something to the other; else empty."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def start_of(pid: int) -> str:
    """Return a living process's start time in ticks since boot; empty for none or a zombie."""
    return _stat(pid)[1]


def _stat(pid: int) -> tuple[str, str]:
    """Return a living process's state, a letter, and its start time; both empty for none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "", ""
    # The command's name, in parentheses, may hold spaces and parentheses.
    fields = stat[stat.rindex(")") + 2 :].split()
    state, start = fields[0], fields[19]
    return ("", "") if state in "ZX" else (state, start)
