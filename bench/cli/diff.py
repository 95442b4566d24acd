"""``bench diff``."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import store_option, suites_option

if TYPE_CHECKING:
    from bench.records.record import Record
    from bench.report.diff import Change, Diff, Side
    from bench.report.diff_origin import Differing

EPILOG = """\b
Example:
  bench diff HEAD~5:leaderboards/bss/table2.offline.csv leaderboards/bss/table2.offline.csv
  bench diff results elsewhere/results --suite bss/table2
  bench diff offline paper --suite bss/table2 --fail-on changed
"""
_SHOWN = 12


@dataclass(frozen=True)
class _Given:
    """A side with its records by cell, where it is a store."""

    side: Side
    metric: str | None = None
    records: dict[str, Record] | None = None


@click.command("diff", epilog=EPILOG)
@click.argument("a")
@click.argument("b")
@click.option("--suite", help="Suite of the stores, or of the profiles, that A and B name.")
@suites_option
@click.option("-p", "--profile", default="offline", show_default=True, help="Of the stores.")
@store_option
@click.option("--metric", help="What is compared; the table's, or test/top1, where not given.")
@click.option("--json", "as_json", is_flag=True, help="Everything that is known, as JSON.")
@click.option(
    "--fail-on",
    type=click.Choice(["changed", "different"]),
    help="Exit code 1 if an entry changed by more than noise; if anything is not identical.",
)
def command(
    a: str,
    b: str,
    suite: str | None,
    profile: str,
    store: Path,
    metric: str | None,
    as_json: bool,
    fail_on: str | None,
) -> None:
    """Say what changed from A to B, and whether it is more than noise.

    A and B are each a leaderboard's CSV (or its page), REVISION:PATH of one in git, a store's
    folder (with --suite), or a profile of --suite in --store. Differences are B less A, paired by
    seed where both have the same seeds; p is Holm's over the entries that are not identical.
    """
    from bench.report.diff import diff, known_metrics
    from bench.report.diff_origin import differing_origins, differing_settings

    first, second = (_given(name, suite, profile, store) for name in (a, b))
    both = known_metrics(first.side, second.side)
    usual = first.metric or ("test/top1" if "test/top1" in both or not both else both[0])
    found = diff(first.side, second.side, metric or usual)
    origins, settings = [], []
    if first.records is not None and second.records is not None:
        origins = differing_origins(list(first.records.values()), list(second.records.values()))
        pairs = [
            (first.records[one], second.records[other])
            for one, other in found.cells
            if one in first.records and other in second.records
        ]
        settings = [(*key, n) for key, n in differing_settings(pairs).most_common()]
    if as_json:
        click.echo(json.dumps(_as_json(found, a, b, origins, settings), indent=2))
    else:
        _print(found, a, b)
        _print_origins(origins, settings, first.records is None or second.records is None)
    if (fail_on == "changed" and found.changed) or (fail_on == "different" and found.different):
        sys.exit(1)


def _given(name: str, suite: str | None, profile: str, store: Path) -> _Given:
    from bench.cli.revision import file_at_revision
    from bench.errors import UserError
    from bench.report.diff import Side
    from bench.report.frame import read_frame
    from bench.spec.find import find_suite
    from bench.spec.layers import profile_names

    path = Path(name)
    if path.is_dir():
        if suite is None:
            raise UserError("a store needs --suite", file=path, remedy="such as --suite bss/table2")
        return _store_side(name, suite, profile, path)
    if path.suffix in (".csv", ".md") and path.is_file():
        file = path.with_suffix(".csv")
        try:
            frame = read_frame(file.read_text(encoding="utf-8"), name)
            return _Given(Side(name, frame, _units(file.absolute())))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot be read: {error}", file=file) from None
    if ":" in name:
        page, ending = name.removesuffix(".md"), ".csv"
        text = file_at_revision(page + ending if page != name else name)
        return _Given(
            Side(name, read_frame(text, name), _units(Path(page.partition(":")[2]).absolute()))
        )
    if suite is not None and name in profile_names(find_suite(suite)):
        return _store_side(name, suite, name, store)
    known = "a CSV, a page, REVISION:PATH, a store's folder, or a profile of --suite"
    raise UserError(f"there is no {name!r}", remedy=f"name {known}")


def _units(page: Path) -> dict[str, str]:
    """Return the units of a page's metrics, which its suite declares; none where it is not here."""
    from bench.errors import UserError
    from bench.spec.find import find_suite
    from bench.spec.plan import load_plan

    suite, _, profile = page.stem.rpartition(".")
    for name in (f"{page.parent.name}/{suite}", f"{page.parent.name}/{suite}.yaml"):
        try:
            plan = load_plan(find_suite(name), profile)
        except UserError:
            continue
        return {metric.name: metric.unit for metric in plan.metrics.values()}
    return {}


def _store_side(name: str, suite: str, profile: str, store: Path) -> _Given:
    from bench.cli.printing import again
    from bench.cli.session import open_session
    from bench.errors import StoreError
    from bench.report.diff import Side
    from bench.report.frame import cell_frame

    session = open_session(suite, profile, store)
    records = session.done()
    if not records:
        raise StoreError(
            f"no cell of {suite}, profile {profile}, is done",
            file=session.store.root,
            remedy=again("run", suite, profile, store),
        )
    shown = session.plan.suite.metrics
    units = {metric.name: metric.unit for metric in session.plan.metrics.values()}
    units |= {metric.name: metric.unit for metric in shown}
    side = Side(name, cell_frame(session.results()), units)
    return _Given(side, shown[0].name, records)


def _print(found: Diff, a: str, b: str) -> None:
    from collections import Counter

    from tabulate import tabulate

    from bench.report.claims.text import p_text
    from bench.report.numbers import mean_text, plural

    click.echo(f"A: {a}\nB: {b}\n{found.metric}{f' ({found.unit})' if found.unit else ''}, B - A\n")
    for axis, (one, other) in found.settings.items():
        click.echo(f"{axis}: {one} in A, {other} in B")
    axes = _varying(found.changes)
    rows = [
        [
            *(change.where[axis] for axis in axes),
            mean_text(change.a, 2),
            mean_text(change.b, 2),
            mean_text(change.difference, 2, signed=True),
            p_text(change.p),
            change.kind + ("" if change.paired else " (not paired)"),
        ]
        for change in found.changes
        if not change.identical
    ]
    if rows:
        header = [*axes, "A", "B", "B - A", "p", ""]
        align = (*["left"] * len(axes), *["right"] * 4, "left")
        click.echo(tabulate(rows, header, "simple", disable_numparse=True, colalign=align))
        click.echo()
    counts = Counter(change.kind for change in found.changes)
    listed = ", ".join(f"{n} {name}" for name, n in counts.items())
    click.echo(f"{plural(len(found.changes), 'entry', 'entries')} in both: {listed}")
    for name, places in (("A", found.only_a), ("B", found.only_b)):
        if places:
            listed = "; ".join(", ".join(place.values()) for place in places[:_SHOWN])
            more = f"; and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
            click.echo(f"only in {name}: {listed}{more}")
    same, of = found.same_cells
    click.echo(f"{same:,} of {plural(of, 'cell')} at the same place and seed have the same id")


def _varying(changes: Sequence[Change]) -> list[str]:
    axes = list(changes[0].where)
    return [a for a in axes if len({change.where[a] for change in changes}) > 1] or axes


def _print_origins(
    origins: Sequence[Differing], settings: Sequence[tuple[str, str, str, int]], unknown: bool
) -> None:
    from tabulate import tabulate

    if unknown:
        click.echo("what the numbers were made of is in the records alone: name two stores for it")
        return
    if settings:
        rows = [[name, one or "-", other or "-", n] for name, one, other, n in settings]
        click.echo("\nsettings that differ at the same place and seed")
        click.echo(tabulate(rows, ["setting", "A", "B", "cells"], "simple", disable_numparse=True))
    if not origins:
        click.echo("code, data, weights, versions and machines are the same")
        return
    click.echo("\nwhat the records were made of, where it differs")
    rows = [
        [each.what, each.of, "; ".join(each.a) or "-", "; ".join(each.b) or "-"] for each in origins
    ]
    click.echo(tabulate(rows, ["what", "of", "A", "B"], "simple", disable_numparse=True))


def _as_json(
    found: Diff,
    a: str,
    b: str,
    origins: Sequence[Differing],
    settings: Sequence[tuple[str, str, str, int]],
) -> dict[str, Any]:
    from dataclasses import asdict

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "a": a,
        "b": b,
        "metric": found.metric,
        "unit": found.unit,
        "changed": found.changed,
        "different": found.different,
        "axes": {axis: list(values) for axis, values in found.settings.items()},
        "same_cells": list(found.same_cells),
        "entries": [
            {
                "where": dict(change.where),
                "a": finite(change.a.mean),
                "n_a": change.a.n,
                "b": finite(change.b.mean),
                "n_b": change.b.n,
                "difference": finite(change.difference.mean),
                "low": finite(change.difference.low),
                "high": finite(change.difference.high),
                "paired": change.paired,
                "p": finite(change.p),
                "kind": change.kind,
            }
            for change in found.changes
        ],
        "only_a": [dict(place) for place in found.only_a],
        "only_b": [dict(place) for place in found.only_b],
        "settings": [
            {"setting": name, "a": one, "b": other, "cells": n} for name, one, other, n in settings
        ],
        "origins": [asdict(each) for each in origins],
    }
