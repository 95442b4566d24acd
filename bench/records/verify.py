"""Reads all that lies in a store, and says what is not as it was written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import StoreError
from bench.files import file_sha256
from bench.records.carried import contradictions, names
from bench.records.record import Record
from bench.records.settling import load_rule
from bench.records.store import Store


@dataclass(frozen=True)
class Finding:
    """A file that is not as it was written.

    Attributes
    ----------
    what
        ``record``, ``artifact``, ``rule``, ``attestation``, ``data``, ``weights``,
        ``page`` or ``index``.
    """

    what: str
    file: Path
    problem: str


@dataclass
class Checked:
    """How much was looked at, and what was found.

    Attributes
    ----------
    absent
        Artifacts that a record names and that are not here: as after an import, no damage.
    foreign
        Records of an older or newer Retable, which cannot be checked.
    """

    records: int = 0
    artifacts: int = 0
    absent: int = 0
    foreign: int = 0
    rules: int = 0
    attestations: int = 0
    data: int = 0
    weights: int = 0
    pages: int = 0
    findings: list[Finding] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return how many there were of each kind, by words for it."""
        return {
            "records": self.records,
            "artifacts": self.artifacts,
            "artifacts not here": self.absent,
            "records of another Retable": self.foreign,
            "rules of settling": self.rules,
            "attestations": self.attestations,
            "prepared data sets": self.data,
            "shipped weights": self.weights,
            "pages": self.pages,
        }


def check_store(store: Store, checked: Checked, cell_ids: Iterable[str] | None = None) -> None:
    """Read the records of cells, or of all there are, and their artifacts; every rule of settling.

    And every attestation, with the records that it names and those that it carries.

    What is found, and how much was read, is added to ``checked``.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    for cell_id in store.layout.matching("") if cell_ids is None else cell_ids:
        for record in store.attempts(cell_id):
            checked.records += 1
            _check_artifacts(store, record, checked)
    for file in sorted((store.root / "settling").glob("*.json")):
        checked.rules += 1
        try:
            load_rule(file.read_bytes(), file)
        except (StoreError, OSError) as error:
            checked.findings.append(Finding("rule", file, getattr(error, "message", str(error))))
    _check_attestations(store, checked)
    checked.foreign += len(store.foreign)
    checked.findings += [Finding("record", path, why) for path, why in sorted(store.broken.items())]


def _check_attestations(store: Store, checked: Checked) -> None:
    checked.attestations += len(names(store.layout))
    known = store.attestations
    known.look()
    for path, why in sorted(known.broken.items()):
        checked.findings.append(Finding("attestation", path, why))
    for attestation in known.holding:
        for cell_id, then, now in contradictions(attestation.ways, store.attempts):
            path = store.layout.cell(cell_id).record(then)
            problem = f"attempt {now}, by later code, has other numbers: it is carried no more"
            checked.findings.append(Finding("attestation", path, problem))


def _check_artifacts(store: Store, record: Record, checked: Checked) -> None:
    for name, artifact in sorted(record.outcome.artifacts.items()):
        path = store.layout.cell(record.id).artifact(artifact.file)
        try:
            found = file_sha256(path)
        except FileNotFoundError:
            checked.absent += 1
            continue
        except OSError as error:
            checked.findings.append(Finding("artifact", path, f"cannot be read: {error.strerror}"))
            continue
        checked.artifacts += 1
        if found != artifact.sha256:
            checked.findings.append(
                Finding("artifact", path, f"the {name} is not the one that was written")
            )
