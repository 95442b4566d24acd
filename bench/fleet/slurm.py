"""What is asked of Slurm: to start pilots, to tell of them, to end them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.fleet.fleet import Fleet
from bench.fleet.pilot import Pilot
from bench.fleet.settings import SlurmSettings
from bench.import_path import with_package

_PATIENCE = 60.0
# A pilot goes on in a next job as often as there is something left.
_REQUEUES = 1_000_000


class SlurmError(UserError):
    """Slurm has refused something, or does not answer."""


@dataclass(frozen=True)
class JobState:
    """A job that Slurm knows and that has not ended.

    Attributes
    ----------
    state
        Slurm's word: ``PENDING``, ``RUNNING``, ``COMPLETING``, …
    node
        Where it runs; empty as long as it does not.
    reason
        Why it waits.
    """

    job: str
    state: str
    node: str
    reason: str


def submit(fleet: Fleet, settings: SlurmSettings, pilots: int, logs: Path) -> str:
    """Submit an array of pilots; return the id that Slurm gave it.

    Raises
    ------
    SlurmError
        If submitit is not installed, there is no Slurm here, or it refuses.
    """
    submitit = _submitit()
    executor = submitit.SlurmExecutor(
        # The current folder shadows no module.
        logs, max_num_timeout=_REQUEUES, python=f"{shlex.quote(sys.executable)} -P",
    )  # fmt: skip
    try:
        executor.update_parameters(**_parameters(fleet, settings))
        crew = [Pilot(str(logs.parent), fleet.id, fleet.command) for _ in range(pilots)]
        jobs = executor.submit_array(crew)
    except (submitit.core.utils.FailedJobError, OSError) as error:
        raise SlurmError(
            f"Slurm refused the pilots: {str(error).strip()}",
            remedy="see `sinfo`, and the settings in slurm.yaml",
        ) from None
    return str(jobs[0].job_id).partition("_")[0]


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise SlurmError(
            "--engine slurm needs the package submitit", remedy="pip install 'retable[slurm]'"
        ) from None
    for command in ("sbatch", "srun", "squeue"):
        if shutil.which(command) is None:
            raise SlurmError(
                f"there is no {command} here",
                remedy="submit on a machine from which you use Slurm, or use --engine local",
            )
    return submitit


def _parameters(fleet: Fleet, settings: SlurmSettings) -> dict[str, Any]:
    path = with_package()["PYTHONPATH"]
    asked = {
        "job_name": fleet.name,
        "partition": settings.partition,
        "account": settings.account,
        "gpus_per_node": settings.gpus or None,
        "cpus_per_task": settings.cpus,
        # A job with a node to itself would else start a pilot on each of its cores.
        "ntasks_per_node": 1,
        "mem": settings.memory,
        "time": settings.time,
        "signal_delay_s": settings.notice,
        "setup": [f"export PYTHONPATH={shlex.quote(path)}", *settings.setup],
        "stderr_to_stdout": True,
        # Since Slurm 22.05 a step does not inherit it.
        "srun_args": ["--ntasks=1", f"--cpus-per-task={settings.cpus}"],
        "additional_parameters": {"requeue": True, **settings.sbatch},
    }
    return {name: value for name, value in asked.items() if value is not None}


def jobs_of(fleets: Iterable[Fleet]) -> dict[str, list[JobState]]:
    """Return the jobs of each fleet, by its id, that have not ended: pending ones one by one.

    Raises
    ------
    SlurmError
        If Slurm does not answer.
    """
    found: dict[str, list[JobState]] = {}
    ids = {fleet.name: fleet.id for fleet in fleets}
    if not ids:
        return found
    form = "%i|%j|%T|%N|%r"
    told = _run(["squeue", "--array", "--noheader", f"--name={','.join(ids)}", f"--format={form}"])
    for line in told.splitlines():
        job, name, state, node, reason = (part.strip() for part in line.split("|", 4))
        if name in ids:
            found.setdefault(ids[name], []).append(JobState(job, state, node, reason))
    return found


def end(fleet: Fleet, *options: str) -> None:
    """Cancel, or signal, the jobs of a fleet, whether or not their ids were ever written.

    Raises
    ------
    SlurmError
        If Slurm does not answer.
    """
    _run(["scancel", f"--name={fleet.name}", *options])


def _run(command: Sequence[str]) -> str:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{command[0]} does not work here: {error}") from None
    if ended.returncode:
        why = ended.stderr.strip() or f"exit code {ended.returncode}"
        raise SlurmError(f"{command[0]} does not work here: {why}")
    return ended.stdout
