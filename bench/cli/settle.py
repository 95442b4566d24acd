"""``bench run --until-decided``: looks, and the seeds that the next look needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from bench.cli.session import Session
    from bench.records.settling import SettlingRule
    from bench.report.claims.additions import Addition
    from bench.report.claims.further import Further
    from bench.report.claims.verdict import Verdict
    from bench.scheduling.engines.engine import Engine
    from bench.scheduling.summary import RunSummary
    from bench.spec.cell import PlannedCell

DEFAULT_MOST = 15
_SHOWN = 20


class Execute(Protocol):
    """Runs cells to their end, and closes the engine."""

    def __call__(self, cells: Sequence[PlannedCell], engine: Engine) -> RunSummary:
        """Return what was done."""


@dataclass(frozen=True)
class Asked:
    """The options of ``--until-decided``; ``budget`` in hours."""

    most: int | None = None
    budget: float | None = None
    every: bool = False
    dry_run: bool = False


@dataclass
class Settlement:
    """Runs a suite, then adds seeds look by look until nothing can be decided any more."""

    session: Session
    asked: Asked
    new_engine: Callable[[], Engine]
    execute: Execute
    conclude: Callable[[RunSummary], None]
    began: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        """Settle the suite's claims; return the exit code."""
        from bench.report.claims.additions import additions, to_run, with_parents
        from bench.scheduling.slots import Slots

        rule = self._rule()
        _announce(self.session, rule)
        code = self._own_cells()
        while code == 0:
            further, found = self._look(rule)
            added = additions(found, further)
            cells = to_run(added, further)
            if not added:
                _tell(found, further)
                return 0
            engine = self.new_engine()
            slots = Slots(engine.devices).total
            seconds = _estimated(cells, further, slots)
            _print_plan(found, added, cells, seconds, slots)
            if self.asked.dry_run or not self._fits(seconds):
                engine.close()
                if not self.asked.dry_run:
                    _tell(found, further)
                return 0
            wanted = with_parents((cell for each in added for cell in each.cells), further)
            code = self._execute(wanted, engine)
        return code

    def _rule(self) -> SettlingRule:
        from bench.errors import UserError
        from bench.records.settling import SettlingRule, fix_settling_rule, settling_rule
        from bench.report.claims.additions import schedule

        layout, plan = self.session.store.layout, self.session.plan
        own = _own_seeds(plan.cells)
        if not any(c.kind == "tested" and c.suite == plan.suite.name for c in plan.paper.claims):
            raise UserError(
                f"no claim of {plan.paper.id} is about the suite {plan.suite.name}",
                file=plan.file.parent / "paper.yaml",
                remedy="there is nothing to decide: run it without --until-decided",
            )
        most = self.asked.most or DEFAULT_MOST
        rule = settling_rule(layout, plan)
        if rule is None:
            self._refuse_a_second_chance()
        if rule is None and most <= own:
            raise UserError(
                f"the suite has {own} seeds itself, and a last look at {most} adds none",
                remedy=f"name a larger --max-seeds, such as {2 * own}",
            )
        if rule is None:
            rule = SettlingRule(looks=schedule(own, most))
            if not self.asked.dry_run:
                rule = fix_settling_rule(layout, plan, rule)
        if self.asked.most not in (None, rule.looks[-1]):
            raise UserError(
                f"the last look was fixed at {rule.looks[-1]} seeds when settling began here",
                file=layout.settling(plan.paper.id, plan.suite.name, plan.profile),
                remedy="other looks after the first would void the error rate: leave --max-seeds "
                "out, or begin another store",
            )
        return rule

    def _refuse_a_second_chance(self) -> None:
        """Refuse to settle what a fixed number of seeds has judged at the whole level."""
        from bench.errors import UserError
        from bench.report.claims.verdict import verdicts

        judged = [v.claim.id for v in verdicts(self.session.results()) if v.decision is not None]
        if judged:
            raise UserError(
                f"claims of this suite are judged by its own seeds here, such as {judged[0]}: that "
                "verdict has used up the whole error rate of 5%, and more seeds for what it leaves "
                "undecided would be a second chance to err (7% in all)",
                file=self.session.store.layout.root,
                remedy="the choice is made before the suite's first run in a store: begin with "
                "bench run --until-decided there",
            )

    def _own_cells(self) -> int:
        counts = self.session.counts()
        missing = len(self.session.states) - counts["done"]
        if not missing:
            return 0
        click.echo(f"{missing:,} of the suite's own {len(self.session.states):,} cells come first")
        if self.asked.dry_run:
            return 0
        return self._execute(self.session.plan.cells, self.new_engine())

    def _execute(self, cells: Sequence[PlannedCell], engine: Engine) -> int:
        summary = self.execute(cells, engine)
        self.conclude(summary)
        return summary.exit_code

    def _look(self, rule: SettlingRule) -> tuple[Further, list[Verdict]]:
        from bench.cli.session import further_by, session_of
        from bench.report.claims.verdict import verdicts

        plan = self.session.plan
        now = session_of(plan, self.session.store.root)
        further = further_by(now, rule, every=self.asked.every)
        return further, verdicts(now.results(), further)

    def _fits(self, seconds: float | None) -> bool:
        from bench.scheduling.progress import duration

        if self.asked.budget is None or seconds is None:
            return True
        left = self.asked.budget * 3600 - (time.monotonic() - self.began)
        if seconds <= left:
            return True
        click.echo(
            f"\nThis look is not begun: {duration(max(left, 0))} of the budget are left, "
            f"and it is estimated to take {duration(seconds)}."
        )
        return False


def _own_seeds(cells: Iterable[PlannedCell]) -> int:
    seeds: dict[tuple[object, ...], int] = {}
    for planned in cells:
        if planned.labels:
            place = tuple(v for axis, v in planned.labels.items() if axis != "seed")
            seeds[place] = seeds.get(place, 0) + 1
    return max(seeds.values())


def _estimated(cells: Sequence[PlannedCell], further: Further, slots: int) -> float | None:
    from bench.scheduling.estimate import Estimate

    estimate = Estimate(cells, slots)
    for planned in further.results.plan.cells:
        record = further.results.records.get(planned.cell.id)
        if record is not None:
            estimate.measured(planned, record.seconds)
    return estimate.left()


def _announce(session: Session, rule: SettlingRule) -> None:
    plan = session.plan
    looks = ", ".join(map(str, rule.looks))
    click.echo(f"{plan.paper.id}/{plan.suite.name}, profile {plan.profile}: {plan.suite.title}")
    click.echo(
        f"looks at {looks} seeds; {100 * rule.alpha:g}% a claim, both sides together, over all "
        f"looks ({rule.spending} spending)"
    )


def _print_plan(
    found: Sequence[Verdict],
    added: Sequence[Addition],
    cells: Sequence[PlannedCell],
    seconds: float | None,
    slots: int,
) -> None:
    from tabulate import tabulate

    from bench.scheduling.progress import duration

    _print_claims(found)
    rows = [
        [
            each.verdict.claim.id,
            each.compared.name,
            f"{each.compared.n} -> {each.to}",
            f"{each.chance:.0%}",
            len(each.cells),
        ]
        for each in added
    ]
    header = ["claim", "comparison", "seeds", "chance", "cells"]
    click.echo("\n" + tabulate(rows[:_SHOWN], header, tablefmt="simple", disable_numparse=True))
    if len(rows) > _SHOWN:
        click.echo(f"… and {len(rows) - _SHOWN} more comparisons")
    click.echo(
        f"\nTo add: {len(cells):,} cells (those shared by comparisons once), about "
        f"{duration(seconds)} at {slots} at a time"
    )


def _tell(found: Sequence[Verdict], further: Further) -> None:
    _print_claims(found)
    decided = sum(verdict.outcome in ("supported", "refuted") for verdict in found)
    last = further.looks.at[-1]
    click.echo(f"\n{decided} of {len(found)} claims are decided; the last look is at {last} seeds")


def _print_claims(found: Sequence[Verdict]) -> None:
    from tabulate import tabulate

    from bench.report.claims import text

    rows = []
    for verdict in found:
        sizes = sorted({compared.n for compared in verdict.compared})
        settled = verdict.settled
        rows.append(
            [
                verdict.claim.id,
                text.outcome_text(verdict),
                "-".join(str(n) for n in dict.fromkeys([sizes[0], sizes[-1]])) if sizes else "",
                text.p_text(verdict.p),
                f"{settled.level:.2g}" if settled is not None and settled.look else "",
                text.remark(verdict),
            ]
        )
    header = ["claim", "verdict", "seeds", "p", "level of the look", ""]
    click.echo("\n" + tabulate(rows, header, tablefmt="simple", disable_numparse=True))
