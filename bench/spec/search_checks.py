"""What can be known wrong about a suite's search: its names, and whether methods may try alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import SpecError, did_you_mean
from bench.spec.drawing import SearchSpec, dimension
from bench.spec.merge import merge
from bench.spec.recipe import Scalar
from bench.spec.suite import CELL_AXES, LAST_AXES

if TYPE_CHECKING:
    from bench.spec.layers import Layers
    from bench.spec.searching import Search

_SEARCHED = ("recipe.", "penalties.")
_METHOD, _SEED, _HELD_OUT = "method", "seed", "validation"


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


def _check_scope(layers: Layers, spec: SearchSpec) -> None:
    for key, named in (("per", tuple(spec.per or ())), ("at", tuple(spec.at))):
        for axis in named:
            if axis not in layers.axes or axis == _SEED:
                known = [each for each in layers.axes if each != _SEED]
                raise _error(layers, f"{axis!r} is not an axis with choices", (key,),
                             did_you_mean(axis, known))  # fmt: skip
    if spec.per is None and spec.at:
        raise _error(
            layers, "every axis has a choice of its own, so that each has its trials where it is",
            ("at",), "say which axes have one: per: [method, …]",
        )  # fmt: skip
    twice = sorted(set(spec.at) & set(spec.per or ()))
    if twice:
        raise _error(layers, f"{twice[0]} has a choice for each value", ("at",), "leave it out")
    if spec.methods and spec.per is not None and _METHOD not in spec.per:
        raise _error(layers, "all methods share one choice, and so one space", ("methods",),
                     f"add {_METHOD} to per:")  # fmt: skip


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
    """Check that methods have equally many candidates, wherever they are compared.

    Raises
    ------
    SpecError
        For the first two that have not, naming both and their numbers.
    """
    first: dict[object, Search] = {}
    for search in searches:
        rest = tuple((a, v) for a, v in sorted(search.scope.items()) if a != _METHOD)
        other = first.setdefault(rest, search)
        mine, theirs = (each.choose for each in (search, other))
        if len(mine.candidates) != len(theirs.candidates):
            raise _error(
                layers,
                f"{other.scope[_METHOD]} has {len(theirs.candidates)} candidates and "
                f"{search.scope[_METHOD]} {len(mine.candidates)}: every method is tuned by as many",
                ("methods",),
                "give each as many combinations, or draw as many at random",
            )
        if len(mine.places) != len(theirs.places):
            raise _error(
                layers,
                f"{other.scope[_METHOD]} has trials at {len(theirs.places)} places and "
                f"{search.scope[_METHOD]} at {len(mine.places)}: every method is tuned by as many",
                ("at",),
                "let all have trials at places that all have",
            )


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
