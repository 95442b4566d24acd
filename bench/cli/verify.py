"""``bench verify``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import profile_option, store_option, suites_option

if TYPE_CHECKING:
    from bench.cli.session import Session
    from bench.records.verify import Checked
    from bench.report.verified import Rerun, Verified

EPILOG = """\b
Example:
  bench verify
  bench verify bss/table2 --rerun 20
  bench verify bss/table2 bss/table3 --rerun 20 --carry
  bench verify leaderboards/bss/table2.offline.md

Exit code 0 if all is as it was written, 1 if something is not.
"""
_ENDINGS = (
    ".claims.csv", ".curves.csv", ".further.csv", ".verified.json", ".md", ".csv", ".json",
)  # fmt: skip


@click.command("verify", epilog=EPILOG)
@click.argument("targets", metavar="[SUITE|LEADERBOARD]...", nargs=-1)
@suites_option
@profile_option
@store_option
@click.option(
    "--leaderboards",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
    help="Folder of leaderboards.",
)
@click.option(
    "--rerun",
    "again",
    type=click.IntRange(min=1),
    metavar="N",
    help="Execute N cells again, drawn at random, and compare their numbers.",
)
@click.option(
    "--carry",
    is_flag=True,
    help="Draw from the cells that are stale by their code alone: if all are equal, the records "
    "of earlier code count again, and say so.  [--rerun]",
)
@click.option("--draw", type=int, default=0, show_default=True, help="Seed of the draw.  [--rerun]")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.02,
    show_default=True,
    help="How far numbers of another kind of machine may be apart; of this kind not by a bit.  "
    "[--rerun]",
)
@click.option(
    "--json",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was done to this file too.",
)
def command(
    targets: tuple[str, ...],
    profile: str,
    store: Path,
    folder: Path,
    again: int | None,
    carry: bool,
    draw: int,
    tolerance: float,
    report: Path | None,
) -> None:
    """Check that records, artifacts, data, weights and pages are what was written.

    Of a suite, or of a page's suite: its records and what they left, its page against its records.
    Without a name: all records, and every page of which there are some. Prepared data and the
    weights that come with Retable are read whole in any case. What was done is written beside a
    page, as PAPER/SUITE.PROFILE.verified.json, and the page says so in one line.
    """
    from bench.cli.session import open_session
    from bench.files import write_whole
    from bench.records.store import Store
    from bench.records.verify import Checked, check_store

    if again and not targets:
        raise click.UsageError("--rerun needs a suite")
    if carry and not again:
        raise click.UsageError("--carry goes with --rerun N")
    shared = Checked()
    _check_data(shared)
    _check_weights(shared)
    if not targets:
        check_store(Store(store), shared)
    pages = [_page_of(target, profile, folder) for target in targets] or list(_pages(folder))
    _tell(shared, "all suites")
    told, equal = [], True
    for folder, name, of in pages:
        session = open_session(name, of, store)
        if not targets and not session.done():
            click.echo(f"{name} {of}: none of its records is here, and its page is not checked")
            continue
        if carry and again:
            equal = _carry(session, again, draw) and equal
            session = open_session(name, of, store)
        rerun = _rerun(session, again, draw, tolerance) if again and not carry else None
        told.append(_verify(session, folder, rerun))
    indices = Checked()
    for each in sorted({folder for folder, _, _ in pages}):
        _check_index(each, indices)
    if report is not None:
        text = ",\n".join(each.model_dump_json(indent=1) for each in told)
        write_whole(report, f"[{text}]\n")
    bad = (
        not equal
        or bool(shared.findings or indices.findings)
        or any(_is_bad(each) for each in told)
    )
    click.echo("something is not as it was written" if bad else "all is as it was written")
    sys.exit(int(bad))


def _check_data(checked: Checked) -> None:
    from bench.data.features import verify_features
    from bench.data.integrity import verify
    from bench.records.verify import Finding

    for found in (*verify(), *verify_features()):
        checked.data += 1
        if found.damaged is not None:
            problem = (
                f"the prepared data of {found.name} are not those that were written, or are an "
                f"older Retable's; they are not read, and can be deleted: {found.folder}"
            )
            checked.findings.append(Finding("data", found.damaged, problem))


def _check_weights(checked: Checked) -> None:
    from bench.errors import UserError
    from bench.files import file_sha256
    from bench.models.shipped import FOLDER, shipped_names, shipped_weights
    from bench.records.verify import Finding

    for name in shipped_names():
        checked.weights += 1
        try:
            shipped = shipped_weights(name)
            right = file_sha256(shipped.path) == shipped.sha256
            problem = "" if right else f"the weights {name} are not those that Retable came with"
        except (UserError, OSError) as error:
            problem = f"the weights {name} cannot be read: {error}"
        if problem:
            checked.findings.append(Finding("weights", FOLDER / f"{name}.safetensors", problem))


def _pages(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield folder, suite and profile of each page whose suite is here."""
    from bench.errors import SpecError
    from bench.spec.find import find_suite

    for page in sorted(folder.glob("*/*.md")):
        suite, _, profile = page.stem.rpartition(".")
        name = f"{page.parent.name}/{suite}"
        try:
            find_suite(name)
        except SpecError:
            click.echo(f"{page}: its suite is not here, and it is not checked")
        else:
            yield folder, name, profile


def _check_index(folder: Path, checked: Checked) -> None:
    from bench.errors import UserError
    from bench.records.verify import Finding
    from bench.report.index import README, differing_index

    try:
        why = differing_index(folder)
    except UserError as error:
        why = f"cannot be made again: {error.message}"
    if why:
        checked.findings.append(Finding("index", folder / README, why))
        _tell(checked, "index")


def _page_of(target: str, profile: str, folder: Path) -> tuple[Path, str, str]:
    """Return the folder of leaderboards, the suite and the profile that a target names."""
    path = Path(target)
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            suite, _, profile = path.name.removesuffix(ending).rpartition(".")
            return path.absolute().parents[1], f"{path.absolute().parent.name}/{suite}", profile
    return folder, target, profile


def _verify(session: Session, folder: Path, rerun: Rerun | None) -> Verified:
    """Check a suite's records and page; say so, also beside the page."""
    from bench.cli.pages import differing_files, stem_of, write
    from bench.cli.session import further_session
    from bench.errors import UserError
    from bench.files import write_whole
    from bench.records.verify import Checked, Finding, check_store
    from bench.report.verified import Verified, load_verified, records_digest, verified_name

    checked, plan = Checked(), session.plan
    page = folder / plan.paper.id / f"{stem_of(session)}.md"
    checked.pages = int(page.is_file())
    seeds = dict(plan.unique())
    try:
        further = further_session(session)
        seeds |= further.plan.unique() if further is not None else {}
        wrong = differing_files(session, folder)
    except UserError as error:
        wrong = {page: f"cannot be made again: {error.message}"}
    check_store(session.store, checked, seeds)
    if page.is_file() and not checked.records:
        wrong = {page: "none of its records is here: `bench import` brings them"}
    checked.findings += [Finding("page", path, why) for path, why in wrong.items()]
    name = f"{plan.paper.id}/{plan.suite.name} {plan.profile}"
    _tell(checked, name)
    before = load_verified(page.parent, stem_of(session))
    if before is not None and before.rerun is not None and rerun is None:
        click.echo(f"{name}: none was executed again by this call, and the page says so no longer")
    digest = records_digest(session.results().own_records())
    verified = Verified(
        day=datetime.now(UTC).strftime("%Y-%m-%d"),
        suite=f"{plan.paper.id}/{plan.suite.name}",
        profile=plan.profile,
        records_sha256=digest,
        checked=checked.counts(),
        findings=tuple(
            f"{f.what} {_relative(f.file, (session.store.root, folder))}: {f.problem}"
            for f in checked.findings
        ),
        rerun=rerun,
    )
    if page.is_file() and not wrong:
        text = verified.model_dump_json(indent=1) + "\n"
        write_whole(page.parent / verified_name(stem_of(session)), text)
        write(session, folder)
        click.echo(f"{name}: said in {page}")
    return verified


def _rerun(session: Session, asked: int, draw: int, tolerance: float) -> Rerun:
    from bench.cli.rerun import rerun
    from bench.scheduling.engines.engine import EngineOptions
    from bench.scheduling.engines.registry import make_engine

    engine = make_engine("local", EngineOptions(slots_per_gpu=1))
    with tempfile.TemporaryDirectory(prefix="retable-verify-") as scratch:
        found = rerun(session, Path(scratch), engine, asked=asked, seed=draw, tolerance=tolerance)
    click.echo(f"{found.right} of {len(found.cells)} cells gave the numbers of their record")
    for cell in found.cells:
        if cell.result in ("other", "failed"):
            told = [f"{d.name} {d.then} then, {d.now} now" for d in cell.differences]
            click.echo(f"  {cell.cell}: {cell.problem or '; '.join(told)}")
    return found


def _carry(session: Session, asked: int, draw: int) -> bool:
    """Carry a suite's records across an edit; return whether nothing was found to differ."""
    from bench.cli.carry import carry
    from bench.cli.session import further_session
    from bench.records.carried import file_of
    from bench.scheduling.engines.engine import EngineOptions
    from bench.scheduling.engines.registry import make_engine

    engine = make_engine("local", EngineOptions(slots_per_gpu=1))
    # The seeds of settling are cells of this suite too.
    session = further_session(session) or session
    with tempfile.TemporaryDirectory(prefix="retable-verify-") as scratch:
        done = carry(session, Path(scratch), engine, asked=asked, seed=draw)
    for cell_id, why in done.problems.items():
        click.echo(f"  {cell_id}: {why}")
    if done.problems:
        click.echo(
            f"{len(done.problems):,} cells are not what earlier code gave: no record is carried, "
            "and `bench run` executes what is stale"
        )
    elif done.attestation is None:
        click.echo("no record is stale by its code alone: nothing to carry")
    else:
        cells, executed = len(done.attestation.cells), len(done.attestation.executed)
        click.echo(f"{executed:,} of {cells:,} cells of earlier code executed again: all equal")
        click.echo(f"their records count again: {file_of(session.store.layout, done.attestation)}")
    if done.elsewhere:
        click.echo(f"{done.elsewhere:,} cells were made on another kind of machine and stay stale")
    return not done.problems


def _is_bad(verified: Verified) -> bool:
    rerun = verified.rerun
    return bool(verified.findings) or (rerun is not None and rerun.right < len(rerun.cells))


def _tell(checked: Checked, name: str) -> None:
    counts = ", ".join(f"{n:,} {what}" for what, n in checked.counts().items() if n)
    click.echo(f"{name}: {counts or 'nothing'} looked at, {len(checked.findings):,} damaged")
    for finding in checked.findings:
        click.echo(f"  {finding.what} {finding.file}: {finding.problem}")


def _relative(file: Path, folders: Sequence[Path]) -> Path:
    for folder in folders:
        if file.absolute().is_relative_to(folder.absolute()):
            return file.absolute().relative_to(folder.absolute())
    return file
