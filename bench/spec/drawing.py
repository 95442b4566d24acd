"""What a suite says of its search, and the candidates that are drawn from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice, product
from typing import Any, Literal

from pydantic import (
    Field,
    FiniteFloat,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from bench.spec.recipe import Frozen, Items, Pair, Scalar

# Above all that a suite may count up to, so that no seed of a table is one of a search.
FIRST_SEED = 1_000_000
Values = dict[str, Scalar]
# A random search whose space has hardly more points than it has trials would draw for ever.
_MOST_DRAWS = 1000
Raw = dict[str, Any]


class RandomDraw(Frozen):
    """So many candidates at random; the same for the same seed, whatever else is searched."""

    trials: PositiveInt
    seed: NonNegativeInt = 0


class Draw(Frozen):
    """A draw other than a grid."""

    random: RandomDraw


class Range(Frozen):
    """A number between two others, drawn evenly or evenly in its logarithm."""

    uniform: Pair[FiniteFloat] | None = None
    log_uniform: Pair[PositiveFloat] | None = Field(default=None, alias="log-uniform")

    @model_validator(mode="after")
    def _one_range(self) -> Range:
        if (self.uniform is None) == (self.log_uniform is None):
            raise ValueError("is either uniform: [low, high] or log-uniform: [low, high]")
        low, high = self.ends
        if not low < high:
            raise ValueError(f"[{low:g}, {high:g}] is no range: write [low, high]")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        ends = self.uniform or self.log_uniform
        assert ends is not None
        return ends

    def at(self, share: float) -> float:
        """Return the value at a share of the way, from 0 to 1, to four digits."""
        low, high = self.ends
        value = low + share * (high - low) if self.uniform else low * (high / low) ** share
        # The last bits of a power are the machine's own, and a value is part of an id.
        return float(f"{value:.3e}")


class Multiple(Frozen):
    """A number that follows from another axis: so many times its value."""

    of: str
    times: FiniteFloat


Dimension = tuple[Scalar, ...] | Range | Multiple


class SearchSpec(Frozen):
    """How a suite's settings are chosen, as written.

    Attributes
    ----------
    draw
        Every combination of ``space``, or some at random.
    space
        Axis to its values, to a range, or to a multiple of another; in the order in which ties
        are broken.
    methods
        What is laid over ``space`` for a method; of one that follows another, over what is chosen
        for that: multiples of it.
    follows
        Method to the one by whose choice it trains: it has no trials of its own.
    seeds
        Of the trials: these, or so many.
    per
        The axes that have a choice each; all but the seed where not given.
    at
        Axis to the values at which trials are; everywhere else at all.
    metric
        Of held-out rows, that trials are scored by; the objective's score where not given.
    within
        How far below the best mean, in the metric's unit as shown, a candidate is as good.
    recipe
        Laid over the trials' recipe.
    """

    draw: Literal["grid"] | Draw = "grid"
    space: Raw = {}
    methods: dict[str, Raw | None] = {}
    follows: dict[str, str] = {}
    seeds: PositiveInt | Items[NonNegativeInt] = 3
    per: Items[str] | None = None
    at: dict[str, Scalar | Items[Scalar]] = {}
    metric: str | None = None
    within: NonNegativeFloat = 0.0
    recipe: Raw = {}

    @field_validator("draw", mode="before")
    @classmethod
    def _random_says_how_many(cls, draw: Any) -> Any:
        if draw == "random":
            raise ValueError("is by so many trials: write {random: {trials: 12}}")
        return draw

    @field_validator("seeds")
    @classmethod
    def _seeds_are_the_searchs_own(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        listed = (FIRST_SEED,) if isinstance(seeds, int) else seeds
        if not listed or len(set(listed)) < len(listed):
            raise ValueError("seeds are a number of them, or a list of different ones")
        if min(listed) < FIRST_SEED:
            raise ValueError(
                f"listed seeds are {FIRST_SEED:,} or above: {min(listed)} is one that a table may "
                "have, or be given as a further one"
            )
        return seeds

    @property
    def trial_seeds(self) -> tuple[int, ...]:
        """Seeds of the trials at each place."""
        if isinstance(self.seeds, int):
            return tuple(range(FIRST_SEED, FIRST_SEED + self.seeds))
        return tuple(self.seeds)

    @property
    def places(self) -> dict[str, tuple[Scalar, ...]]:
        """Axis to the values at which trials are, of the axes at which they are not everywhere."""
        return {a: v if isinstance(v, tuple) else (v,) for a, v in self.at.items()}

    @property
    def axes(self) -> frozenset[str]:
        """Every axis that is searched for some method."""
        own = (axis for each in self.methods.values() if each for axis in each)
        return frozenset((*self.space, *own))

    def leader_of(self, method: str) -> str:
        """Return the method whose trials a method has: itself, or the one that it follows."""
        return self.follows.get(method, method)

    def space_for(self, method: str) -> Raw:
        """Return what is tried for a method, axis by axis: its own in the place of the shared.

        For a method that follows another it is what is tried for that.
        """
        space = {**self.space, **(self.methods.get(self.leader_of(method)) or {})}
        return {axis: raw for axis, raw in space.items() if raw is not None}

    def values_for(self, method: str, values: Mapping[str, Scalar]) -> Values:
        """Return what a method trains by, where ``values`` are a candidate of its choice.

        They are themselves but for a method that follows another, and says multiples of them.

        Raises
        ------
        ValueError
            If it says anything else, or a multiple of what is not searched for the other.
        """
        own = (self.methods.get(method) or {}) if method in self.follows else {}
        found = {axis: value for axis, value in values.items() if axis not in own}
        for axis, raw in own.items():
            known = None if raw is None else dimension(raw)
            if isinstance(known, Multiple):
                found[axis] = _multiple(axis, known, values)
            elif known is not None:
                raise ValueError(
                    f"{axis} is no multiple: {method} follows {self.follows[method]}, and "
                    "has nothing of its own to try"
                )
        return found


def dimension(written: Any) -> Dimension:
    """Return what is written of one axis.

    Raises
    ------
    ValueError
        If it is no list of values, range or multiple, naming what is wrong.
    """
    if isinstance(written, Mapping):
        try:
            if "of" in written:
                return Multiple.model_validate(dict(written))
            return Range.model_validate(dict(written))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            told = str(first["msg"]).removeprefix("Value error, ")
            raise ValueError(f"{where}: {told}" if where else told) from None
    values = tuple(written) if isinstance(written, list | tuple) else (written,)
    if not values or any(isinstance(v, dict | list) or v is None for v in values):
        raise ValueError("is a list of values, a range or a multiple of another axis")
    if len(set(values)) < len(values):
        raise ValueError("has a value twice")
    return values


def drawn(space: Mapping[str, Dimension], draw: Literal["grid"] | Draw) -> tuple[Values, ...]:
    """Return the candidates of a space, each a value for every axis, no two alike.

    Of a grid they come in its order, the axis that is written first changing slowest. At random
    each value follows from the draw's seed, its number and the axis alone: more trials leave the
    first ones as they are, and of a range that two methods share both have the same values. Of a
    list they may not: a draw that gives a candidate again is passed over, and which ones do
    depends on a method's other axes.

    Raises
    ------
    ValueError
        If a grid has a range, a multiple is of no other axis, or a space has too few points.
    """
    free = {axis: known for axis, known in space.items() if not isinstance(known, Multiple)}
    multiples = {axis: known for axis, known in space.items() if isinstance(known, Multiple)}
    if isinstance(draw, Draw):
        points: Sequence[Values] = list(_at_random(free, draw.random))
    else:
        points = [dict(zip(free, values, strict=True)) for values in _grid(free)]
    return tuple({axis: _value(axis, point, multiples) for axis in space} for point in points)


def _grid(free: Mapping[str, Dimension]) -> Iterator[tuple[Scalar, ...]]:
    for axis, known in free.items():
        if not isinstance(known, tuple):
            raise ValueError(f"{axis} is a range, and a grid has values: list them")
    return product(*(known for known in free.values() if isinstance(known, tuple)))


def _at_random(free: Mapping[str, Dimension], draw: RandomDraw) -> Iterator[Values]:
    def points() -> Iterator[Values]:
        seen = set()
        for number in islice(count(), _MOST_DRAWS + draw.trials):
            point = {axis: _drawn(known, _share(draw.seed, number, axis))
                     for axis, known in free.items()}  # fmt: skip
            key = tuple(point.values())
            if key not in seen:
                seen.add(key)
                yield point

    found = list(islice(points(), draw.trials))
    if len(found) < draw.trials:
        raise ValueError(
            f"{draw.trials} different candidates are asked for, and the space has {len(found)}"
        )
    return iter(found)


def _drawn(known: Dimension, share: float) -> Scalar:
    if isinstance(known, Range):
        return known.at(share)
    assert isinstance(known, tuple)
    return known[int(share * len(known))]


def _share(seed: int, number: int, axis: str) -> float:
    """Return a number in [0, 1) that follows from a seed, a draw's number and an axis."""
    text = "\x1f".join(("retable search", str(seed), str(number), axis))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _value(axis: str, point: Values, multiples: Mapping[str, Multiple]) -> Scalar:
    return _multiple(axis, multiples[axis], point) if axis in multiples else point[axis]


def _multiple(axis: str, known: Multiple, point: Mapping[str, Scalar]) -> float:
    if known.of not in point:
        raise ValueError(f"{axis} is a multiple of {known.of}, which is not searched itself")
    base = point[known.of]
    if isinstance(base, str | bool):
        raise ValueError(f"{axis} is a multiple of {known.of}, whose value {base!r} is no number")
    # Without the last bits of a product: 0.1 times 0.3 is 0.03.
    return float(f"{known.times * base:.9e}")
