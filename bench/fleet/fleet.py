"""A fleet: what one command has submitted, as a file in the store that all its parts read."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import StoreError
from bench.files import bytes_sha256, write_whole
from bench.records.layout import Layout
from bench.records.lease import unwritable
from bench.records.owner import Owner, this_process


@dataclass(frozen=True)
class Work:
    """What every part of a fleet must have alike, or their records would be of several kinds.

    Attributes
    ----------
    cells
        Digest of the planned cells' ids.
    code, versions
        What the records of these cells should say.
    """

    cells: str
    code: Mapping[str, str]
    versions: Mapping[str, str]

    @classmethod
    def of(
        cls, cell_ids: Iterable[str], code: Mapping[str, str], versions: Mapping[str, str]
    ) -> Work:
        """Return the work on some cells."""
        return cls(bytes_sha256("\n".join(sorted(cell_ids)).encode()), dict(code), dict(versions))

    def differs(self, here: Work) -> str:
        """Return in what this work differs from that of another place; empty if in nothing."""
        parts = []
        if units := _differing(self.code, here.code):
            parts.append(f"the code of {', '.join(units)}")
        if names := _differing(self.versions, here.versions):
            told = (f"{n} {here.versions.get(n)} for {self.versions.get(n)}" for n in names)
            parts.append(f"versions ({', '.join(told)})")
        if self.cells != here.cells:
            parts.append("the suites' cells")
        return "; ".join(parts)


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


@dataclass(frozen=True)
class Submission:
    """One array of jobs: its id as Slurm gave it, and how many pilots it has."""

    job: str
    pilots: int
    when: str


@dataclass(frozen=True)
class Fleet:
    """What one command has submitted.

    Attributes
    ----------
    suites
        Names of the suites, to tell it by.
    command
        What each pilot's ``bench run`` is given.
    settings
        Of Slurm, as they were.
    watcher
        The process that submits.
    """

    id: str
    suites: tuple[str, ...]
    profile: str
    command: tuple[str, ...]
    settings: Mapping[str, Any]
    work: Work
    begun: str
    watcher: Owner
    submitted: tuple[Submission, ...] = ()

    @property
    def name(self) -> str:
        """The name of all its jobs: by it they are found, though their ids were never written."""
        return f"retable-{self.id}"

    @property
    def jobs(self) -> tuple[str, ...]:
        """Slurm's name of each pilot."""
        return tuple(
            f"{each.job}_{number}" if each.pilots > 1 else each.job
            for each in self.submitted
            for number in range(each.pilots)
        )

    def to_json(self) -> str:
        """Return the text of its file."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Fleet:
        """Return the fleet of a file's text; ValueError, KeyError or TypeError if it is none."""
        data = json.loads(text)
        data["work"] = Work(**data["work"])
        data["watcher"] = Owner(**data["watcher"])
        data["submitted"] = tuple(Submission(**each) for each in data["submitted"])
        return Fleet(**{**data, "suites": tuple(data["suites"]), "command": tuple(data["command"])})


class Fleets:
    """The fleets of a store."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.root
        self.folder = layout.fleets

    def found(self) -> list[Fleet]:
        """Return all that can be read, oldest first."""
        fleets = [self._read(file) for file in self.folder.glob("*.json")]
        return sorted((f for f in fleets if f is not None), key=lambda f: (f.begun, f.id))

    def get(self, fleet_id: str) -> Fleet:
        """Return one; StoreError if it is not there."""
        fleet = self._read(self.folder / f"{fleet_id}.json")
        if fleet is None:
            raise StoreError(
                f"there is no fleet {fleet_id!r} here", file=self._root, remedy="give --store"
            )
        return fleet

    def _read(self, file: Path) -> Fleet | None:
        try:
            fleet = Fleet.from_json(file.read_text())
            # Files are removed by this name: none may lead out of the folder.
            return fleet if fleet.id == file.stem else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, fleet: Fleet) -> None:
        """Write a fleet's file, whole; only its watcher does.

        Raises
        ------
        StoreError
            If the store cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / f"{fleet.id}.json", fleet.to_json())
        except OSError as error:
            raise unwritable(self._root, error) from None

    def cancel(self, fleet: Fleet) -> None:
        """Mark a fleet as cancelled: nothing more of it is submitted, begun or requeued."""
        try:
            (self.folder / f"{fleet.id}.cancelled").touch()
        except OSError as error:
            raise unwritable(self._root, error) from None

    def cancelled(self, fleet_id: str) -> bool:
        """Return whether a fleet is marked as cancelled."""
        return (self.folder / f"{fleet_id}.cancelled").exists()

    def logs(self, fleet_id: str) -> Path:
        """Return the folder of a fleet's scripts and logs."""
        return self.folder / fleet_id

    def reports(self, fleet_id: str) -> Path:
        """Return the folder where a fleet's pilots say how they are."""
        return self.folder / fleet_id / "pilots"

    def files(self, fleet_id: str) -> list[Path]:
        """Return all files of a fleet, its own last."""
        inside = [path for path in self.logs(fleet_id).rglob("*") if not path.is_dir()]
        own = [self.folder / f"{fleet_id}.{kind}" for kind in ("cancelled", "json")]
        return [*inside, *(path for path in own if path.exists())]


def new_fleet(
    suites: Iterable[str],
    profile: str,
    command: Iterable[str],
    settings: Mapping[str, Any],
    work: Work,
) -> Fleet:
    """Return a fleet of this process that has submitted nothing yet."""
    fleet_id = uuid.uuid4().hex[:8]
    return Fleet(
        id=fleet_id,
        suites=tuple(suites),
        profile=profile,
        command=tuple(command),
        settings=settings,
        work=work,
        begun=_now(),
        watcher=this_process(fleet_id),
    )


def with_submission(fleet: Fleet, job: str, pilots: int) -> Fleet:
    """Return a fleet with one more array of jobs."""
    return replace(fleet, submitted=(*fleet.submitted, Submission(job, pilots, _now())))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
