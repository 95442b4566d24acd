"""The choices behind a table: for which of its cells, and whether its methods were tuned alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.records.record import Record, chosen_in
from bench.report import markdown
from bench.report.numbers import plural
from bench.report.results import Results
from bench.report.tables.layout import label
from bench.spec.budget import Tuning, batch_sizes
from bench.spec.cell import CHOICE, Cell, PlannedCell
from bench.spec.recipe import Scalar
from bench.spec.work import Choose

METHOD = "method"


@dataclass(frozen=True)
class Choice:
    """A choice with the table's cells that it is for.

    Attributes
    ----------
    tuned
        Those cells, every seed of them.
    followers
        Methods among theirs that train by another's choice, without trials of their own.
    record
        What was chosen; None where the choice is not done, or stale.
    """

    cell: Cell
    work: Choose
    tuning: Tuning
    tuned: tuple[PlannedCell, ...]
    followers: tuple[Scalar, ...]
    record: Record | None

    @property
    def methods(self) -> tuple[Scalar, ...]:
        """The methods that it is made for, or shared by: those without the ones that follow."""
        return tuple(dict.fromkeys(planned.place[METHOD] for planned in self._own))

    @property
    def _own(self) -> list[PlannedCell]:
        return [p for p in self.tuned if p.place[METHOD] not in self.followers]

    @cached_property
    def chosen(self) -> int | None:
        """Number of the candidate."""
        return None if self.record is None else chosen_in(self.record.outcome)

    def where(self, axes: Sequence[str]) -> dict[str, Scalar]:
        """Return those of the axes that have one value at all cells that it is made for."""
        values = {axis: {planned.place[axis] for planned in self._own} for axis in axes}
        return {axis: next(iter(own)) for axis, own in values.items() if len(own) == 1}


def choices(results: Results) -> list[Choice]:
    """Return a plan's choices in the order of its table; none without a search."""
    plan, cells = results.plan, results.plan.unique()
    tuned: dict[str, list[PlannedCell]] = {}
    for planned in plan.shown:
        if CHOICE in planned.cell.parents:
            tuned.setdefault(planned.cell.parents[CHOICE].id, []).append(planned)
    found = []
    for cell_id, own in tuned.items():
        work = cells[cell_id].work
        assert isinstance(work, Choose)
        tuning = plan.tunings[own[0].cell.id]
        record = results.records.get(cell_id)
        methods = dict.fromkeys(planned.place[METHOD] for planned in own)
        followers = tuple(name for name in methods if name in plan.suite.follows)
        found.append(Choice(cells[cell_id], work, tuning, tuple(own), followers, record))
    return found


def tuned_alike(found: Sequence[Choice], trained: Mapping[str, int]) -> str:
    """Return whether methods were tuned equally, and so may be compared with each other.

    Empty where only one has trials, and nothing is said of those that follow others. ``trained``
    is each cell's planned number of gradients, absent where it is not known.
    """
    if len({method for choice in found for method in choice.methods}) == 1:
        return ""
    followed = any(choice.followers for choice in found)
    every = "Every other method's" if followed else "Every method's"
    if any(len(choice.methods) > 1 for choice in found):
        return (
            "Methods share choices, which are not made for each of them: they are **not equally "
            "tuned**, and their levels cannot be compared."
        )
    tunings = [choice.tuning for choice in found]
    if len({tuning.trials for tuning in tunings}) > 1:
        return f"{every} settings are chosen by as many candidates, at the places below."
    trials = plural(tunings[0].trials, "trial")
    for many, numbers in (
        ("gradients (below)", {tuning.gradients for tuning in tunings}),
        ("rows: their batches differ", {tuning.rows for tuning in tunings}),
    ):
        if len(numbers) > 1:
            return f"{every} settings are chosen by {trials}, which do not all take as many {many}."
    unequal = _unequally_trained(found, trained)
    if unequal:
        return (
            f"{every} settings are chosen by {trials}, but the table's cells are then "
            f"trained for **unequally many {unequal}**: their levels cannot be compared."
        )
    gradients = tunings[0].gradients
    told = f" of {gradients:,} gradients in all" if gradients is not None else ""
    which = "these methods" if followed else "the methods"
    return (
        f"{every} settings are chosen by {trials}{told}: {which} are **tuned alike**, "
        "and their levels may be compared."
    )


def followed_by(results: Results, found: Sequence[Choice]) -> str:
    """Return which methods train by another one's choice, in paragraphs; empty where none does."""
    suite = results.plan.suite
    leaders: dict[str, dict[Scalar, None]] = {}
    for follower in (name for choice in found for name in choice.followers):
        leaders.setdefault(suite.follows[str(follower)], {})[follower] = None
    if not leaders:
        return ""

    def named(method: Scalar) -> str:
        return markdown.escape(label(suite, METHOD, method))

    return "\n\n".join([
        "Some methods have no trials of their own: they are **not tuned** for themselves, but "
        "train by another one's choice, or by multiples of it.",
        *(
            f"By that of {named(leader)}: {'; '.join(map(named, own))}."
            for leader, own in leaders.items()
        ),
    ])  # fmt: skip


def _unequally_trained(found: Sequence[Choice], trained: Mapping[str, int]) -> str:
    """Return in what trainings of two methods at one place differ; empty where in nothing."""
    costs: dict[object, list[tuple[int | None, tuple[int, ...]]]] = {}
    for planned in (planned for choice in found for planned in choice.tuned):
        rest = tuple((a, v) for a, v in planned.place.items() if a != METHOD)
        cost = (trained.get(planned.cell.id), batch_sizes(planned.cell.work))
        costs.setdefault(rest, []).append(cost)
    for at, many in enumerate(("gradients", "rows a gradient")):
        if any(len({cost[at] for cost in each}) > 1 for each in costs.values()):
            return many
    return ""
