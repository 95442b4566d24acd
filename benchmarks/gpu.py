"""Twenty minutes on a fresh GPU machine: what only it can tell, section by section.

    python benchmarks/gpu.py --to gpu.json
    python benchmarks/gpu.py --only timing,profile
    python benchmarks/gpu.py --tiny

Each section has a process and a time limit of its own; one that fails keeps no other from
running. What is known is written after each. The exit code is 1 if a section failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.files import write_whole
from bench.import_path import with_package

# Name to the function in gpu_sections.py, and its seconds.
SECTIONS: dict[str, tuple[str, float]] = {
    "driver": ("driver", 180.0),
    "smoke": ("smoke", 600.0),
    "deterministic": ("deterministic_steps", 420.0),
    "timing": ("timing", 240.0),
    "profile": ("profile", 180.0),
    "attention": ("attention", 300.0),
    "peaks": ("peaks", 180.0),
    "sharing": ("sharing", 420.0),
    "full-memory": ("full_memory", 420.0),
    "fork": ("forking", 180.0),
}
Told = dict[str, Any]


def section(name: str, tiny: bool) -> Told:
    """Run a section in this process: ``done`` with what it tells, ``failed``, or ``not here``."""
    import gpu_sections

    try:
        told = getattr(gpu_sections, SECTIONS[name][0])(tiny)
    except gpu_sections.NotHere as why:
        return {"state": "not here", "why": str(why)}
    except Exception as error:
        return {"state": "failed", "why": f"{type(error).__name__}: {error}"}
    return {"state": "done", "told": told}


def apart(name: str, tiny: bool, limit: float) -> Told:
    """Run a section in a process of its own, which ends with all that it started."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        command = [sys.executable, __file__, "--section", name, "--to", answer.name]
        process = subprocess.Popen(
            [*command, *(["--tiny"] if tiny else [])], env=with_package(), start_new_session=True
        )
        try:
            code = process.wait(limit)
            found = _read(answer.name) or {"state": "failed", "why": f"it ended with {code}"}
        except subprocess.TimeoutExpired:
            found = {"state": "failed", "why": f"not done within {limit:.0f} s"}
        finally:
            _end(process)
    return found | {"seconds": round(time.monotonic() - began, 1)}


def _read(file: str) -> Told | None:
    try:
        found: Told = json.loads(Path(file).read_text())
        return found if found.get("state") else None
    except (OSError, ValueError):
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def rows_of(told: Any, begin: str = "") -> list[str]:
    """Return nested results as lines, one a value."""
    if isinstance(told, dict):
        return [line for key, value in told.items() for line in rows_of(value, f"{begin}{key}: ")]
    return [f"{begin}{f'{told:,.4g}' if isinstance(told, float) else told}"]


def printed(name: str, found: Told) -> str:
    """Return a section's part of the table."""
    lines = [f"{name:14} {found['state']:9} {found['seconds']:7.1f} s  {found.get('why', '')}"]
    return "\n".join([*lines, *(f"  {row}" for row in rows_of(found.get("told", {})))])


def machine() -> Told:
    """Return what the numbers were measured on."""
    import torch

    there = torch.cuda.is_available()
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "gpu": torch.cuda.get_device_name() if there else None,
        "cores": len(os.sched_getaffinity(0)),
    }


def run_all(names: Sequence[str], tiny: bool, to: Path | None, limit: float | None) -> int:
    """Run sections one after the other; return the exit code."""
    # Nothing here may touch CUDA before a section fills the memory or is forked.
    results: Told = {"tiny": tiny, "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "sections": {}}
    for name in names:
        found = apart(name, tiny, limit or SECTIONS[name][1])
        results["sections"][name] = found
        print(printed(name, found), flush=True)
        if to is not None:
            write_whole(to, json.dumps(results, indent=2) + "\n")
    return int(any(each["state"] == "failed" for each in results["sections"].values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="all of it small, on the CPU too")
    parser.add_argument("--only", help=f"sections, between commas: {','.join(SECTIONS)}")
    parser.add_argument("--to", type=Path, help="a JSON file of all results")
    parser.add_argument("--limit", type=float, help="seconds a section, in place of its own")
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    parser.add_argument("--process", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.process:
        import gpu_sections

        gpu_sections.one_process(asked.tiny)
        return 0
    if asked.section:
        found = section(asked.section, asked.tiny) | {"machine": machine()}
        asked.to.write_text(json.dumps(found))
        return 0
    names = asked.only.split(",") if asked.only else list(SECTIONS)
    if unknown := [name for name in names if name not in SECTIONS]:
        parser.error(f"no such section: {', '.join(unknown)}")
    return run_all(names, asked.tiny, asked.to, asked.limit)


if __name__ == "__main__":
    sys.exit(main())
