"""Who holds a lease, and whether that process still lives."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path


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
    """

    host: str
    boot: str
    pid: int
    start: str
    run: str

    def to_json(self) -> str:
        """Return the text kept in the owner file."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str | bytes) -> Owner | None:
        """Return the owner told by a lease's text; None if it tells none."""
        try:
            data = json.loads(text)
            return Owner(**{name: data[name] for name in ("host", "boot", "pid", "start", "run")})
        except (ValueError, KeyError, TypeError):
            return None

    def lives(self) -> bool | None:
        """Return whether the process lives; None where this machine cannot tell."""
        if not self.boot or (self.host, self.boot) != (socket.gethostname(), this_boot()):
            return None
        return bool(self.start) and start_of(self.pid) == self.start


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
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    # The command's name, in parentheses, may hold spaces and parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    state, start = fields[0], fields[19]
    return "" if state in (b"Z", b"X") else start.decode()
