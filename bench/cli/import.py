"""``bench import``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import store_option

if TYPE_CHECKING:
    from bench.records.merge import Merged
    from bench.records.settling import Adopted
    from bench.records.store import Store

EPILOG = """\b
Example:
  bench import bss fast/optimizers
  bench import leaderboards/*/*.zip
  bench import /mnt/other-machine/results --store results

Exit code 1 if a record is broken, or a cell here has other numbers than those that came.
"""
_SHOWN = 20


@click.command("import", epilog=EPILOG)
@click.argument("sources", metavar="FILE|SUITE...", nargs=-1, required=True)
@store_option
def command(sources: tuple[str, ...], store: Path) -> None:
    """Take records into the store: from bundles, and from the stores of other machines.

    FILE is a bundle or a store's folder; SUITE a suite or a paper whose pages are published: their
    bundles come with Retable.

    A record that is there already is passed over; none is ever replaced. Cells need no checkpoint
    to be done: where another cell has to start from one, it is made again first.
    """
    from bench.records.store import Store

    files = [file for source in sources for file in _files(source)]
    into, bad = Store(store), False
    for file in dict.fromkeys(files):
        bad = (_from_store if file.is_dir() else _from_bundle)(file, into) or bad
    sys.exit(int(bad))


def _files(source: str) -> list[Path]:
    from bench.records.published import bundles_called

    path = Path(source)
    return [path] if path.exists() else bundles_called(source)


def _from_bundle(file: Path, store: Store) -> bool:
    from bench.records.bundle import unpack
    from bench.records.carried import adopt_all
    from bench.records.merge import merge
    from bench.records.record import Record
    from bench.records.settling import adopt_settling_rule

    bundle = unpack(file)
    of = bundle.manifest

    def content(record: Record, name: str) -> bytes | None:
        return bundle.arrays.get((record.id, record.outcome.artifacts[name].file))

    merged = merge(store, bundle.records, content)
    broken = [f"record {number}: {why}" for number, why in bundle.broken.items()]
    rules: dict[str, Adopted] = {}
    if bundle.rule is not None:
        name = f"{of.paper}/{of.suite} {of.profile}"
        rules[name] = adopt_settling_rule(store.layout, of.paper, of.suite, of.profile, bundle.rule)
    carried = adopt_all(store.layout, bundle.attestations, store.attempts)
    return _tell(file, merged, broken, rules, carried)


def _from_store(folder: Path, store: Store) -> bool:
    from bench.errors import StoreError
    from bench.records.carried import adopt_all, names
    from bench.records.merge import merge, stored, stored_content
    from bench.records.settling import adopt_all_rules
    from bench.records.store import Store

    other = Store(folder)
    if not other.layout.cells.is_dir():
        raise StoreError("is no store: it has no folder cells", file=folder)
    merged = merge(store, stored(other), stored_content(other))
    broken = [f"{path}: {why}" for path, why in {**other.broken, **other.foreign}.items()]
    adopted = adopt_all_rules(store.layout, other.layout)
    rules = {path.stem: what for path, what in adopted.items()}
    texts = {f"carried/{n}": (other.layout.carried / n).read_bytes() for n in names(other.layout)}
    carried = adopt_all(store.layout, texts, store.attempts)
    return _tell(folder, merged, broken, rules, carried)


def _tell(
    file: Path,
    merged: Merged,
    broken: list[str],
    rules: Mapping[str, Adopted],
    carried: tuple[int, list[str]],
) -> bool:
    """Say what became of a file's records; return whether something was wrong."""
    click.echo(f"{file}: {merged.added:,} records added, {merged.known:,} there already")
    for name, what in rules.items():
        if what == "taken":
            click.echo(f"with the rule by which claims of {name} are settled: it holds here now")
    cells, doubted = carried
    if cells:
        click.echo(
            f"with an attestation that later code gives the bits of earlier code for {cells:,} "
            "cells: `bench status` and the page say which of them count by it"
        )
    lists = {
        "broken, and left out": broken,
        "with other numbers here, and now with both": merged.others,
        "running here just now, and left out": merged.running,
        "with another rule of settling here, which stays": [
            name for name, what in rules.items() if what == "refused"
        ],
        "attestations that do not hold here, and left out": doubted,
    }
    for title, names in lists.items():
        if names:
            click.echo(f"{len(names):,} {title}:")
        for name in names[:_SHOWN]:
            click.echo(f"  {name}")
        if len(names) > _SHOWN:
            click.echo(f"  … and {len(names) - _SHOWN:,} more")
    return any(lists.values())
