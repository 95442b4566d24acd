"""A bundle's description for archives: a Workflow Run RO-Crate, by the library `rocrate`.

The suite is the workflow, its cells' attempts are one run of it. See
https://w3id.org/ro/wfrun/workflow/0.5 and https://www.researchobject.org/ro-crate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import bench
from bench.errors import UserError
from bench.files import bytes_sha256
from bench.records.freshness import of_task
from bench.records.record import Record
from bench.report.provenance import tasks_of
from bench.spec.plan import Plan

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

NAME = "ro-crate-metadata.json"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
# What an ingredient is: its type, the property that has its digest or version, and whether it is
# what the run worked on or by.
_KINDS = {
    "code": ("SoftwareApplication", "sha256", "instrument"),
    "library": ("SoftwareApplication", "softwareVersion", "instrument"),
    "machine": ("Thing", "identifier", "instrument"),
    "data": ("Dataset", "sha256", "object"),
    "weights": ("CreativeWork", "sha256", "object"),
}
_TYPES = {".json": "application/json", ".jsonl": "application/jsonl", ".yaml": "application/yaml"}


def crate_metadata(
    plan: Plan, records: Sequence[Record], files: Mapping[str, bytes], workflow: str
) -> bytes:
    """Return the crate's metadata file.

    Parameters
    ----------
    files
        Every other file of the bundle by name.
    workflow
        Name of the one that is the suite.

    Raises
    ------
    UserError
        If `rocrate` is not installed.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise UserError(
            "the description for archives needs rocrate, which is not installed",
            remedy="install retable[crate], or use --no-crate",
        ) from None
    crate = ROCrate()
    ended = max((record.ended for record in records), default="")
    _describe(crate, plan, ended)
    for name, content in sorted(files.items()):
        _add_file(crate, name, content, workflow)
    _add_run(crate, plan, records, ended, workflow)
    data = crate.metadata.generate()
    data["@graph"] = sorted(data["@graph"], key=lambda entity: str(entity["@id"]))
    return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _describe(crate: ROCrate, plan: Plan, ended: str) -> None:
    title = f"{plan.suite.title} ({plan.profile})"
    crate.name = f"{plan.paper.title}: {title}"
    crate.description = (
        f"Records of the cells of the suite {plan.suite.name} of {plan.paper.title}, profile "
        f"{plan.profile}: metrics, curves, settings and digests of what each was made of."
    )
    crate.root_dataset["datePublished"] = ended
    profiles = [
        _entity(crate, at, "CreativeWork", {"name": name, "version": at.rpartition("/")[2]})
        for at, name in _PROFILES.items()
    ]
    crate.root_dataset["conformsTo"] = profiles


def _add_file(crate: ROCrate, name: str, content: bytes, workflow: str) -> None:
    from rocrate.model.computationalworkflow import ComputationalWorkflow
    from rocrate.model.file import File

    suffix = name[name.rindex(".") :] if "." in name else ""
    facts: dict[str, Any] = {
        "contentSize": str(len(content)),
        "sha256": bytes_sha256(content),
        "encodingFormat": _TYPES.get(suffix, "application/octet-stream"),
    }
    if name != workflow:
        crate.add(File(crate, None, name, properties=facts))
        return
    language = _entity(
        crate,
        "#retable-suite",
        "ComputerLanguage",
        {"name": "Retable suite", "version": bench.__version__},
    )
    suite = ComputationalWorkflow(crate, None, name, properties={**facts, "name": name})
    crate.add(suite)
    suite["programmingLanguage"] = language
    crate.mainEntity = suite


def _add_run(
    crate: ROCrate, plan: Plan, records: Sequence[Record], ended: str, workflow: str
) -> None:
    engine = _entity(
        crate,
        "#retable",
        "SoftwareApplication",
        {"name": "Retable", "softwareVersion": bench.__version__},
    )
    used: list[Any] = []
    tools = [engine]
    for what, name, value in sorted(_ingredients(records)):
        kind, fact, among = _KINDS[what]
        facts = {"name": f"{what}: {name}", fact: value}
        (used if among == "object" else tools).append(
            _entity(crate, f"#{what}/{quote(name, safe='')}@{quote(value[:12])}", kind, facts)
        )
    run = _entity(
        crate,
        "#run",
        "CreateAction",
        {
            "name": f"{len(records)} cells of {plan.paper.id}/{plan.suite.name} {plan.profile}",
            "startTime": min((record.started for record in records), default=""),
            "endTime": ended,
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    run["instrument"] = crate.dereference(workflow)
    run["object"] = used
    run["result"] = crate.dereference("records.jsonl")
    run["softwareRequirements"] = tools
    crate.root_dataset["mentions"] = [run]


def _ingredients(records: Sequence[Record]) -> set[tuple[str, str, str]]:
    """Return what the records were made of: what it is, its name, its digest or version."""
    found = set()
    for record in records:
        made = record.outcome.provenance
        found |= {("code", unit, digest) for unit, digest in made.code.items()}
        found |= {("library", name, version) for name, version in made.versions.items()}
        found |= {
            ("weights", begun["source"], begun["file"])
            for begun in made.weights.values()
            if begun.get("file")
        }
        for task, settings in tasks_of(record).items():
            digest = made.data.get(of_task(task, "dataset"))
            if digest is not None:
                found.add(("data", str(settings["dataset"]), str(digest)))
        if made.machine:
            told = ", ".join(f"{name}: {fact}" for name, fact in sorted(made.machine.items()))
            found.add(("machine", told, bytes_sha256(told.encode())))
    return found


def _entity(crate: ROCrate, at: str, kind: str, properties: Mapping[str, Any]) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, at, properties={"@type": kind, **properties}))
