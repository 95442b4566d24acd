"""Every check in a process of its own: one that hangs or crashes is a finding."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bench.doctor.finding import Asked, Check, Finding
from bench.doctor.registry import CHECKS
from bench.import_path import with_package

FORMAT = 1
# Seconds in which a killed process ends, if no dead file server holds it.
_DYING = 2.0


def examine(
    asked: Asked, checks: Sequence[Check] = CHECKS, *, command: Sequence[str] | None = None
) -> Iterator[tuple[Check, Finding]]:
    """Yield each check with what it found, one after the other.

    Parameters
    ----------
    command
        What looks, by the check's name as a last argument; :mod:`bench.doctor.child` by default.
    """
    for check in checks:
        yield check, _look(asked, check, command or _CHILD)


_CHILD = (sys.executable, "-P", "-m", "bench.doctor.child")


def _look(asked: Asked, check: Check, command: Sequence[str]) -> Finding:
    question = json.dumps({"store": str(asked.store.absolute()), "device": asked.device})
    try:
        process = subprocess.Popen(
            [*command, check.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=with_package(),
            start_new_session=True,
        )
    except OSError as error:
        return Finding("fails", f"no process could be started: {error.strerror}", "see `ulimit -a`")
    try:
        answer, said = process.communicate(question, timeout=check.limit)
    except subprocess.TimeoutExpired:
        _kill(process)
        return Finding("fails", f"no answer within {check.limit:.0f} s", "what it looks at hangs")
    except BaseException:
        _kill(process)
        raise
    return _understood(check, process.returncode, answer, said)


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and those that it started; one that even SIGKILL does not end is left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=_DYING)
    except (OSError, subprocess.TimeoutExpired):
        pass


def _understood(check: Check, code: int, answer: str, said: str) -> Finding:
    try:
        finding = Finding.of(json.loads(answer))
    except (ValueError, KeyError, TypeError, AttributeError):
        last = (said.strip().splitlines() or ["it said nothing"])[-1][:200]
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return Finding("fails", f"crashed ({how}): {last}", "see what it says; report it if odd")
    return replace(finding, measured={key: finding.measured.get(key) for key in check.keys})


def as_json(asked: Asked, found: Sequence[tuple[Check, Finding]], made: str) -> dict[str, Any]:
    """Return everything that was measured; keys are the same on every machine.

    ``made`` is the time, as ISO 8601 writes it.
    """
    import platform

    from bench import __version__

    return {
        "format": FORMAT,
        "retable": __version__,
        "made": made,
        "asked": {"store": str(asked.store), "device": asked.device},
        "machine": {
            "host": platform.node(),
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
        },
        "fails": sorted(check.name for check, finding in found if finding.mark == "fails"),
        "checks": {check.name: finding.plain() for check, finding in found},
    }
