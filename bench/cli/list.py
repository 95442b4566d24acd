"""``bench list``."""

from __future__ import annotations

import click

from bench.cli.options import suites_option
from bench.errors import UserError, did_you_mean

# Those of `bench.cli.listing`, which is imported when it is used.
_KINDS = ("suites", "datasets", "backbones", "parts", "metrics")
EPILOG = """\b
Example:
  bench list                    how many there are of each
  bench list suites
  bench list backbones resnet50
  bench list parts penalty
  bench list datasets hub flowers
"""


@click.command("list", epilog=EPILOG)
@click.argument("kind", metavar=f"[{'|'.join(_KINDS)}]", required=False)
@click.argument("words", nargs=-1)
@suites_option
def command(kind: str | None, words: tuple[str, ...]) -> None:
    """List what a suite may name: suites, datasets, backbones, parts, metrics.

    WORDS leave those in whose line all of them stand. Backbones are timm's, by the names that come
    with Retable, and its own networks; parts are Retable's own, with their parameters and defaults.
    Of a metric, test/ may be validation/ or train/ too, where a recipe scores that split.
    """
    from bench.cli.listing import LISTINGS
    from bench.cli.printing import table

    if kind is None:
        counts = [(each, f"{len(list(of.rows())):,}") for each, of in LISTINGS.items()]
        click.echo(table(counts, ("bench list", "there are"), ["left", "right"]))
        return
    if kind not in LISTINGS:
        raise UserError(f"there is no list of {kind!r}", remedy=did_you_mean(kind, _KINDS))
    listing = LISTINGS[kind]
    rows = listing.matching(words)
    click.echo(table(rows, listing.header, ["left"] * len(listing.header)))
