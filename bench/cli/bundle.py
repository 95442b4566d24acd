"""``bench bundle``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import profile_option, store_option, suite_argument

if TYPE_CHECKING:
    from bench.cli.session import Session
    from bench.records.carried import Attestation
    from bench.records.record import Record
    from bench.records.store import CellState
    from bench.report.results import Arrays, Results

EPILOG = """\b
Example:
  bench bundle bss/table2
  bench bundle fast/convergence --to convergence.zip
  bench import leaderboards/bss/table2.offline.zip

The same records give the same bytes.
"""


@click.command("bundle", epilog=EPILOG)
@suite_argument
@profile_option
@store_option
@click.option(
    "--to",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: leaderboards/PAPER/SUITE.PROFILE.zip]",
)
@click.option(
    "--no-crate",
    is_flag=True,
    help="Leave out the description for archives, which needs retable[crate].",
)
def command(suite: str, profile: str, store: Path, file: Path | None, no_crate: bool) -> None:
    """Pack the records behind a suite's page into one file, without the checkpoints.

    With them go the suite's files, the rule of settling, the arrays that figures draw and the
    scores and choices of a search; a Workflow Run RO-Crate describes it all for archives. `bench
    import` takes it into another store.
    """
    from bench.cli.pages import stem_of
    from bench.cli.printing import again
    from bench.cli.session import open_session
    from bench.errors import StoreError
    from bench.files import write_whole
    from bench.records.bundle import RECORDS, pack
    from bench.records.carried import dump_attestation
    from bench.records.codec import dump_record
    from bench.report.crate import NAME, crate_metadata

    session = open_session(suite, profile, store)
    plan = session.plan
    records = _records(session)
    if not records:
        raise StoreError(
            f"there is no record of {plan.paper.id}/{plan.suite.name} {profile}",
            file=store,
            remedy=again("run", suite, profile, store),
        )
    files = {**_suite_files(session), **_rule(session), **_arrays(session)}
    files |= _search_files(session)
    attestations = _attestations(session)
    files |= {name: dump_attestation(a).encode() for name, a in attestations.items()}
    if not no_crate:
        text = "".join(map(dump_record, records)).encode()
        workflow = f"suite/{plan.file.name}"
        files[NAME] = crate_metadata(plan, records, {**files, RECORDS: text}, workflow)
    packed = pack(plan.paper.id, plan.suite.name, profile, records, files)
    file = file or Path("leaderboards") / plan.paper.id / f"{stem_of(session)}.zip"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, packed)
    click.echo(f"{file}: {len(records):,} records, {len(packed) / 1e6:.2f} MB")
    missing = len(session.states) - len(session.done())
    if missing:
        click.echo(f"{missing:,} cells of the suite are not done", err=True)


def _records(session: Session) -> list[Record]:
    """Return what the page is made of: of each cell all fresh records, else the one that counts.

    And the records that the attestations name by which some of these count.
    """
    from bench.records.carried import named_records

    found: dict[tuple[str, int], Record] = {}
    for state in _states(session):
        for record in state.fresh or ((state.record,) if state.record is not None else ()):
            found[record.id, record.attempt] = record
    for attestation in _attestations(session).values():
        for record in named_records(attestation, session.store.attempts):
            found[record.id, record.attempt] = record
    return [found[key] for key in sorted(found)]


def _states(session: Session) -> list[CellState]:
    """Return the states of the suite's cells, and of those of the seeds of settling."""
    from bench.cli.session import further_session

    further = further_session(session)
    return [*session.states.values(), *(further.states.values() if further is not None else ())]


def _attestations(session: Session) -> dict[str, Attestation]:
    """Return what carries the records to today's code, by its name in the bundle."""
    from bench.records.bundle import attestation_name
    from bench.records.carried import file_of

    found: list[Attestation] = []
    for state in _states(session):
        for steps in state.carried.values():
            found += (step for step in steps if step not in found)
    return {attestation_name(file_of(session.store.layout, one)): one for one in found}


def _suite_files(session: Session) -> dict[str, bytes]:
    folder = session.plan.file.parent
    names = (session.plan.file.name, "paper.yaml", "reported.yaml")
    return {
        f"suite/{name}": (folder / name).read_bytes() for name in names if (folder / name).is_file()
    }


def _rule(session: Session) -> dict[str, bytes]:
    from bench.records.bundle import SETTLING
    from bench.records.settling import dump_rule, settling_rule

    rule = settling_rule(session.store.layout, session.plan)
    return {} if rule is None else {SETTLING: dump_rule(rule).encode()}


def _arrays(session: Session) -> dict[str, bytes]:
    """Return the arrays that the page's figures draw, by drawing them."""
    from dataclasses import replace

    from bench.records.artifacts import read_artifact
    from bench.records.bundle import arrays_name
    from bench.report.arrays import ARRAYS
    from bench.report.figures.section import draw_figures

    drawn: list[Record] = []
    results: Results = session.results()

    def noted(record: Record) -> Mapping[str, Arrays]:
        drawn.append(record)
        return results.arrays(record)

    draw_figures(replace(results, arrays=noted), "page")
    found = {}
    for record in drawn:
        artifact = session.store.artifact([record], ARRAYS)
        if artifact is not None:
            _, path, digest = artifact
            found[arrays_name(record.id, path.name)] = read_artifact(path, digest)
    return found


def _search_files(session: Session) -> dict[str, bytes]:
    """Return scores of trials and choices, so that more cells can start from them elsewhere."""
    from bench.records.artifacts import read_artifact
    from bench.records.bundle import arrays_name
    from bench.spec.cell import CHOICE, SCORE

    found = {}
    for record in session.done().values():
        for name in (SCORE, CHOICE):
            artifact = session.store.artifact([record], name)
            if artifact is not None:
                _, path, digest = artifact
                found[arrays_name(record.id, path.name)] = read_artifact(path, digest)
    return found
