"""What the records were made of: code, data, weights, libraries, machines. No host, no path."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bench.records.record import Record, earlier_seconds
from bench.report import markdown
from bench.report.numbers import plural
from bench.spec.metrics import prefix_of

if TYPE_CHECKING:
    from bench.records.carried import Attestation
    from bench.report.results import State

_DIGEST = 12
_FROM_FILES = ("timm:", "hf:", "shipped:", "file:")


def provenance_table(records: Sequence[Record]) -> str:
    """Return one row for each distinct origin, with how many records have it."""
    rows = [
        [what, markdown.escape(name), markdown.escape(value), f"{count:,}"]
        for what, name, value, count in origins(records)
    ]
    return markdown.table(["what", "of", "value", "records"], rows, left=3) if rows else ""


def origins(records: Sequence[Record]) -> list[tuple[str, str, str, int]]:
    """Return each distinct origin as plain text: what, of what, its value, how many records."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        made = record.outcome.provenance
        counts.update(("code", name, _short(digest)) for name, digest in made.code.items())
        counts.update(("version", name, version) for name, version in made.versions.items())
        if made.machine:
            facts = ", ".join(f"{k}: {v}" for k, v in sorted(made.machine.items()))
            counts["machine", "", facts] += 1
    counts.update(_data(records))
    counts.update(_weights(records))
    order = ("code", "data", "weights", "version", "machine")
    ordered = sorted(counts.items(), key=lambda item: (order.index(item[0][0]), item[0]))
    return [(*origin, count) for origin, count in ordered]


def effort(records: Iterable[Record]) -> str:
    """Return how long the records' attempts took in all."""
    seconds = math.fsum(record.seconds for record in records)
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


def device_hours(records: Iterable[Record]) -> str:
    """Return the hours of each GPU that the records tell of; nothing where none does.

    While several cells share a GPU, each counts with its share of the time. Attempts that another
    went on from do not count: how much they had of their GPU is not in its record.
    """
    told: dict[str, list[float]] = defaultdict(list)
    silent = gone_on = 0
    for record in records:
        gone_on += record.usage is not None and earlier_seconds(record.outcome) > 0
        if record.usage is None:
            silent += 1
        else:
            told[record.usage.device or "a GPU without a name"].append(record.usage.seconds)
    if not told:
        return ""
    parts = [
        f"{math.fsum(seconds) / 3600:,.1f} device-hours on {markdown.escape(device)}; "
        f"{plural(len(seconds), 'attempt')}"
        for device, seconds in sorted(told.items())
    ]
    rest = f" ({plural(silent, 'record')} beside these tell of no device's time)" if silent else ""
    if gone_on:
        rest += f", without the time before {plural(gone_on, 'attempt')} went on from a saved state"
    return f"{'. '.join(parts)}{rest}."


def unpaired(records: Iterable[Record]) -> str:
    """Return a warning if cells of one dataset, rate and seed trained on different images."""
    subsets: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for record in records:
        for task, of in tasks_of(record).items():
            subset = record.outcome.provenance.data.get(f"{prefix_of(task)}subset")
            if subset is not None:
                place = (of["dataset"], of["sampling_rate"], record.cell["seed"])
                subsets[place].add(str(subset))
    mixed = sum(len(digests) > 1 for digests in subsets.values())
    if not mixed:
        return ""
    return (
        f"**Not paired**: in {plural(mixed, 'place')} (dataset, sampling rate, seed) cells trained "
        "on different images, so that differences of methods are also differences of data."
    )


def mixed(records: Sequence[Record]) -> str:
    """Return a warning if versions of a library, or states of given weights, differ; else nothing.

    Weights that are random or another cell's differ from cell to cell, and are left out.
    """
    versions: dict[str, set[str]] = defaultdict(set)
    states: dict[str, set[str]] = defaultdict(set)
    for record in records:
        made = record.outcome.provenance
        for name, version in made.versions.items():
            versions[name].add(version)
        for role, begun in made.weights.items():
            # A state that was read from a file is in all cells the same; what else it began with
            # is drawn from the seed or is a stage's.
            source = begun.get("source", "")
            if source.startswith(_FROM_FILES):
                name = f"{source.partition('@')[0]} ({_network(record, role)})"
                states[name].add(begun.get("sha256", ""))
    found = [
        f"{name} {' and '.join(sorted(v))}" for name, v in sorted(versions.items()) if len(v) > 1
    ]
    found += [f"{len(v)} states of {name}" for name, v in sorted(states.items()) if len(v) > 1]
    if not found:
        return ""
    return (
        f"**Mixed**: these records were made with {markdown.escape('; '.join(found))}. Cells that "
        "are compared may differ by that too (`bench status --same-versions` lists those made by "
        "other versions than are installed)."
    )


def carried(states: Mapping[str, State]) -> str:
    """Return how many done cells were made by earlier code, and what speaks for them; or nothing.

    Parameters
    ----------
    states
        Cell id to its state.
    """
    done = sum(state.state == "done" for state in states.values())
    # Of several edits the last one led to today's code.
    by = [s.carried_by[-1] for s in states.values() if s.state == "done" and s.carried_by]
    by = [attestation for attestation in by if attestation.executed]
    if not by:
        return ""
    distinct: list[Attestation] = []
    distinct += (one for one in by if one not in distinct)
    return (
        f"{len(by):,} of these {plural(done, 'cell')} were made by earlier code. Of such cells, "
        "some drawn at random were executed again by later code, and all were equal bit for "
        f"bit: {'; '.join(map(_attested, distinct))}."
    )


def as_recorded(states: Mapping[str, State]) -> str:
    """Return how many done cells are shown by earlier code for which nothing speaks; or nothing.

    Parameters
    ----------
    states
        Cell id to its state.
    """
    done = [state for state in states.values() if state.state == "done"]
    assumed = sum(bool(s.carried_by) and not s.carried_by[-1].executed for s in done)
    if not assumed:
        return ""
    return (
        f"**By earlier code**: {assumed:,} of these {plural(len(done), 'cell')} are shown as "
        "earlier code recorded them, since that was asked for (`--as-recorded`). Today's code has "
        "not been seen to give these numbers."
    )


def _attested(attestation: Attestation) -> str:
    of = f"{markdown.escape(attestation.suite)} {markdown.escape(attestation.profile)}"
    drawn = f"{len(attestation.executed):,} of {plural(len(attestation.cells), 'cell')}"
    return f"{drawn} of {of} on {attestation.made[:10]}"


def disagreement(cell_ids: Sequence[str]) -> str:
    """Return a warning if there are records of one cell with other numbers; else nothing."""
    if not cell_ids:
        return ""
    shown = ", ".join(cell_ids[:5]) + (", …" if len(cell_ids) > 5 else "")
    return (
        f"**Other numbers**: of {plural(len(cell_ids), 'cell')} there are records by the same code "
        f"with other numbers, from another machine or run; the oldest is shown ({shown})."
    )


def _data(records: Iterable[Record]) -> Counter[tuple[str, str, str]]:
    # Facts that differ from cell to cell (the subset's digest) would fill pages.
    seen: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for record in records:
        for fact, value in record.outcome.provenance.data.items():
            task, _, name = fact.rpartition("/")
            of = tasks_of(record).get(task)
            dataset = str(of["dataset"]) if of is not None else ""
            seen[dataset, name if of is not None else fact][_short(str(value))] += 1
    rows: Counter[tuple[str, str, str]] = Counter()
    for (dataset, fact), values in seen.items():
        if fact == "dataset" or len(values) == 1:
            for value, count in values.items():
                rows["data", dataset, f"{fact}: {value}"] = count
    return rows


def _weights(records: Iterable[Record]) -> Counter[tuple[str, str, str]]:
    # Random weights and those of stages have a digest for each seed.
    seen: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for record in records:
        for role, made in record.outcome.provenance.weights.items():
            place = (_network(record, role), made.get("source", ""))
            seen[place][_short(made.get("sha256", ""))] += 1
    rows: Counter[tuple[str, str, str]] = Counter()
    for (backbone, source), digests in seen.items():
        state = next(iter(digests)) if len(digests) == 1 else f"{len(digests)} different states"
        rows["weights", backbone, ", ".join(filter(None, (source, state)))] = digests.total()
    return rows


def tasks_of(record: Record) -> dict[str, Mapping[str, Any]]:
    """Return a record's tasks by name, as the cell's settings have them."""
    settings = record.cell["settings"]
    if "tasks" in settings:
        return dict(settings["tasks"])
    return {"": settings["task"]} if settings.get("task") else {}


def _network(record: Record, role: str) -> str:
    """Return the network that a record trained, or measured in a role."""
    settings = record.cell["settings"]
    network = settings.get("starts", {}).get(role, settings)["network"]
    return network if isinstance(network, str) else "+".join(network)


@lru_cache(maxsize=4096)
def _short(text: str) -> str:
    is_digest = len(text) >= 40 and all(c in "0123456789abcdef" for c in text)
    return text[:_DIGEST] if is_digest else text
