"""Whether what a claim compares had one budget, and was looked at equally often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bench.errors import SpecError
from bench.spec.budget import Tuning, batch_sizes
from bench.spec.cell import Cell, PlannedCell, Train
from bench.spec.claims import At, Claim
from bench.spec.comparisons import Place, differences

Raise = Callable[..., SpecError]
_GRADIENTS = "gradients (steps times gradients a step)"
_COUNTED = {"steps": "steps", "gradients": _GRADIENTS, "search": _GRADIENTS}
_METHOD = "method"


def check_budget(
    claim: Claim,
    cells: Iterable[PlannedCell],
    gradients: Mapping[str, int],
    tunings: Mapping[str, Tuning],
    raises: Raise,
) -> None:
    """Check that all cells of each comparison have the budget that a claim says is equal.

    Parameters
    ----------
    cells
        Those of the table, one a place.
    gradients
        Cell id to how many are planned; absent where that is not known.
    tunings
        Cell id to what its search costs; absent where it is not tuned.
    raises
        Makes an error of a message, the key that is wrong, and a remedy.

    Raises
    ------
    SpecError
        If two differ, naming both and their numbers; if a cell has no such number; if a curve is
        read at steps of which the sides have not paid equally much; by ``search`` also if a side
        is not tuned, or by another method's trials, or by more rows.
    """
    if claim.budget is None:
        return
    for sides in _sides(claim, cells):
        if claim.budget == "search":
            _check_tuned(claim, sides, tunings, raises)
        counts = [_budget(planned.cell, claim.budget, gradients) for planned in sides]
        for planned, number in zip(sides, counts, strict=True):
            if number is None:
                raise raises(
                    f"{claim.id} is by {claim.budget}, and nothing says how many "
                    f"{_text(planned.place)} takes",
                    "budget",
                    "let its update state gradients_per_step"
                    if isinstance(planned.cell.work, Train)
                    else "a measurement has no budget",
                )
        _check_equal(claim, sides, counts, _COUNTED[claim.budget], "budget", raises)
        if claim.budget == "search":
            _check_batches(claim, sides, raises)
        if claim.budget != "steps" and _reads_steps(claim):
            steps = [_budget(planned.cell, "steps", gradients) for planned in sides]
            what = "steps, so that a step is not one and the same number of gradients"
            _check_equal(claim, sides, steps, what, "at", raises)


def check_grids(
    claim: Claim, cells: Iterable[PlannedCell], gradients: Mapping[str, int], raises: Raise
) -> None:
    """Check that curves of which one first reaches a value have their points equally far apart.

    In steps or in gradients: a finer grid finds a curve that jitters beyond a value sooner.

    Raises
    ------
    SpecError
        If they are not, naming both cells and their spacings.
    """
    if not any(at.reaches for at in (claim.at, *claim.readings) if at is not None):
        return
    for sides in _sides(claim, cells):
        in_steps = [_spacing(planned.cell, 1) for planned in sides]
        each = [_per_step(planned.cell, gradients) for planned in sides]
        in_gradients = [_spacing(p.cell, n) for p, n in zip(sides, each, strict=True)]
        if len(set(in_steps)) > 1 and (None in each or len(set(in_gradients)) > 1):
            other = next(i for i, spacing in enumerate(in_steps) if spacing != in_steps[0])
            raise raises(
                f"{claim.id} reads where a curve first reaches a value, and "
                f"{_text(sides[0].place)} is validated {in_steps[0]}, "
                f"{_text(sides[other].place)} {in_steps[other]}: more points reach it sooner",
                "at",
                "validate both equally often, in steps or in gradients",
            )


def _sides(claim: Claim, cells: Iterable[PlannedCell]) -> Iterator[Sequence[PlannedCell]]:
    """Yield the cells of each difference: of two, or of all that a whole is made of."""
    at = {tuple(planned.place.items()): planned for planned in cells}
    places: list[Place] = [dict(place) for place in at]
    planned = list(at.values())
    for _, terms in differences(claim, places):
        yield [planned[i] for _, i in terms]


def _budget(cell: Cell, by: str, gradients: Mapping[str, int]) -> int | None:
    if by != "steps":
        return gradients.get(cell.id)
    return cell.recipe.steps if cell.recipe is not None else None


def _check_tuned(
    claim: Claim,
    sides: Sequence[PlannedCell],
    tunings: Mapping[str, Tuning],
    raises: Raise,
) -> None:
    """Check that each side's settings were chosen for its own method, at as large a cost."""
    for planned in sides:
        if planned.cell.id not in tunings:
            raise raises(
                f"{claim.id} is by search, and the settings of {_text(planned.place)} are not "
                "chosen by one",
                "budget",
                "give the suite a search:, or name the profiles that have one (profiles:)",
            )
        followed = tunings[planned.cell.id].followed
        if followed is not None:
            raise raises(
                f"{claim.id} is by search, and {_text(planned.place)} follows {followed}: it has "
                "no trials of its own",
                "budget",
                "leave it out of search.follows, or compare others",
            )
    own = [tunings[planned.cell.id] for planned in sides]
    methods: dict[str, PlannedCell] = {}
    for planned, tuning in zip(sides, own, strict=True):
        other = methods.setdefault(tuning.choice, planned)
        if other.place.get(_METHOD) != planned.place.get(_METHOD):
            raise raises(
                f"{claim.id} is by search, and {_text(other.place)} and {_text(planned.place)} "
                "share one choice, which is not made for both",
                "budget",
                "give each method a choice of its own: search.per",
            )
    _check_equal(claim, sides, [t.trials for t in own], "trials", "budget", raises)
    unknown = next((p for p, t in zip(sides, own, strict=True) if t.gradients is None), None)
    if unknown is not None:
        raise raises(
            f"{claim.id} is by search, and nothing says how many gradients the trials of "
            f"{_text(unknown.place)} take",
            "budget",
            "let its update state gradients_per_step",
        )
    _check_equal(claim, sides, [t.gradients for t in own], "gradients of trials", "budget", raises)
    _check_equal(claim, sides, [t.rows for t in own], "rows of trials", "budget", raises)


def _check_batches(claim: Claim, sides: Sequence[PlannedCell], raises: Raise) -> None:
    """Check that the final trainings' gradients are of as many rows, whatever is chosen."""
    sizes = [batch_sizes(planned.cell.work) for planned in sides]
    other = next((i for i, mine in enumerate(sizes) if mine != sizes[0]), None)
    if other is not None:
        one, two = (" or ".join(map(str, sizes[i])) for i in (0, other))
        raise raises(
            f"{claim.id} is by search, and {_text(sides[0].place)} is trained by batches of {one}, "
            f"{_text(sides[other].place)} of {two}",
            "budget",
            "give both the same batch sizes, or the same to try",
        )


def _check_equal(
    claim: Claim,
    sides: Sequence[PlannedCell],
    counts: Sequence[int | None],
    what: str,
    key: str,
    raises: Raise,
) -> None:
    other = next((i for i, number in enumerate(counts) if number != counts[0]), None)
    if other is not None:
        raise raises(
            f"{claim.id} is by {claim.budget}, and {_text(sides[0].place)} is planned with "
            f"{counts[0]:,}, {_text(sides[other].place)} with {counts[other]:,} {what}",
            key,
            "compare cells with as many (where:, or recipe.steps of a method)",
        )


def _reads_steps(claim: Claim) -> bool:
    readings: list[At] = [at for at in (claim.at, *claim.readings) if at is not None]
    return any(at.area is not None or isinstance(at.step, int) for at in readings)


def _per_step(cell: Cell, gradients: Mapping[str, int]) -> int | None:
    known = cell.recipe is not None and cell.id in gradients
    return gradients[cell.id] // cell.recipe.steps if known and cell.recipe else None


def _spacing(cell: Cell, each: int | None) -> str:
    """Return how far apart a cell's validations are, a step being counted as ``each``."""
    work = cell.work
    if not isinstance(work, Train):
        return "never"
    recipe = work.recipe
    if recipe.anytime is not None:
        # Its gaps grow by a step at a time, whatever a step takes.
        text = f"at gaps that grow to {recipe.anytime.gap} steps"
    elif recipe.validate_every is not None:
        text = f"every {recipe.validate_every * (each or 1)} steps"
    else:
        text = "never"
    return f"{text} and at each of a warm-up" if work.warmup is not None else text


def _text(place: Place) -> str:
    return ", ".join(f"{axis} {value}" for axis, value in place.items())
