"""What can be known wrong about a suite's search: its names, and whether methods may try alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import SpecError, did_you_mean
from bench.spec.drawing import SearchSpec, dimension
from bench.spec.merge import merge
from bench.spec.recipe import Scalar
from bench.spec.suite import CELL_AXES, LAST_AXES
from bench.spec.work import Train

if TYPE_CHECKING:
    from bench.spec.layers import Layers
    from bench.spec.searching import Search

_SEARCHED = ("recipe.", "penalties.")
METHOD = "method"
_SEED, _HELD_OUT = "seed", "validation"
# What methods whose trials are compared have in common.
_OF_CHOICE = ("metric", "best")
_OF_TRIALS = ("validation", "validation_seed", "selection")
_Where = tuple[tuple[str, Scalar], ...]


def check_search_names(layers: Layers) -> None:
    """Check the axes and methods that a search names, and what is written of each axis.

    Raises
    ------
    SpecError
        For a suite of measurements; a searched axis that the table has or that nothing reads;
        a choice per, or trials at, an axis that the table has not; a method that is not defined.
    """
    spec = layers.search
    if spec is None:
        return
    if layers.measure:
        raise _error(layers, "a measurement has no settings to choose", (), "leave search out")
    if not spec.axes:
        raise _error(layers, "has no axis", ("space",), "give it one, with values to try")
    for axis in sorted(spec.axes):
        _check_axis(layers, axis)
    _check_written(layers, spec)
    _check_follows(layers, spec)
    _check_scope(layers, spec)
    if not merge(layers.recipe, spec.recipe).get(_HELD_OUT):
        raise _error(
            layers, "trials are scored on held-out rows, and nothing is held out", ("recipe",),
            "say how much of each class: search: {recipe: {validation: 0.25}}",
        )  # fmt: skip
    test = spec.recipe.get("evaluation")
    if isinstance(test, Mapping) and test.get("test"):
        raise _error(
            layers, "a search is scored on held-out rows, and never on the test split",
            ("recipe", "evaluation", "test"), "leave it out",
        )  # fmt: skip


def _check_axis(layers: Layers, axis: str) -> None:
    loc = search_path(layers, axis)[1:]
    if axis in layers.axes:
        raise _error(
            layers, f"{axis} is an axis of the table: its values are compared, and none is chosen",
            loc, "leave it out of axes:, or of the search",
        )  # fmt: skip
    asked_for = any(axis in when.conditions for when in layers.whens)
    if axis in (*CELL_AXES, *LAST_AXES) or not (asked_for or axis.startswith(_SEARCHED)):
        raise _error(
            layers, f"{axis} is an axis that changes no setting", loc,
            "search recipe.… or penalties.…, or an axis that `when:` entries are about",
        )  # fmt: skip
    for when in layers.whens:
        if axis in when.conditions and (when.axes or when.exclude):
            key = "axes" if when.axes else "exclude"
            raise when.source.error(
                f"depends on {axis}, which is searched: candidates differ in settings alone",
                (key,),
            )


def _check_written(layers: Layers, spec: SearchSpec) -> None:
    for name in spec.methods:
        if name not in layers.methods:
            near = did_you_mean(name, layers.methods)
            raise _error(layers, f"the method {name!r} is not defined", ("methods", name), near)
    written: list[tuple[tuple[str, ...], Any]] = [
        (("space", axis), raw) for axis, raw in spec.space.items()
    ]
    written += [
        (("methods", name, axis), raw)
        for name, own in spec.methods.items()
        for axis, raw in (own or {}).items()
        if raw is not None
    ]
    for loc, raw in written:
        try:
            dimension(raw)
        except ValueError as error:
            raise _error(layers, str(error), loc) from None


def _check_follows(layers: Layers, spec: SearchSpec) -> None:
    for name, leader in spec.follows.items():
        loc = ("follows", name)
        for each in (name, leader):
            if each not in layers.methods:
                near = did_you_mean(each, layers.methods)
                raise _error(layers, f"the method {each!r} is not defined", loc, near)
        if spec.leader_of(leader) != leader or leader == name:
            raise _error(
                layers, f"{leader} has no trials of its own to follow", loc,
                "name a method that follows none",
            )  # fmt: skip
    if spec.follows and spec.per is not None and METHOD not in spec.per:
        raise _error(layers, "all methods share one choice, and so none follows another",
                     ("follows",), f"add {METHOD} to per:")  # fmt: skip


def _check_scope(layers: Layers, spec: SearchSpec) -> None:
    for key, named in (("per", tuple(spec.per or ())), ("at", tuple(spec.at))):
        for axis in named:
            if axis not in layers.axes or axis == _SEED:
                known = [each for each in layers.axes if each != _SEED]
                raise _error(layers, f"{axis!r} is not an axis with choices", (key,),
                             did_you_mean(axis, known))  # fmt: skip
    for axis, values in spec.places.items():
        anywhere = layers.everywhere.get(axis, set()) | set(layers.axes[axis])
        for value in values:
            if value not in anywhere:
                raise _error(
                    layers, f"{value!r} is not a value of this axis in any profile", ("at", axis),
                    did_you_mean(value, sorted(map(str, anywhere))),
                )  # fmt: skip
    if spec.per is None and spec.at:
        raise _error(
            layers, "every axis has a choice of its own, so that each has its trials where it is",
            ("at",), "say which axes have one: per: [method, …]",
        )  # fmt: skip
    twice = sorted(set(spec.at) & set(spec.per or ()))
    if twice:
        raise _error(layers, f"{twice[0]} has a choice for each value", ("at",), "leave it out")
    if spec.methods and spec.per is not None and METHOD not in spec.per:
        raise _error(layers, "all methods share one choice, and so one space", ("methods",),
                     f"add {METHOD} to per:")  # fmt: skip


def check_seeds_apart(layers: Layers, seeds: Iterable[Scalar]) -> None:
    """Check that no seed of the table is one of the search's.

    Raises
    ------
    SpecError
        For the first that is: its cell would be tuned on the rows and weights it is then tested by.
    """
    assert layers.search is not None
    shared = sorted(set(layers.search.trial_seeds) & {int(seed) for seed in seeds})
    if shared:
        raise _error(
            layers, f"the seed {shared[0]} is one of the table's: its cell would be among those by "
            "which it is tuned", ("seeds",), "give a number of seeds, or other ones",
        )  # fmt: skip


def check_equal_budgets(layers: Layers, searches: Iterable[Search]) -> None:
    """Check that methods are tuned by as much, and alike, wherever they are compared.

    Raises
    ------
    SpecError
        For the first two that have not as many candidates, trials at the same places, and trials
        that are scored alike; naming both and what differs.
    """
    first: dict[object, Search] = {}
    for search in searches:
        rest = tuple((a, v) for a, v in sorted(search.scope.items()) if a != METHOD)
        other = first.setdefault(rest, search)
        if other is search:
            continue
        methods = f"{other.scope[METHOD]} has {{}} and {search.scope[METHOD]} {{}}"
        theirs, mine = (len(each.choose.candidates) for each in (other, search))
        if theirs != mine:
            raise _error(
                layers,
                methods.format(f"{theirs} candidates", mine) + ": every method is tuned by as many",
                ("methods",),
                "give each as many combinations, or draw as many at random",
            )
        before, here = (_scored(layers, each) for each in (other, search))
        for place in (p for p in (*before, *here) if not (p in before and p in here)):
            told = ", ".join(f"{axis} {value}" for axis, value in place) or "its only place"
            some, none = ("trials", "none") if place in before else ("no trial", "some")
            raise _error(
                layers,
                f"{methods.format(some, none)} at {told}: every method is tuned by as many",
                ("at",),
                "let all have trials at places that all have",
            )
        for place, settings in before.items():
            for name, value in settings.items():
                if here[place][name] != value:
                    raise _error(
                        layers,
                        f"for trials {methods.format(f'{name} {value}', here[place][name])}: every "
                        "method is tuned by the same rows, scored alike",
                        ("metric",) if name in _OF_CHOICE else ("recipe",),
                        f"say one {name} for all: search.{'' if name in _OF_CHOICE else 'recipe.'}"
                        f"{name}",
                    )


def _scored(layers: Layers, search: Search) -> dict[_Where, dict[str, object]]:
    """Return at which places trials are, but for the method, and how they are scored there."""
    found: dict[_Where, dict[str, object]] = {}
    for family in search.trials[0]:
        work = family.work
        assert isinstance(work, Train)
        place = tuple((a, family.labels[a]) for a in layers.axes if a not in (METHOD, _SEED))
        found[place] = {
            **{name: getattr(search.choose, name) for name in _OF_CHOICE},
            **{name: getattr(work.recipe, name) for name in _OF_TRIALS},
            "sampling_rate": ", ".join(f"{t.sampling_rate:g}" for t in work.tasks.values()),
        }
    return found


def search_path(layers: Layers, axis: str) -> tuple[str, ...]:
    """Return where a suite says what of a searched axis is tried."""
    assert layers.search is not None
    if axis in layers.search.space:
        return ("search", "space", axis)
    methods = layers.search.methods.items()
    return next(("search", "methods", name, axis) for name, own in methods if axis in (own or {}))


def _error(
    layers: Layers, message: str, loc: tuple[str, ...], remedy: str | None = None
) -> SpecError:
    path = ("search", *loc)
    return layers.source_of(*path).error(message, path, remedy)
