"""A suite in memory: one measurement of networks that are at hand, in files or from anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import SpecError, UserError, did_you_mean
from bench.spec.loader import Document, Where, load_yaml, parse_yaml
from bench.spec.merge import merge
from bench.spec.paper import Paper
from bench.spec.parts import Part, find_part, known_parts, named_metrics, part_names, read_parts
from bench.spec.plan import Plan, plan_of
from bench.spec.problems import Source, validate
from bench.spec.roles import described, numbered
from bench.spec.suite import METRIC
from bench.spec.work import Measure

# What stands where an error names a file: the command, or the option that said it.
COMMAND = Path("bench measure")


@dataclass(frozen=True)
class Weights:
    """Where the network in a role comes from.

    Attributes
    ----------
    name
        ``random``, ``timm``, ``shipped:NAME``; None where it is in a file.
    file
        Of weights, or of predictions where the measurement reads these.
    classes
        Of the file's own head; 0 where it has none.
    backbone
        timm's name, a part's, or a part's to its parameters; None of predictions.
    seed
        Of the cell that trained it; None where none did.
    frozen
        Whether that cell left running statistics as they came.
    """

    name: str | None = None
    file: Path | None = None
    classes: int = 0
    backbone: str | Mapping[str, Any] | None = None
    seed: int | None = None
    frozen: bool = False


@dataclass(frozen=True)
class Data:
    """What is measured on, as a suite writes it.

    Attributes
    ----------
    task
        With the dataset's name, and what else is not as it is by default.
    own
        Of a dataset that is not the catalogue's: its entry under ``datasets:``.
    """

    task: Mapping[str, Any]
    own: Mapping[str, Any] | None = None
    image: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Asked:
    """One measurement as it is asked for.

    Attributes
    ----------
    parameters
        Documents of the part's parameters, laid over each other.
    plugins
        Files with parts of the user's.
    """

    part: Part
    networks: Mapping[str, Weights]
    data: Data | None
    seed: int
    parameters: Sequence[Document] = ()
    plugins: Sequence[str] = field(default=())


def measurement_named(given: str, plugins: Sequence[str] = ()) -> tuple[Part, tuple[str, ...]]:
    """Return a measurement, by its name or as ``FILE.py`` that has it, and the plug-ins with it.

    Raises
    ------
    SpecError
        If there is no such measurement, or a file has none or several.
    """
    if not given.endswith(".py"):
        known = tuple(plugins)
        part = find_part("measurement", given, known)
        if part is None:
            near = did_you_mean(given, part_names("measurement", known_parts(known)))
            raise SpecError(f"there is no measurement {given!r}", remedy=near)
        return part, known
    file = str(Path(given).expanduser().resolve())
    having = [part for part in read_parts(Path(file)) if part.kind == "measurement"]
    if len(having) != 1:
        names = ", ".join(part.name for part in having)
        raise SpecError(
            f"has {len(having)} measurements{f': {names}' if names else ''}",
            file=file,
            remedy=f"name one, and the file by --plugin {given}"
            if having
            else 'decorate a class with @measurement("name"), from bench.parts',
        )
    return having[0], tuple(dict.fromkeys([*plugins, file]))


def roles_of(part: Part, given: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
    """Return role to what is measured in it: what is given by role, and the others in their order.

    Raises
    ------
    UserError
        If there is no such role, or there are too few networks, or too many.
    """
    count = len(given) + len(named)
    roles = numbered(part.roles, count - len(numbered(part.roles, 0)))
    strange = next((role for role in named if role not in roles), None)
    if strange is not None:
        raise UserError(
            f"{part.name} measures {described(part.roles)}, and of {count} none is {strange!r}",
            field="--role",
            remedy=did_you_mean(strange, roles),
        )
    free = [role for role in roles if role not in named]
    if len(free) != len(given):
        missing, left = free[len(given) :], given[len(free) :]
        raise UserError(
            f"{part.name} measures {described(part.roles)}, and {count} "
            f"{'is' if count == 1 else 'are'} given",
            remedy=f"name one for {' and '.join(missing)}"
            if missing
            else f"leave {' and '.join(left)} out",
        )
    found = {**named, **dict(zip(free, given, strict=True))}
    return {role: found[role] for role in roles}


def parameters(name: str, file: Path | None, settings: Sequence[str]) -> list[Document]:
    """Return a part's parameters as written: in a file, and over it as ``KEY=VALUE``.

    Raises
    ------
    SpecError
        If the file cannot be read or is no mapping, or a setting is not ``KEY=VALUE``.
    """
    found = []
    if file is not None:
        document = load_yaml(file)
        if not isinstance(document.data, dict):
            raise SpecError("must be a mapping of parameters to values", file=file, line=1)
        found.append(_below(document, ("measure", "part", name)))
    if settings:
        raw: Any = {}
        for setting in settings:
            key, equals, value = setting.partition("=")
            if not (equals and all(key.split("."))):
                raise SpecError(
                    f"{setting!r} sets nothing", field="--set",
                    remedy="write PARAMETER=VALUE, such as --set points=51",
                )  # fmt: skip
            overlay: Any = value_of(value, "--set")
            for step in reversed(key.split(".")):
                overlay = {step: overlay}
            raw = merge(raw, overlay)
        found.append(_document("--set", {"measure": {"part": {name: raw}}}))
    return found


def value_of(text: str, option: str) -> Any:
    """Return an option's value, read as suites are: a number, a word, ``[1, 2]``, ``{a: 1}``."""
    return parse_yaml(text, Path(option)).data if text else ""


def measuring_plan(asked: Asked) -> Plan:
    """Return the plan of one cell: the suite is validated and expanded as one from a file is.

    Raises
    ------
    SpecError
        For whatever is wrong; where a file would be named stands the option that said it.
    """
    part = asked.part
    documents = [_document(str(COMMAND), _suite(asked))]
    backbones = {r: w.backbone for r, w in asked.networks.items() if w.backbone is not None}
    if backbones:
        documents.append(_document("--backbone", _networks(backbones)))
    if asked.data is not None:
        name = asked.data.task["dataset"]
        own = {"datasets": {name: dict(asked.data.own)}} if asked.data.own is not None else {}
        documents.append(_document("--on", {**own, "task": dict(asked.data.task)}))
        if asked.data.image is not None:
            documents.append(_document("--image", {"recipe": {"image": dict(asked.data.image)}}))
    documents += asked.parameters
    sources = [Source(document, ("measure", "part", part.name)) for document in documents]
    raw: Any = {}
    for document in documents:
        raw = merge(raw, document.data.get("measure", {}).get("part", {}).get(part.name, {}))
    settings = validate(part.parameters, raw, sources).model_dump()
    metrics = named_metrics(part.metrics, settings)
    if not metrics:
        raise SpecError(f"{part.name} gives no metric, and there is nothing to print")
    table = {
        "rows": ["method"], "columns": METRIC, "metrics": [{"metric": name} for name in metrics],
    }  # fmt: skip
    documents.append(_document(str(COMMAND), {"table": table}))
    plan = plan_of(documents, Paper(id="measured", title="Measured by hand"))
    _check_trained(asked, settings, plan)
    return plan


def _check_trained(asked: Asked, settings: Mapping[str, Any], plan: Plan) -> None:
    """Refuse what a suite would be refused for its stages: here they are files."""
    for role, weights in asked.networks.items():
        if weights.frozen and settings.get("statistics") == "averaged-anew":
            raise SpecError(
                f"statistics cannot be averaged anew: the network in the role {role} was trained "
                "with frozen statistics",
                field=f"measure.part.{asked.part.name}.statistics",
                remedy="use statistics: interpolated",
            )
    work = plan.cells[0].cell.work
    assert isinstance(work, Measure)
    for use in work.task.transforms if work.task is not None else ():
        transform = find_part("transform", use.name, tuple(asked.plugins))
        if transform is None or not transform.draws or transform.random:
            continue
        for role, weights in asked.networks.items():
            if weights.seed not in (None, asked.seed):
                raise SpecError(
                    f"the network in the role {role} was trained with seed {weights.seed}, and "
                    f"{use.name} is drawn by the measurement's own, {asked.seed}: it would see "
                    "other inputs",
                    field="--seed",
                    remedy="measure networks of one seed, which --seed may name, or without this "
                    "transform",
                )


def _suite(asked: Asked) -> dict[str, Any]:
    name = asked.part.name
    files = {r: w for r, w in asked.networks.items() if w.file is not None}
    return {
        "title": name,
        "plugins": list(asked.plugins),
        # The one value names what is drawn.
        "axes": {"method": name, "seed": [asked.seed]},
        "methods": {name: {}},
        "weights": {r: {"file": str(w.file), "classes": w.classes} for r, w in files.items()},
        "measure": {
            "part": {name: {}},
            "roles": {r: {"weights": w.name or f"file:{r}"} for r, w in asked.networks.items()},
        },
    }


def _networks(backbones: Mapping[str, Any]) -> dict[str, Any]:
    """Return the roles' networks; one with parameters is under ``networks`` by the role's name."""
    own = {f"of-{r}": dict(b) for r, b in backbones.items() if not isinstance(b, str)}
    names = {r: b if isinstance(b, str) else f"of-{r}" for r, b in backbones.items()}
    return {
        **({"networks": own} if own else {}),
        "measure": {"roles": {role: {"backbone": name} for role, name in names.items()}},
    }


def _document(said_by: str, data: dict[str, Any]) -> Document:
    # Nobody has written it into a file: there is no line to name.
    return Document(Path(said_by), data, dict.fromkeys(_paths(data), 0))


def _paths(data: Any, above: Where = ()) -> Iterator[Where]:
    yield above
    if isinstance(data, Mapping | list):
        for key, value in data.items() if isinstance(data, Mapping) else enumerate(data):
            yield from _paths(value, (*above, key))


def _below(document: Document, where: Where) -> Document:
    """Return a document as a part of a suite: what it holds is at a path of it."""
    data = document.data
    for key in reversed(where):
        data = {key: data}
    lines = {(*where, *path): line for path, line in document.lines.items()}
    return Document(document.file, data, lines)
