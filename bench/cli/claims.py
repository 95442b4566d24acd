"""``bench claims``."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import profile_option, store_option, suites_option

if TYPE_CHECKING:
    from bench.report.claims.verdict import Verdict
    from bench.spec.paper import Paper
    from bench.spec.plan import Plan

    Judged = tuple[Verdict, Plan | None]

EPILOG = """\b
Example:
  bench claims bss
  bench claims bss --profile paper --verbose
  bench claims bss --json --fail-on refuted,undecided
"""
_FAILING = ("refuted", "undecided", "not-run")
_NARROWEST = 30


@click.command("claims", epilog=EPILOG)
@click.argument("paper")
@suites_option
@profile_option
@store_option
@click.option("--verbose", is_flag=True, help="Each claim's sentence, and its comparisons.")
@click.option("--json", "as_json", is_flag=True, help="Everything that is known, as JSON.")
@click.option(
    "--fail-on", metavar="VERDICTS", help="Exit code 1 on any of: refuted,undecided,not-run."
)
def command(
    paper: str, profile: str, store: Path, verbose: bool, as_json: bool, fail_on: str | None
) -> None:
    """Say whether a paper's claims hold in the records.

    PAPER is a folder, or its name below suites/. Each claim is supported, refuted, undecided or
    not run; a claim's own p takes the number of its comparisons into account, and no verdict is
    corrected over claims. Beside p stands q, the false discovery rate over all claims of the paper
    at which the verdict would still pass (Benjamini and Yekutieli). --verbose says in words what
    each claim asks of the records.
    """
    from bench.report.claims import many
    from bench.report.claims.verdict_json import verdict_json
    from bench.spec.find import find_paper
    from bench.spec.paper import load_paper

    failing = _verdicts_named(fail_on)
    folder = find_paper(paper)
    loaded = load_paper(folder)
    found = _verdicts(loaded, folder, profile, store)
    if as_json:
        verdicts = [verdict for verdict, _ in found]
        rows = [verdict_json(verdict, plan) for verdict, plan in found]
        for row, q in zip(rows, many.discovery_rates(verdicts), strict=True):
            row["q"] = None if math.isnan(q) else q
        data = {
            "paper": loaded.id,
            "profile": profile,
            "expected_false": many.expected_false(verdicts),
            "claims": rows,
        }
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        _print(found, loaded, profile, verbose)
    if any(verdict.outcome.replace(" ", "-") in failing for verdict, _ in found):
        sys.exit(1)


def _verdicts_named(given: str | None) -> list[str]:
    from bench.errors import did_you_mean

    names = [name.strip() for name in given.split(",")] if given else []
    for name in names:
        if name not in _FAILING:
            near = did_you_mean(name, _FAILING)
            raise click.BadParameter(f"no such verdict {name!r}; {near}", param_hint="--fail-on")
    return names


def _verdicts(paper: Paper, folder: Path, profile: str, store: Path) -> list[Judged]:
    """Return the verdict on each claim, with the plan of its suite where there is one."""
    from bench.cli.session import session_of
    from bench.errors import SpecError, did_you_mean
    from bench.report.claims.verdict import without_records
    from bench.spec.layers import profile_names
    from bench.spec.plan import load_plan

    suites = dict.fromkeys(c.suite for c in paper.claims if c.kind == "tested")
    files = {name: folder / f"{name}.yaml" for name in suites if name is not None}
    profiles = {n: profile_names(file) if file.is_file() else [] for n, file in files.items()}
    known = {name for names in profiles.values() for name in names}
    if known and profile not in known:
        raise SpecError(
            f"no suite of {paper.id} that has claims has a profile {profile!r}",
            remedy=did_you_mean(profile, sorted(known)),
        )
    found: dict[str, Judged] = {}
    for name, file in files.items():
        # A claim about a suite that is not there is an error of loading any other.
        if profile in profiles[name] or not profiles[name]:
            session = session_of(load_plan(file, profile), store)
            found.update({v.claim.id: (v, session.plan) for v in session.verdicts()})
    reason = f"its suite has no profile {profile}"
    return [found.get(c.id) or (without_records(c, reason), None) for c in paper.claims]


def _print(found: list[Judged], paper: Paper, profile: str, verbose: bool) -> None:
    from collections import Counter

    from bench.cli.printing import table
    from bench.report.claims import many, text
    from bench.report.claims.form import asked_text

    if not found:
        click.echo(f"{paper.id} has no claims: write them in its paper.yaml")
        return
    verdicts = [verdict for verdict, _ in found]
    q = dict(zip((v.claim.id for v in verdicts), many.discovery_rates(verdicts), strict=True))
    rows = [
        [
            v.claim.id,
            text.outcome_text(v),
            asked_text(v.claim),
            text.estimate_text(v),
            text.p_text(v.p),
            text.p_text(q[v.claim.id]),
            text.holding_text(v),
            text.remark(v),
        ]
        for v in verdicts
    ]
    header = ["claim", "verdict", "asked", "estimate", "p", "q", "hold", ""]
    # Two spaces between columns, and tabulate's two beside a header.
    taken = [max(len(header[i]) + 2, *(len(row[i]) for row in rows)) + 2 for i in range(7)]
    room = max(_NARROWEST, shutil.get_terminal_size().columns - sum(taken))
    for row in rows:
        row[-1] = row[-1] if len(row[-1]) <= room else row[-1][: room - 1] + "…"
    align = ("left", "left", "left", "right", "right", "right", "right", "left")
    click.echo(table(rows, header, align))
    settled = next((v.settled for v in verdicts if v.settled is not None), None)
    if settled is not None:
        looks = ", ".join(map(str, settled.looks.at))
        click.echo(
            "\nWhere seeds were added (bench run --until-decided), p is sequential, for looks at "
            f"{looks} seeds that spend {100 * settled.looks.alpha:g}% a claim."
        )
    counts = Counter(verdict.outcome for verdict in verdicts)
    listed = ", ".join(f"{n} {outcome}" for outcome, n in counts.items())
    if any(verdict.decision is not None for verdict in verdicts):
        listed += f"; {many.expected_text(many.expected_false(verdicts))}"
    click.echo(f"\n{paper.id}, profile {profile}: {listed}")
    if verbose:
        for verdict, plan in found:
            _print_whole(verdict, plan)


def _print_whole(verdict: Verdict, plan: Plan | None) -> None:
    from tabulate import tabulate

    from bench.report.claims import text
    from bench.report.claims.form import form_sentences

    claim = verdict.claim
    click.echo(f"\n{claim.id}: {verdict.outcome}\n  {claim.text} ({text.source_text(claim)})")
    if plan is not None:
        for sentence in form_sentences(verdict, plan):
            click.echo(f"  {sentence}")
    remark = text.remark(verdict)
    if remark:
        click.echo(f"  {remark}")
    if verdict.decision is None or verdict.shown is None:
        return
    rows = [
        [
            each.name,
            text.compared_text(verdict, estimate),
            f"{each.n}/{each.expected}",
            *(text.p_text(p) for p in (test.p_support, test.sign_flip, test.adjusted_refute)),
            "holds" if test.holds else "fails" if test.fails else "",
        ]
        for each, estimate, test in zip(
            verdict.compared, verdict.estimates, verdict.decision.tests, strict=True
        )
    ]
    unit = f" ({verdict.shown.unit})" if verdict.shown.unit else ""
    header = [verdict.shown.metric + unit, "mean", "n", "p", "p (sign flips)", "p against", ""]
    align = ("left", *["right"] * 5, "left")
    table = tabulate(rows, header, tablefmt="simple", disable_numparse=True, colalign=align)
    click.echo("\n" + "\n".join(f"  {line}" for line in table.splitlines()))
