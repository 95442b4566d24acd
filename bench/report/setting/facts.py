"""The settings of a plan's cells as flat names and values, of the table's and of those behind it.

Names are those of a suite's YAML, without ``recipe.``: ``optimizer.sgd.lr``, ``task.dataset``. What
is off or not given (None, an empty list) has no fact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.report.results import place_key
from bench.spec.cell import Cell, PlannedCell
from bench.spec.plan import Plan
from bench.spec.recipe import Scalar
from bench.spec.tuning import CHOICE, agreement
from bench.spec.work import Choose, Work

Value = Scalar | tuple["Value", ...]
Facts = dict[str, Value]
SEED = "seed"
# Which of several cells of one name it is: as whose parent.
ROLE = "role"
PARENT = "parent"
OWN_SEED = "that of the cell"
OF_PLACE = "that of each place"


@dataclass
class Setting:
    """The settings that all seeds of one place share.

    Attributes
    ----------
    where
        Axis to value; for a cell behind the table those of the cell that it is there for, and
        ``role``.
    """

    where: Mapping[str, Scalar]
    work: Work
    facts: Facts
    seeds: list[tuple[int, int]] = field(default_factory=list)
    """Seed of the table's cell and of this one."""

    @property
    def fixed(self) -> bool:
        """Whether several seeds of the table go back to one seed here."""
        shown, own = ({*seeds} for seeds in zip(*self.seeds, strict=True))
        return len(shown) > 1 and len(own) == 1


def table_settings(plan: Plan) -> list[Setting]:
    """Return the settings at each place of the table, in the plan's order."""
    reader = _Reader(plan)
    found: dict[object, Setting] = {}
    for planned in plan.shown:
        key = place_key(planned.place)
        if key not in found:
            found[key] = reader.setting(planned.place, planned.cell)
        found[key].seeds.append((planned.cell.seed, planned.cell.seed))
    for setting in found.values():
        setting.facts[SEED] = tuple(seed for seed, _ in setting.seeds)
    return list(found.values())


def settings_behind(plan: Plan) -> dict[str, list[Setting]]:
    """Return the settings of the cells behind the table by their name, for each place and role."""
    reader = _Reader(plan)
    found: dict[str, dict[object, Setting]] = {planned.name: {} for planned in plan.behind}
    for planned in plan.shown:
        for role, cell in reader.ancestors(planned):
            own = found.get(reader.names.get(cell.id, ""))
            if own is None:
                continue
            key = (place_key(planned.place), role)
            if key not in own:
                own[key] = reader.setting({**planned.place, ROLE: role}, cell)
            own[key].seeds.append((planned.cell.seed, cell.seed))
    for settings in found.values():
        for setting in settings.values():
            setting.facts[SEED] = _seed_of(setting.seeds)
    return {name: list(settings.values()) for name, settings in found.items() if settings}


def trial_settings(plan: Plan) -> list[Setting]:
    """Return what the trials of each place's search have in common; none without a search.

    What differs between candidates reads `CHOSEN`, and between the places of one choice `OF_PLACE`.
    """
    cells, found = plan.unique(), dict[object, Setting]()
    known: dict[str, Facts] = {}
    for planned in plan.shown:
        choice = planned.cell.parents.get(CHOICE)
        key = place_key(planned.place)
        if choice is None or key in found:
            continue
        if choice.id not in known:
            known[choice.id] = _in_common(cells[choice.id], cells)
        # Its parts are those of the cell that it is for.
        where = {**planned.place, ROLE: "trial"}
        found[key] = Setting(where, planned.cell.work, known[choice.id])
    return list(found.values())


def _in_common(choice: Cell, cells: Mapping[str, Cell]) -> Facts:
    work = choice.work
    assert isinstance(work, Choose)
    # One seed of each is enough.
    roles = [work.roles(number)[:: len(work.seeds)] for number in range(len(work.candidates))]
    settings = [[cells[choice.parents[r].id].settings for r in row] for row in roles]
    at_places = [agreement(each) for each in zip(*settings, strict=True)]
    facts = flat(agreement(at_places, OF_PLACE))
    facts[SEED] = work.seeds
    return facts


def fixed_behind(plan: Plan) -> list[str]:
    """Return the names of the cells behind the table that are one at all seeds of a place."""
    behind = settings_behind(plan)
    return [name for name, settings in behind.items() if any(s.fixed for s in settings)]


class _Reader:
    """Flattens the works of a plan, each once."""

    def __init__(self, plan: Plan) -> None:
        self.names = {planned.cell.id: planned.name for planned in plan.behind}
        self._cells = plan.unique()
        self._known: dict[int, Facts] = {}

    def setting(self, where: Mapping[str, Scalar], cell: Cell) -> Setting:
        """Return a cell's setting, without its seed."""
        work = cell.work
        if id(work) not in self._known:
            self._known[id(work)] = flat(work.settings)
        facts = dict(self._known[id(work)])
        for role, parent in cell.parents.items():
            facts[f"{PARENT}.{role}"] = (
                f"{self.names.get(parent.id, 'a cell of the table')}: {parent.artifact}"
            )
        return Setting(where, work, facts)

    def ancestors(self, planned: PlannedCell) -> Iterator[tuple[str, Cell]]:
        """Yield every cell that one goes back to, with the roles that lead there."""
        todo = [("", planned.cell)]
        while todo:
            path, cell = todo.pop()
            for role, parent in cell.parents.items():
                if role == CHOICE:
                    # Trials by the hundred: `trial_settings` tells what they have in common.
                    continue
                above = (f"{role} of {path}" if path else role, self._cells[parent.id])
                yield above
                todo.append(above)


def flat(settings: Mapping[str, Any]) -> Facts:
    """Return settings, as records keep them, as flat names and values."""
    data = dict(settings)
    tasks = data.pop("tasks", {})
    if tasks:
        data |= {"task": tasks[""]} if set(tasks) == {""} else {"tasks": tasks}
    data |= data.pop("recipe", {})
    return dict(_leaves("", data))


def _leaves(name: str, value: object) -> Iterator[tuple[str, Value]]:
    prefix = f"{name}." if name else ""
    if isinstance(value, Mapping):
        found = [leaf for key, own in value.items() for leaf in _leaves(f"{prefix}{key}", own)]
        if (
            len(value) == 1
            and name
            and not found
            and isinstance(next(iter(value.values())), Mapping)
        ):
            # A choice without settings, or with none given: `schedule` is `constant`.
            found = [(name, str(next(iter(value))))]
        yield from found
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for part in value:
            for key, inner in part.items():
                yield from list(_leaves(f"{prefix}{key}", inner)) or [(f"{prefix}{key}", True)]
    elif value is not None and value != []:
        yield name, _fixed(value)


def _fixed(value: object) -> Value:
    if isinstance(value, list | tuple):
        return tuple(map(_fixed, value))
    assert isinstance(value, str | int | float | bool)
    return value


def _seed_of(pairs: list[tuple[int, int]]) -> Value:
    """Return how a seed follows from that of the table's cell."""
    added = {own - shown for shown, own in pairs}
    if added == {0}:
        return OWN_SEED
    seeds = {own for _, own in pairs}
    if len(seeds) == 1:
        return seeds.pop()
    return f"{OWN_SEED} + {added.pop()}" if len(added) == 1 else tuple(sorted(seeds))
