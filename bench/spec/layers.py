"""A suite's base and its profile, laid over each other, every name checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import SpecError, did_you_mean
from bench.spec.catalogue import entry
from bench.spec.cell import Resources
from bench.spec.drawing import SearchSpec
from bench.spec.figure import Figure
from bench.spec.loader import Document, Key, load_yaml
from bench.spec.merge import merge
from bench.spec.paper import Note
from bench.spec.parts import Kind, Part, find_part, known_parts, part_names
from bench.spec.problems import Source, validate
from bench.spec.recipe import Scalar
from bench.spec.suite import (
    Arrays,
    Folder,
    Overlay,
    Stage,
    SuiteFile,
    Table,
)

SHIPPED = Path(__file__).parent.parent / "models" / "shipped"
# ``stage:NAME``, with the state it reports, whole or as a patch, that before its first step, or
# after so many.
_STAGE = re.compile(r"stage:(?P<name>[^@]+)(@(?P<state>start|patch|[0-9]+))?")
MAX_SEEDS = 100_000
# The profile of a few steps of everything: it shows that all runs, and its numbers mean nothing.
SMOKE = "smoke"
WHEN_KEYS = ("recipe", "task", "tasks", "measure", "methods", "axes", "exclude")
_MERGED = (
    "axes", "search", "recipe", "task", "tasks", "measure", "methods", "labels", "table",
    "datasets", "weights", "networks", "stages",
)  # fmt: skip


def parse_stage(weights: str) -> tuple[str, str] | None:
    """Return a stage's name and its state; None for other weights.

    A state is ``reported``, ``patch``, ``start`` or a step.

    >>> parse_stage("stage:source@300"), parse_stage("stage:source"), parse_stage("random")
    (('source', '300'), ('source', 'reported'), None)
    """
    found = _STAGE.fullmatch(weights)
    return (found["name"], found["state"] or "reported") if found else None


@dataclass(frozen=True)
class When:
    """One ``when:`` entry: conditions on axes, and what holds where they do."""

    index: int
    conditions: Mapping[str, tuple[Scalar, ...]]
    overlays: Mapping[str, Mapping[str, Any]]
    """What is laid over the suite's ``recipe``, ``task``, ``tasks``, ``measure``, ``methods``."""
    axes: Mapping[str, tuple[Scalar, ...]]
    exclude: bool
    source: Source

    @property
    def methods(self) -> Mapping[str, Any]:
        """Overlays of methods, by name."""
        return self.overlays.get("methods", {})

    def matches(self, labels: Mapping[str, Scalar]) -> bool:
        """Whether every condition holds; one on an axis not yet enumerated does not."""
        return all(labels.get(axis) in values for axis, values in self.conditions.items())


@dataclass
class Layers:
    """Everything a suite says under one profile, merged and name-checked.

    ``sources`` are the fragments it was merged from, in order: the suite, then its profiles.
    ``everywhere`` holds the values each axis has in any profile.
    """

    file: Path
    sources: list[Source]
    title: str
    source: str
    notes: tuple[Note, ...]
    axes: dict[str, tuple[Scalar, ...]]
    recipe: dict[str, Any]
    task: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    measure: dict[str, Any]
    networks: dict[str, Any]
    methods: dict[str, Any]
    method_sources: dict[str, list[Source]]
    whens: tuple[When, ...]
    stages: dict[str, Stage]
    labels: dict[str, dict[str, str]]
    table: Table
    search: SearchSpec | None
    resources: Resources
    modalities: Mapping[str, str]
    figures: tuple[Figure, ...] = ()
    everywhere: dict[str, set[Scalar]] = field(default_factory=dict)
    _stage_sources: dict[str, Source] = field(default_factory=dict)

    def stage_source(self, name: str) -> Source:
        """Return where a stage is written."""
        return self._stage_sources[name]

    def source_of(self, *loc: Key) -> Source:
        """Return the last fragment that wrote something at a path."""
        return next((s for s in reversed(self.sources) if s.has(loc)), self.sources[0])

    def sources_of(self, *loc: Key) -> list[Source]:
        """Return every fragment, each at a path below it."""
        return [source.at(*loc) for source in self.sources]

    def part(self, kind: Kind, name: str) -> Part:
        """Return a part that the suite is known to have."""
        found = find_part(kind, name, self.resources.plugins)
        if found is None:
            raise SpecError(f"there is no {kind} {name!r}", file=self.file)
        return found

    def named_part(self, kind: Kind, name: str, source: Source, loc: tuple[Key, ...]) -> Part:
        """Return a part by name; SpecError with the nearest name where there is none."""
        found = find_part(kind, name, self.resources.plugins)
        if found is None:
            known = part_names(kind, known_parts(self.resources.plugins))
            raise source.error(f"is not a known {kind}", loc, did_you_mean(name, known))
        return found

    def modality(self, dataset: str) -> str:
        """Return what a dataset's inputs are: ``images``, ``vectors``, …"""
        return self.modalities[dataset] if dataset in self.modalities else entry(dataset).modality


def read_layers(file: Path, profile: str) -> Layers:
    """Read a suite file and lay a profile over it; names are checked by ``check_names``.

    Raises
    ------
    SpecError
        For an unknown profile or key, and values that no axis may have.
    """
    document = load_yaml(file)
    whole = Source(document)
    suite = _suite(document)
    chain = _profile_chain(suite, profile, whole)
    overlays: list[tuple[Overlay, Source]] = [(suite, whole)]
    overlays += [(suite.profiles[name], whole.at("profiles", name)) for name in chain]
    layers = _lay(file, overlays)
    layers.everywhere = _values_in((suite, *suite.profiles.values()))
    return layers


def lay(documents: Sequence[Document]) -> Layers:
    """Lay documents over each other that together are a suite, with no profile; as `read_layers`.

    The first one's file stands for the suite's.
    """
    overlays: list[tuple[Overlay, Source]] = []
    for document in documents:
        source = Source(document)
        overlays.append((validate(Overlay, document.data, [source]), source))
    layers = _lay(documents[0].file, overlays)
    layers.everywhere = _values_in(overlay for overlay, _ in overlays)
    return layers


def documents_of(document: Document, profile: str) -> list[dict[str, Any]]:
    """Return what a suite says under a profile: itself, then its profiles, each as it is written.

    Raises
    ------
    SpecError
        For an unknown profile.
    """
    suite = _suite(document)
    chain = _profile_chain(suite, profile, Source(document))
    written = document.data["profiles"]
    return [document.data, *(written[name] or {} for name in chain)]


def profile_names(file: Path) -> list[str]:
    """Return the profiles a suite has."""
    document = load_yaml(file)
    profiles = list(_suite(document).profiles)
    if not profiles:
        raise SpecError("has no profile", file=file, remedy="add `profiles: {offline: {}}`")
    return profiles


def _suite(document: Document) -> SuiteFile:
    if not isinstance(document.data, dict):
        raise SpecError("must be a mapping", file=document.file, line=1)
    return validate(SuiteFile, document.data, [Source(document)])


def _profile_chain(suite: SuiteFile, profile: str, whole: Source) -> list[str]:
    chain: list[str] = []
    name: str | None = profile
    while name is not None:
        if name not in suite.profiles:
            where = ("profiles", chain[-1], "extends") if chain else ("profiles",)
            raise whole.error(
                f"there is no profile {name!r}", where, did_you_mean(name, suite.profiles)
            )
        if name in chain:
            raise whole.error("extends itself", ("profiles", name, "extends"))
        chain.append(name)
        name = suite.profiles[name].extends
    return chain[::-1]


def _lay(file: Path, overlays: Sequence[tuple[Overlay, Source]]) -> Layers:
    sources = [source for _, source in overlays]
    merged: dict[str, Any] = {}
    for name in _MERGED:
        merged[name] = {}
        for overlay, _ in overlays:
            merged[name] = merge(merged[name], getattr(overlay, name))
    folders = {n: d for n, d in merged["datasets"].items() if isinstance(d, Folder)}
    arrays = {n: d for n, d in merged["datasets"].items() if isinstance(d, Arrays)}
    plugins = tuple(_path(file, p) for overlay, _ in overlays for p in overlay.plugins)
    method_sources = {
        name: [s.at("methods", name) for o, s in overlays if o.methods.get(name) is not None]
        for name in merged["methods"]
    }
    stage_sources = {
        name: next(s.at("stages", name) for o, s in reversed(overlays) if name in o.stages)
        for name in merged["stages"]
    }
    return Layers(
        file=file,
        sources=sources,
        title=_last(overlays, "title") or file.stem,
        source=_last(overlays, "source") or "",
        notes=tuple(note for overlay, _ in overlays for note in overlay.notes),
        axes={a: _axis_values(a, v, sources, ("axes", a)) for a, v in merged["axes"].items()},
        recipe=merged["recipe"],
        task=merged["task"],
        tasks={n: raw for n, raw in merged["tasks"].items() if raw is not None},
        measure=merged["measure"],
        networks=merged["networks"],
        methods=merged["methods"],
        method_sources=method_sources,
        whens=tuple(_whens(overlays)),
        stages={n: validate(Stage, raw, [stage_sources[n]]) for n, raw in merged["stages"].items()},
        labels=merged["labels"],
        table=validate(Table, merged["table"], [source.at("table") for source in sources]),
        search=_search(merged["search"], sources),
        resources=Resources(
            folders={n: _path(file, d.folder) for n, d in folders.items()},
            arrays={n: (_path(file, d.file), d.modality) for n, d in arrays.items()},
            files={n: (_path(file, w.file), w.classes) for n, w in merged["weights"].items()},
            plugins=plugins,
            lists={n: d.lists for n, d in folders.items() if d.lists is not None},
        ),
        modalities=dict.fromkeys(folders, "images") | {n: d.modality for n, d in arrays.items()},
        figures=_last(overlays, "figures") or (),
        _stage_sources=stage_sources,
    )


def _search(raw: Mapping[str, Any], sources: Sequence[Source]) -> SearchSpec | None:
    if not raw:
        return None
    return validate(SearchSpec, dict(raw), [source.at("search") for source in sources])


def _last(overlays: Sequence[tuple[Overlay, Source]], name: str) -> Any:
    values = [getattr(overlay, name) for overlay, _ in overlays]
    return next((value for value in reversed(values) if value is not None), None)


def _path(file: Path, given: str) -> str:
    return str((file.parent / Path(given).expanduser()).resolve())


def _whens(overlays: Sequence[tuple[Overlay, Source]]) -> Iterable[When]:
    index = 0
    for overlay, source in overlays:
        for i, raw in enumerate(overlay.when):
            here = source.at("when", i)
            for key in WHEN_KEYS:
                kind = bool if key == "exclude" else dict
                if key in raw and not isinstance(raw[key], kind):
                    raise here.error(f"must be {_KINDS[kind]}", (key,))
            conditions = {
                axis: _axis_values(axis, value, [here], (axis,))
                for axis, value in raw.items()
                if axis not in WHEN_KEYS
            }
            axes = {
                axis: _axis_values(axis, value, [here], ("axes", axis))
                for axis, value in raw.get("axes", {}).items()
            }
            yield When(
                index,
                conditions,
                {k: raw[k] for k in WHEN_KEYS if k in raw and k not in ("axes", "exclude")},
                axes,
                raw.get("exclude", False),
                here,
            )
            index += 1


_KINDS: dict[type, str] = {dict: "a mapping", bool: "true or false"}


def _axis_values(
    axis: str, value: Any, sources: list[Source], loc: tuple[str, ...]
) -> tuple[Scalar, ...]:
    source = next((s for s in reversed(sources) if s.has(loc)), sources[0])
    if axis == "seed" and isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_SEEDS:
            raise source.error(f"must be from 1 to {MAX_SEEDS:,} (given: {value})", loc)
        return tuple(range(value))
    values = tuple(value) if isinstance(value, list) else (value,)
    for item in values:
        _check_value(axis, item, source, loc)
    if len(set(values)) != len(values):
        repeated = next(v for v in values if values.count(v) > 1)
        raise source.error(f"{repeated!r} stands there twice", loc, "remove one of the two")
    return values


def _check_value(axis: str, item: Any, source: Source, loc: tuple[str, ...]) -> None:
    number = isinstance(item, int | float) and not isinstance(item, bool)
    if axis == "sampling_rate" and not (number and 0 < item <= 1):
        raise source.error(
            f"a sampling rate is a fraction in (0, 1] (given: {item!r})", loc, "15% is 0.15"
        )
    if axis == "seed" and not (isinstance(item, int) and number and item >= 0):
        raise source.error(f"a seed is a whole number >= 0 (given: {item!r})", loc)
    if axis in ("backbone", "weights", "dataset", "method") and not isinstance(item, str):
        raise source.error(f"must be a name (given: {item!r})", loc, "put it in quotes")
    if isinstance(item, dict | list) or item is None:
        raise source.error("an axis value is a number or a word", loc)


def _values_in(overlays: Iterable[Overlay]) -> dict[str, set[Scalar]]:
    values: dict[str, set[Scalar]] = {}
    for overlay in overlays:
        axes = [overlay.axes, *(when.get("axes", {}) for when in overlay.when)]
        for mapping in axes:
            if isinstance(mapping, dict):
                for axis, value in mapping.items():
                    items = value if isinstance(value, list) else [value]
                    values.setdefault(axis, set()).update(v for v in items if v is not None)
    return values
