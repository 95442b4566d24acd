"""``bench fetch``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import only_option, profile_option, suites_argument

if TYPE_CHECKING:
    from bench.fetching.place import Place
    from bench.fetching.remote import Wanted
    from bench.fetching.transport import Advance, Tell

EPILOG = """\b
Example:
  bench fetch modelpatch/table5 --profile paper --dry-run
  bench fetch modelpatch/table5 --profile paper --to /mnt/carried
  HF_HUB_OFFLINE=1 HF_HOME=/mnt/carried bench run modelpatch/table5 --profile paper
"""


@click.command("fetch", epilog=EPILOG)
@suites_argument
@only_option
@profile_option
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to bring it: a folder to be HF_HOME on the node.  [default: the Hub's own cache]",
)
@click.option("--dry-run", is_flag=True, help="List what is to be brought, and bring nothing.")
def command(
    suites: tuple[str, ...],
    only: tuple[str, ...],
    profile: str,
    folder: Path | None,
    dry_run: bool,
) -> None:
    """Bring the weights and datasets that suites need, for nodes without a network.

    All that the cells of a profile load from the Hugging Face Hub, at the pinned revisions: of a
    dataset only the files of the splits that are used. Every file is verified by the Hub's digest
    before it gets the name by which it is found. What was ended in the middle goes on where it was.
    """
    from huggingface_hub import constants

    from bench.cli.joint import open_joint
    from bench.errors import UserError
    from bench.fetching.fetch import fetch
    from bench.fetching.needs import needs
    from bench.fetching.place import Place
    from bench.fetching.remote import wanted

    if constants.HF_HUB_OFFLINE:
        raise UserError("the network is switched off", field="HF_HUB_OFFLINE", remedy="unset it")
    # The store does not matter: done cells are run again elsewhere, too.
    joint = open_joint(suites, profile, Path("results"), only=only)
    taken = [
        ([planned.cell for planned in session.plan.cells], session.plan.resources)
        for session in joint.sessions
    ]
    needed, elsewhere = needs(taken)
    hub = folder.absolute() / "hub" if folder is not None else Path(constants.HF_HUB_CACHE)
    place = Place(hub)
    for name in elsewhere:
        click.echo(f"{name} is not on the Hub: bring it yourself (bench list datasets)")
    if not needed:
        click.echo("nothing of the Hub is needed")
        return
    repositories = wanted(needed, _tell)
    _list(repositories, place)
    if dry_run:
        return
    try:
        with _progress(repositories, place) as (tell, advance):
            fetch(repositories, place, tell, advance)
    except KeyboardInterrupt:
        click.echo("what has come stays: the same command goes on where it was", err=True)
        raise
    _conclude(place, " ".join(suites), profile, own=folder is None)


def _list(repositories: Sequence[Wanted], place: Place) -> None:
    """Print what is to be brought, what of it is there, and how much room there is."""
    from bench.fetching.fetch import amount, check_room, gigabytes

    amounts = [amount(one, place) for one in repositories]
    for one, each in zip(repositories, amounts, strict=True):
        there = "is there" if not each.missing else f"{gigabytes(each.missing)} to come"
        gated = ", gated" if one.gated else ""
        click.echo(
            f"{one.kind} {one.repository}@{one.commit[:12]}{gated}: "
            f"{each.files} files, {gigabytes(each.size)}, {there}"
        )
        for config, splits in one.splits.items():
            click.echo(f"  {config + ': ' if config else ''}{', '.join(splits)}")
    missing = gigabytes(sum(each.missing for each in amounts))
    click.echo(f"{missing} to come, {gigabytes(place.free())} free: {place.home}")
    check_room(repositories, place)


def _conclude(place: Place, suites: str, profile: str, *, own: bool) -> None:
    from bench.fetched import MANIFEST

    click.echo(f"all is there and verified: {place.home / MANIFEST}")
    home = "" if own else f"HF_HOME={place.home} "
    click.echo(f"use it with: HF_HUB_OFFLINE=1 {home}bench run {suites} --profile {profile}")


def _tell(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def _progress(repositories: Sequence[Wanted], place: Place) -> Iterator[tuple[Tell, Advance]]:
    """Show how far a fetch is: a bar on a terminal, else only what goes wrong."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    from bench.fetching.fetch import amount

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _tell, lambda _: None
        return
    columns = (BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        whole = bars.add_task("", total=sum(amount(one, place).missing for one in repositories))
        yield (
            lambda line: console.print(line, markup=False, highlight=False),
            lambda n: bars.advance(whole, n),
        )
