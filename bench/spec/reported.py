"""Whether the numbers a paper reports belong to cells that a plan has."""

from __future__ import annotations

from bench.errors import SpecError, did_you_mean
from bench.spec.paper import Reported, ReportedTable
from bench.spec.plan import Plan


def tables_for(plan: Plan, reported: Reported) -> list[ReportedTable]:
    """Return the reported tables that a plan's suite and profile rebuild."""
    return [
        table
        for table in reported.tables
        if table.suite == plan.suite.name and table.profile == plan.profile
    ]


def check_reported(plan: Plan, reported: Reported) -> None:
    """Check that every reported entry of this suite and profile names cells of the plan.

    Raises
    ------
    SpecError
        For an entry whose axis is not one, that no cell has, or that stands there twice.
    """
    file = plan.file.parent / "reported.yaml"
    for table in tables_for(plan, reported):
        axes = sorted({axis for entry in table.entries for axis in entry.where})
        for axis in axes:
            if axis not in plan.suite.axes:
                near = did_you_mean(axis, plan.suite.axes)
                raise SpecError(f"{axis!r} is not an axis", file=file, remedy=near)
        have = {tuple(p.labels[a] for a in axes) for p in plan.cells if p.labels}
        seen: set[tuple[object, ...]] = set()
        for entry in table.entries:
            key = tuple(entry.where.get(axis) for axis in axes)
            name = ", ".join(f"{axis}: {entry.where.get(axis)}" for axis in axes)
            if key not in have:
                raise SpecError(
                    f"no cell of {plan.suite.name} ({plan.profile}) is {name}", file=file
                )
            if key in seen:
                raise SpecError(f"{name} is reported twice", file=file)
            seen.add(key)
