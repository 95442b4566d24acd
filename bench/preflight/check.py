"""All that would fail of a run and can be known before its first cell."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.preflight.data import data_problem
from bench.preflight.gpu import gpu_problem
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended, Engine, NoRoom
from bench.scheduling.job import Job
from bench.spec.cell import CHECKPOINT, Cell, Resources
from bench.spec.work import Train

LOOK = "bench.preflight.network:look"
PARAMETERS = "parameters"
_BYTES = 4
# Weights, their gradients, the optimizer's velocities, and the start that penalties look at.
_COPIES = 4
# On a disk this full not even records can be written for long.
_SPARE = 50 * 2**20


@dataclass(frozen=True)
class Run:
    """What a run would do.

    Attributes
    ----------
    suites
        Of each suite the cells that would be executed, and where its own things lie.
    leaving
        Ids of the cells of which the run keeps a checkpoint.
    store
        Its folder, which need not be there yet.
    devices
        Where cells would be executed.
    """

    suites: Sequence[tuple[Sequence[Cell], Resources]]
    leaving: frozenset[str]
    store: Path
    devices: Sequence[Device]

    @property
    def cells(self) -> Iterator[Cell]:
        """The cells of all suites."""
        return (cell for cells, _ in self.suites for cell in cells)


def problems(run: Run, new_engine: Callable[[], Engine] | None) -> list[str]:
    """Return what would fail, each as a message; nothing where all seems well.

    Parameters
    ----------
    new_engine
        Makes an engine that executes ``LOOK`` here; None where backbones are not to be looked at.
    """
    unusable = gpu_problem(run.devices, run.store)
    found = [*([str(unusable)] if unusable is not None else []), *_of_data(run)]
    numbers: dict[str, float] = {}
    if new_engine is not None:
        for ended in _looked(_backbones(run), new_engine):
            name, failure = ended.job.cell.backbone, ended.outcome.failure
            if failure is not None:
                found.append(f"{name}: {failure.message}")
            else:
                numbers[name] = ended.outcome.metrics[PARAMETERS]
    found += [*_of_disk(run, numbers), *_of_memory(run, numbers)]
    return list(dict.fromkeys(found))


def _of_data(run: Run) -> Iterator[str]:
    for cells, resources in run.suites:
        for name in dict.fromkeys(name for cell in cells for name in cell.datasets):
            problem = data_problem(name, resources)
            if problem is not None:
                yield str(problem)


def _backbones(run: Run) -> list[Job]:
    """Return a job for each of timm's backbones, its weights and the size of its images."""
    jobs: dict[tuple[str, str, int], Job] = {}
    for cells, resources in run.suites:
        for cell in cells:
            work = cell.work
            if isinstance(work, Train) and isinstance(work.network, str):
                image = next(iter(work.tasks.values())).image or work.recipe.image
                if image is not None:
                    key = (work.network, work.weights, image.size)
                    jobs.setdefault(key, Job(cell, 1, Path(), resources=resources))
    return list(jobs.values())


def _looked(jobs: Sequence[Job], new_engine: Callable[[], Engine]) -> Iterator[Ended]:
    """Yield what became of each job, as many at a time as there is room for."""
    if not jobs:
        return
    engine = new_engine()
    free = [device for device in engine.devices for _ in range(device.slots)]
    begun: dict[str, Device] = {}
    waiting = list(jobs)
    try:
        with tempfile.TemporaryDirectory(prefix="retable-") as folder:
            while waiting or begun:
                while waiting and free:
                    job, device = waiting[-1], free[-1]
                    try:
                        engine.start(_in_folder(job, Path(folder)), device)
                    except NoRoom:
                        # The run itself waits for room, and says so.
                        if not begun:
                            return
                        break
                    begun[job.cell.id] = device
                    waiting.pop(), free.pop()
                for ended in engine.poll(0.2):
                    free.append(begun.pop(ended.job.cell.id))
                    yield ended
    finally:
        engine.close()


def _in_folder(job: Job, folder: Path) -> Job:
    own = folder / job.cell.id
    own.mkdir(exist_ok=True)
    return Job(job.cell, job.attempt, own, resources=job.resources)


def _of_disk(run: Run, numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield that the checkpoints of a run do not fit beside what is there."""
    there = next(folder for folder in (run.store, *run.store.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    leaving = [cell for cell in run.cells if cell.id in run.leaving and cell.can_leave(CHECKPOINT)]
    needed = sum(_BYTES * numbers.get(cell.backbone, 0.0) for cell in leaving)
    if needed + _SPARE > free:
        what = f"{len(leaving):,} checkpoints take {_gigabytes(needed)}, and " if needed else ""
        yield str(
            UserError(
                f"{what}only {_gigabytes(free)} are free on its disk",
                file=run.store,
                remedy="free some, or name a --store on another disk",
            )
        )


def _of_memory(run: Run, numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield that the largest networks alone, without any batch, fill the machine's memory."""
    slots = sum(device.slots for device in run.devices if device.kind == "cpu")
    free = available_memory()
    if not (slots and numbers and free is not None):
        return
    largest = max(numbers, key=numbers.__getitem__)
    at_once = min(slots, Counter(cell.backbone for cell in run.cells)[largest])
    needed = _COPIES * _BYTES * numbers[largest] * at_once
    if needed > free:
        yield str(
            UserError(
                f"{at_once} of {largest} at a time need more than {_gigabytes(needed)} of memory, "
                f"and {_gigabytes(free)} are free",
                remedy="take fewer --workers, or a smaller backbone",
            )
        )


def available_memory() -> float | None:
    """Return the bytes of memory that processes may take; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        told = {line.split(":")[0]: line.split()[1] for line in lines}
        return 1024.0 * int(told["MemAvailable"])
    except (OSError, KeyError, IndexError, ValueError):
        return None


def _gigabytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB"
