"""``bench measure``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bench.cli.options import store_option

if TYPE_CHECKING:
    from bench.cli.session import Session
    from bench.cli.subjects import Subject
    from bench.records.record import Record
    from bench.spec.cell import Resources
    from bench.spec.plan import Plan

EPILOG = """\b
Example:
  bench measure distance before.safetensors after.safetensors --backbone resnet50
  bench measure barrier.py 4f1c 90ab --set intervals=20
  bench measure barrier.py a.safetensors b.safetensors --backbone resnet18 --on cifar-10 --image 32
"""


@click.command("measure", epilog=EPILOG)
@click.argument("part", metavar="PART|FILE.py")
@click.argument("networks", metavar="[NETWORK]...", nargs=-1)
@click.option("--on", metavar="DATASET", help="Of the catalogue; or a folder, or a file of arrays.")
@click.option("--role", "named", multiple=True, metavar="ROLE=NETWORK", help="Out of their order.")
@click.option("--backbone", metavar="NAME", help="Of files that do not say it; or {NAME: {…: …}}.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter: a.b=1.")
@click.option(
    "--with",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML file of parameters; --set goes before it.",
)
@click.option("--image", type=click.IntRange(min=1), metavar="SIZE", help="Resize images to it.")
@click.option("--sampling-rate", type=float, help="Part of the training rows of each class.")
@click.option("--objective", metavar="NAME", help="What scores networks; or {NAME: {…: …}}.")
@click.option("--seed", type=click.IntRange(min=0), help="Default: the cells' own, or 0.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(), help="File of your parts.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: a GPU if there is one.",
)
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for JSON, pictures and arrays; default: measured/PART.",
)
@store_option
def command(
    part: str,
    networks: tuple[str, ...],
    on: str | None,
    named: tuple[str, ...],
    backbone: str | None,
    settings: tuple[str, ...],
    file: Path | None,
    image: int | None,
    sampling_rate: float | None,
    objective: str | None,
    seed: int | None,
    plugins: tuple[str, ...],
    device: Literal["auto", "cpu", "cuda"],
    folder: Path | None,
    store: Path,
) -> None:
    """Measure networks that are at hand, by any measurement: print, draw, write JSON.

    PART is a measurement's name, or a Python file with one. A NETWORK is a safetensors file of
    weights, the beginning of a cell's id (CELL@300: after 300 steps; CELL@start), shipped:NAME,
    timm or random. They fill the measurement's roles in its order. Without --on, cells are
    measured on what they were trained on. Nothing is written to the store.
    """
    from bench.cli.subjects import data_of, subject
    from bench.errors import UserError
    from bench.spec.measuring import (
        Asked,
        measurement_named,
        measuring_plan,
        parameters,
        roles_of,
        value_of,
    )

    own = [str(Path(plugin).expanduser().resolve()) for plugin in plugins]
    found, own_plugins = measurement_named(part, own)
    if found.data == "none" and on is not None:
        raise UserError(f"{found.name} looks at no data", field="--on", remedy="leave --on out")
    given_networks = roles_of(found, networks, _by_role(named))
    given = parameters(found.name, file, settings)
    network = value_of(backbone, "--backbone") if backbone else None
    reads = found.reads == "predictions"
    subjects = {
        role: subject(text, store, network, predictions=reads)
        for role, text in given_networks.items()
    }
    data = None
    if found.data != "none":
        scored = value_of(objective, "--objective") if objective else None
        data = data_of(subjects, on, image=image, sampling_rate=sampling_rate, objective=scored)
    plan = measuring_plan(
        Asked(
            found,
            {role: each.weights for role, each in subjects.items()},
            data,
            _seed(subjects) if seed is None else seed,
            given,
            own_plugins,
        )
    )
    with tempfile.TemporaryDirectory(prefix="bench-measure-") as scratch:
        session, record = _execute(plan, Path(scratch), device)
        told = {role: each.told for role, each in subjects.items()}
        _conclude(session, record, folder or Path("measured") / found.name, told)


def _by_role(named: Sequence[str]) -> dict[str, str]:
    from bench.errors import UserError

    found: dict[str, str] = {}
    for text in named:
        role, equals, network = text.partition("=")
        if not (equals and network) or role in found:
            raise UserError(
                f"{text!r} names no network" if role not in found else f"{role} is given twice",
                field="--role",
                remedy="write ROLE=NETWORK, each role once",
            )
        found[role] = network
    return found


def _seed(subjects: Mapping[str, Subject]) -> int:
    """Return the seed of all that are cells; 0 where there is none, or several."""
    seeds = {s.weights.seed for s in subjects.values() if s.weights.seed is not None}
    return seeds.pop() if len(seeds) == 1 else 0


def _execute(plan: Plan, scratch: Path, device: Any) -> tuple[Session, Record]:
    """Execute the plan's cell here, in a store of its own; end the command if it fails."""
    from rich.console import Console

    from bench.cli.session import session_of
    from bench.errors import UserError
    from bench.scheduling.engines.engine import EngineOptions
    from bench.scheduling.engines.inline import inline_engine
    from bench.scheduling.live import progress_for
    from bench.scheduling.options import RunOptions
    from bench.scheduling.run import run

    session = session_of(plan, scratch)
    (planned,) = plan.cells
    resources: dict[str, Resources] = {planned.cell.id: plan.resources}
    summary = run(
        plan.cells,
        session.store,
        inline_engine(EngineOptions(device)),
        resources=resources,
        expectations=session.expected,
        options=RunOptions(retries=0),
        progress=progress_for(Console(stderr=True)),
        states=session.states,
    )
    if summary.interrupted:
        raise click.exceptions.Abort
    if summary.failures:
        failure = summary.failures[0].failure
        raise UserError(f"{plan.suite.title} was not measured: {failure.message}")
    done = session_of(plan, scratch)
    return done, done.done()[planned.cell.id]


def _conclude(session: Session, record: Record, folder: Path, networks: Mapping[str, Any]) -> None:
    from bench.cli.printing import table
    from bench.report.measured import metric_rows, write_measured

    results = session.results()
    for role, told in networks.items():
        click.echo(f"{role}: {_said(told)}")
    task = record.cell["settings"].get("task")
    if task is not None:
        click.echo(f"on: {_of_task(task)}")
    rows = [(name, f"{value:.6g}", unit) for name, value, unit in metric_rows(results, record)]
    click.echo("\n" + table(rows, ["metric", "value", "unit"], ["left", "right", "left"]) + "\n")
    for path in write_measured(folder, results, record, session.store, networks):
        click.echo(path)


def _said(told: Mapping[str, Any]) -> str:
    from bench.spec.work import canonical_json

    where = f"cell {told['cell']}, {told['artifact']}" if "cell" in told else told["given"]
    parts = [where]
    if "sha256" in told:
        parts.append(f"SHA-256 {told['sha256'][:12]}…")
    if "backbone" in told:
        network = told["backbone"]
        parts.append(network if isinstance(network, str) else canonical_json(network))
    if "classes" in told:
        parts.append(f"head of {told['classes']} classes" if told["classes"] else "no head")
    return ", ".join(parts)


def _of_task(task: Mapping[str, Any]) -> str:
    from bench.spec.work import canonical_json

    image = task.get("image")
    size = f", images of {image['size']} pixels" if image else ""
    changed = [canonical_json(each) for each in task["transforms"]]
    return ", ".join([f"{task['dataset']}{size}", *changed])
