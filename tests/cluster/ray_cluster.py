"""Runs cells on two Ray machines in a network of their own, neither of which sees the store.

Run as root in new namespaces of network, mounts and processes: whatever is started here ends with
it. The second machine has another ``/tmp``, and nothing where the store is.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

HEAD, OTHER = "10.77.0.1", "10.77.0.2"
ADDRESS = f"{HEAD}:6379"
# Ray gives its agents fifteen seconds to be imported, however busy the machine is.
_FIRST = ("nice", "-n", "-10")
_RAY = (*_FIRST, sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start")
_SMALL = (
    "--num-cpus=2", "--object-store-memory=80000000", "--disable-usage-stats", "--no-monitor",
    "--include-log-monitor=False", "--block",
)  # fmt: skip
# Milliseconds and seconds: a busy machine takes long to import what Ray's agents are made of.
_PATIENT = {"RAY_agent_register_timeout_ms": "120000", "RAY_raylet_start_wait_time_s": "60"}


def network(folder: Path) -> None:
    """Give this namespace two addresses, and no server of names to wait for."""
    for command in ("link set lo up", f"addr add {HEAD}/24 dev lo", f"addr add {OTHER}/24 dev lo"):
        subprocess.run(["ip", *command.split()], check=True)
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    # Of Ray's own files nothing stays, and nothing of another Ray's is found.
    Path("/tmp/ray").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp/ray"], check=True)
    subprocess.run(["mount", "--bind", resolver, os.path.realpath("/etc/resolv.conf")], check=True)


def token(folder: Path) -> None:
    """Make the token that all of Ray asks for."""
    file = folder / "token"
    with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as opened:
        opened.write(secrets.token_hex(32))
    os.environ |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(file),
        "RAY_USAGE_STATS_ENABLED": "0",
        **_PATIENT,
    }


def start_head(folder: Path) -> subprocess.Popen[bytes]:
    """Start the machine that the runner is on."""
    asked = (
        "--head",
        "--port=6379",
        f"--node-ip-address={HEAD}",
        "--include-dashboard=false",
    )
    with open(folder / "head.log", "wb") as log:
        return subprocess.Popen([*_RAY, *asked, *_SMALL], stdout=log, stderr=log)


def start_other(folder: Path, hidden: Path) -> subprocess.Popen[bytes]:
    """Start the other machine: killing it kills all that runs on it."""
    asked = (f"--address={ADDRESS}", f"--node-ip-address={OTHER}")
    script = (
        f"mount --make-rprivate / && mkdir -p /dev/shm/own && cp {folder}/token /dev/shm/own/token"
        f" && mount -t tmpfs tmpfs /tmp && mkdir -p {hidden} && mount -t tmpfs tmpfs {hidden}"
        f" && chmod 000 {hidden} && export RAY_AUTH_TOKEN_PATH=/dev/shm/own/token"
        ' && export RETABLE_CACHE=/tmp/cache && exec "$@"'
    )
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    with open(folder / "other.log", "wb") as log:
        return subprocess.Popen(
            [*apart, "sh", "-c", script, "sh", *_RAY, *asked, *_SMALL],
            stdout=log, stderr=log, cwd="/",
        )  # fmt: skip


def main(where: str) -> None:
    """Run the plan; the other machine is killed when a few cells are done."""
    from bench.records.store import Store
    from bench.scheduling.engines.engine import EngineOptions
    from bench.scheduling.engines.ray import RayEngine
    from bench.scheduling.engines.remote.cluster import connect
    from bench.scheduling.options import RunOptions
    from bench.scheduling.run import run
    from tests.cluster import plan

    folder = Path(where)
    network(folder)
    token(folder)
    head = start_head(folder)
    told: dict[str, Any] = {}
    _until(lambda: b"Ray runtime started" in (folder / "head.log").read_bytes(), head)
    store = folder / "store"
    other = start_other(folder, store)
    _until(lambda: b"Ray runtime started" in (folder / "other.log").read_bytes(), other)
    options = EngineOptions("cpu", workers=2, address=ADDRESS)
    os.environ["RETABLE_CACHE"] = str(folder / "cache")
    try:
        engine = RayEngine(connect(options), options, target=plan.TARGET)
        told["devices"] = [device.name for device in engine.devices]
        cells = plan.cells()
        killing = threading.Thread(target=_kill_after, args=(other, store, 8), daemon=True)
        killing.start()
        begun = time.monotonic()
        summary = run(cells, Store(store), engine, options=RunOptions(retries=0))
        told["seconds"] = time.monotonic() - begun
        told["done"] = summary.done
        told["failures"] = [failed.failure.message for failed in summary.failures]
        told["killed"] = other.poll() is not None
    finally:
        for process in (other, head):
            process.kill()
    print("told", json.dumps(told))


def _kill_after(other: subprocess.Popen[bytes], store: Path, count: int) -> None:
    while len(list(store.glob("cells/*/*/*.json"))) < count:
        time.sleep(0.05)
    other.kill()


def _until(true: Any, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 200
    while not true():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Ray has not started: {process.returncode}\n{_why()}")
        time.sleep(0.1)


def _why() -> str:
    logs = Path("/tmp/ray/session_latest/logs").glob("raylet.*")
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    return "\n".join(line[:500] for line in lines if "failed" in line.lower())


if __name__ == "__main__":
    main(*sys.argv[1:])
