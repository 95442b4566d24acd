"""A real Slurm of two nodes on this machine, in a network of its own, for the tests of a fleet."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

NODES = ("n1", "n2")
_NEEDED = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "unshare", "nsenter")
_CONFIGURATION = """
ClusterName=retable
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
SlurmdTimeout=10
KillWait=10
MinJobAge=2
CompleteWait=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
NodeName=n[1-2] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[26831-26832] CPUs=2 RealMemory=4000
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """Slurm's daemons, and commands run where they are to be reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._network: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH"))}
        return {**kept, "SLURM_CONF": str(self.configuration)}

    def start(self) -> None:
        (self.folder / "state").mkdir()
        self.configuration.write_text(_CONFIGURATION.format(folder=self.folder))
        up = "ip link set lo up && ip addr add 10.77.0.1/32 dev lo && exec sleep infinity"
        self._network = subprocess.Popen(["unshare", "--net", "sh", "-c", up])
        time.sleep(0.5)
        if self._network.poll() is not None:
            pytest.skip("a network of its own is not to be had here: it needs root")
        self._daemon("slurmctld", "slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: self.idle() == 2, 30, "both nodes idle")

    def idle(self) -> int:
        told = self.run("sinfo", "--noheader", "--Node", "--format=%N %t", check=False).stdout
        return sum(line.split()[1] == "idle" for line in told.splitlines() if line.strip())

    def start_node(self, node: str) -> None:
        self._daemon(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill a node as a power failure does: its daemon, and all that its jobs have started."""
        daemon = self._daemons.pop(node)
        daemon.kill()
        daemon.wait()
        self.kill_rest(node)

    def processes(self, wanted: str) -> list[int]:
        """Processes that have a variable, of this cluster only."""
        ours = f"SLURM_CONF={self.configuration}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                if wanted.encode() in variables and ours in variables:
                    found.append(int(folder.name))
        return found

    def processes_of_steps(self, node: str) -> list[int]:
        """The daemons that hold a node's job steps."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes()
                held = f"{self.folder}/spool.{node}".encode()
                links = [os.readlink(link) for link in (folder / "fd").iterdir()]
                if b"slurmstepd" in line and any(held in link.encode() for link in links):
                    found.append(int(folder.name))
        return found

    def command(self, *command: object) -> list[str]:
        assert self._network is not None
        return ["nsenter", f"--net=/proc/{self._network.pid}/ns/net", "--", *map(str, command)]

    def run(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*command), env=self.environment, text=True, capture_output=True,
            check=check, timeout=120,
        )  # fmt: skip

    def jobs(self) -> list[tuple[str, str, str]]:
        """Each job's id, state and node."""
        told = self.run("squeue", "--array", "--noheader", "--format=%i|%T|%N").stdout
        return [tuple(line.split("|")) for line in told.splitlines()]  # type: ignore[misc]

    def wait(self, until, seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, f"not within {seconds} s: {what}\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{f.name}:\n{f.read_text()[-2000:]}" for f in files)

    def close(self) -> None:
        for daemon in self._daemons.values():
            daemon.kill()
            daemon.wait()
        for node in NODES:
            self.kill_rest(node)
        if self._network is not None:
            self._network.kill()
            self._network.wait()

    def kill_rest(self, node: str) -> None:
        for pid in self.processes(f"SLURMD_NODENAME={node}") + self.processes_of_steps(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _daemon(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.out.log", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                self.command(*command), env=self.environment, stdout=log, stderr=log
            )


def slurm_cluster(folder: Path) -> Iterator[SlurmCluster]:
    """Yield a running cluster; skip where none can be had."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    missing = [name for name in (*_NEEDED, "ip") if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"there is no Slurm here ({', '.join(missing)} missing): apt-get install "
                    "slurm-wlm iproute2")  # fmt: skip
    if os.geteuid() != 0:
        pytest.skip("a Slurm of its own needs root")
    os.environ["PATH"] = path
    cluster = SlurmCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
