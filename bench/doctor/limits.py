"""Threads and open files, as this process has them from whoever started it."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping

from bench.doctor.finding import Asked, Finding, Mark
from bench.scheduling.engines.devices import cores

KEYS_THREADS = ("cores", "set")
KEYS_FILES = ("soft", "hard")
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Workers are forked: where they are bound so, all come to lie on one core.
_BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
# Pipes, log and data of a worker, generously.
_FILES = 1024
_TOO_FEW = 128


def threads(asked: Asked) -> Finding:
    """Look at the settings of threads."""
    return judge_threads(os.environ, cores())


def judge_threads(environment: Mapping[str, str], count: int) -> Finding:
    """Return whether more threads are asked for than there are cores, or all bound to one."""
    given = {name: environment[name] for name in (*_COUNTS, *_BINDING) if name in environment}
    measured = {"cores": count, "set": given}
    many = [name for name in _COUNTS if given.get(name, "").isdigit() and int(given[name]) > count]
    bound = [name for name in _BINDING if given.get(name, "").lower() not in ("", "false", "none")]
    told = ", ".join(f"{name}={value}" for name, value in given.items())
    fact = f"{count} cores" + (f"; {told}" if told else "; one thread a cell on the CPU")
    if many or bound:
        return Finding("look", fact, f"unset {' '.join(many + bound)}", measured)
    return Finding("ok", fact, measured=measured)


def open_files(asked: Asked) -> Finding:
    """Look at how many files a process may open."""
    return judge_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def judge_files(soft: int, hard: int) -> Finding:
    """Return whether a runner may open enough for its workers' pipes."""
    measured = {"soft": soft, "hard": hard}
    if soft in (resource.RLIM_INFINITY, -1):
        return Finding("ok", "any number", measured=measured)
    if soft >= _FILES:
        return Finding("ok", f"{soft:,} a process", measured=measured)
    mark: Mark = "fails" if soft < _TOO_FEW else "look"
    return Finding(mark, f"only {soft:,} a process", f"ulimit -n {4 * _FILES}", measured)
