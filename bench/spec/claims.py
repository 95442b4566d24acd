"""Claims: what a paper asserts, as comparisons over the cells of a suite."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from bench.spec.metrics import difference_of
from bench.spec.recipe import Frozen, Items, Pair, Scalar

Expect = Literal["greater", "less", "equal"]
Budget = Literal["steps", "gradients", "search"]
Kind = Literal["tested", "proved", "not rebuilt"]
ValuePair = tuple[Scalar, Scalar]
_OF_CELLS = ("suite", "expect", "refuted_by")
_NEVER_PROVED = (
    "suite", "metric", "compare", "where", "mean_over", "expect", "at", "readings", "budget",
    "profiles",
)  # fmt: skip


class Pairs(Frozen):
    """Values of one axis that are compared: ``[treated, base]``, the first less the second.

    ``less``: for each of the pairs another one, whose difference is taken off from its own.
    """

    axis: str
    pairs: Items[Pair[Scalar]] = Field(min_length=1)
    less: Items[Pair[Scalar]] = ()

    @model_validator(mode="after")
    def _one_for_each(self) -> Pairs:
        if self.less and len(self.less) != len(self.pairs):
            raise ValueError(f"less has {len(self.less)} pairs, and pairs {len(self.pairs)}")
        choices = self.choices
        for place, choice in enumerate(choices):
            if len(set(choice)) < len(choice):
                raise ValueError(
                    f"the pair {list(choice[0])} is taken off from itself: name another in less"
                )
            if choice in choices[:place]:
                raise ValueError(
                    f"the pair {list(choice[0])} stands there twice, and a mean would count it "
                    "twice: leave one out"
                )
        return self

    @property
    def choices(self) -> tuple[tuple[ValuePair, ...], ...]:
        """Each pair, with the one that is taken off from it where there is one."""
        columns = (self.pairs, self.less) if self.less else (self.pairs,)
        return tuple(zip(*columns, strict=True))

    @property
    def values(self) -> tuple[Scalar, ...]:
        """Every value that is compared."""
        return tuple(value for pair in (*self.pairs, *self.less) for value in pair)


class AtLeast(Frozen):
    """How many of the comparisons have to hold."""

    model_config = ConfigDict(populate_by_name=True)

    at_least: PositiveInt = Field(alias="at-least")


class At(Frozen):
    """What is taken of a curve.

    ``step``: its value there (that of the last point at or before it), or at its ``end``.
    ``area``: the mean of that value over the steps from the first to the last given; with
    ``scale: log`` a step s weighs 1 / (s + 1), so that each factor of time counts alike.
    ``curve``, ``reaches``: its value where another curve first reaches a value, in that one's
    unit; both are linear between two points.
    ``curve``, ``fitted``: its value where another curve has a value, by a monotone fit through all
    points of both: the further the one, the less is left of the other.
    """

    step: NonNegativeInt | Literal["end"] | None = None
    area: Pair[NonNegativeInt] | None = None
    scale: Literal["linear", "log"] = "linear"
    curve: str | None = None
    reaches: FiniteFloat | None = None
    fitted: FiniteFloat | None = None

    @field_validator("step", mode="before")
    @classmethod
    def _number_or_end(cls, step: Any) -> Any:
        if isinstance(step, str) and step != "end":
            raise ValueError(f"is a number of steps, or end (given: {step!r})")
        return step

    @model_validator(mode="after")
    def _one_of_them(self) -> At:
        if [self.reaches, self.fitted].count(None) != (2 if self.curve is None else 1):
            raise ValueError(
                "another curve and one value of it (reaches, or fitted) need each other"
            )
        if [self.step, self.area, self.curve].count(None) != 2:
            raise ValueError("is either a step, an area, or where another curve reaches a value")
        if self.area is not None and self.area[0] > self.area[1]:
            raise ValueError(f"an area begins before it ends (given: {list(self.area)})")
        if self.area is None and self.scale != "linear":
            raise ValueError("only an area has a scale")
        return self

    @property
    def is_choice(self) -> bool:
        """Whether its range or value is our choice, so that other readings must stand beside."""
        return self.step is None

    @property
    def name(self) -> str:
        """What is taken, in short.

        >>> At(area=(0, 100), scale="log").name, At(curve="validation/top1", reaches=60).name
        ('log area 0–100', 'validation/top1 60')
        """
        if self.area is not None:
            scale = "log " if self.scale == "log" else ""
            return f"{scale}area {self.area[0]}–{self.area[1]}"
        if self.reaches is not None:
            return f"{self.curve} {self.reaches:g}"
        if self.fitted is not None:
            return f"fitted at {self.curve} {self.fitted:g}"
        return "end" if self.step == "end" else f"step {self.step}"

    @property
    def written(self) -> str:
        """What is taken as YAML has it, but for an area's scale."""
        if self.area is not None:
            return f"{{area: {list(self.area)}}}"
        if self.reaches is not None:
            return f"{{curve: {self.curve}, reaches: {self.reaches:g}}}"
        if self.fitted is not None:
            return f"{{curve: {self.curve}, fitted: {self.fitted:g}}}"
        return f"{{step: {self.step}}}"

    @property
    def last_step(self) -> int:
        """The step up to which a cell must train."""
        if self.area is not None:
            return self.area[1]
        return self.step if isinstance(self.step, int) else 0


class Claim(Frozen):
    """One assertion of a paper, in our words, and what would refute it.

    Attributes
    ----------
    suite
        The suite file of the same folder whose cells it is about.
    metric
        What is compared, in its own unit; the suite's table's where not given. ``A - B`` is the
        first of two less the second, seed by seed. With ``at`` the metric is a curve.
    at, readings
        What is taken of the curve; and what else might have been, each of which gets a verdict of
        its own beside the claim's. An area needs some: its range and scale are our choice; and so
        does a value that another curve reaches.
    budget
        What both sides of each comparison are planned with equally many of: ``steps``, or
        ``gradients``, of which a step may take several. By ``search`` the sides also have settings
        that were chosen for each by as many trials, which took as many gradients. Nothing is said
        of it where not given.
    compare
        No contrast: the value itself, which needs a ``number``. One: treated less base. Two: the
        difference of the first contrast's differences, by the second.
    where
        Axis to the values selected; all values of an axis that is not named.
    mean_over
        Axes averaged over, seed by seed, before anything is tested.
    expect, number, by
        The value or difference less ``number`` (0 where not given) is ``greater`` than ``by``,
        ``less`` than minus ``by``, or ``equal`` to zero within ``by``; in the unit.
    matters
        The smallest difference worth the name, our choice: an interval wholly below it refutes.
    of
        ``each`` comparison, their ``mean``, ``most`` (more than half) or at least so many of them.
    profiles
        Where it can be asked; in every profile where not given.
    derived_from
        What the paper itself says, where the claim says more, less or something else.
    proved_by
        The test that checks an analytic statement; it needs no cells.
    not_rebuilt
        Why no suite rebuilds it yet. It may be told from reported numbers all the same.
    """

    id: str
    text: str
    source: str
    suite: str | None = None
    metric: str | None = None
    compare: Items[Pairs] = Field(default=(), max_length=2)
    where: dict[str, Items[Scalar]] = {}
    mean_over: Items[str] = ()
    expect: Expect | None = None
    number: float | None = None
    by: float = 0.0
    matters: PositiveFloat | None = None
    of: Literal["each", "mean", "most"] | AtLeast = "each"
    at: At | None = None
    readings: Items[At] = ()
    budget: Budget | None = None
    profiles: Items[str] = ()
    refuted_by: str | None = None
    derived_from: str | None = None
    proved_by: str | None = None
    not_rebuilt: str | None = None

    @field_validator("where", mode="before")
    @classmethod
    def _one_value_alone(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {k: v if isinstance(v, list | tuple) else (v,) for k, v in data.items()}

    @model_validator(mode="after")
    def _is_whole(self) -> Claim:
        if self.proved_by is not None and self.not_rebuilt is not None:
            raise ValueError("proved_by and not_rebuilt exclude each other")
        if self.kind == "proved":
            given = [name for name in _NEVER_PROVED if getattr(self, name)]
            if given:
                raise ValueError(f"a claim with proved_by is not about cells: remove {given[0]}")
        if self.kind == "tested":
            for name in _OF_CELLS:
                if getattr(self, name) is None:
                    raise ValueError(f"needs {name}, or proved_by or not_rebuilt instead")
        if self.expect is not None:
            self._check_expectation()
        self._check_axes()
        return self

    def _check_expectation(self) -> None:
        if self.suite is None:
            raise ValueError("what is expected needs a suite")
        if not self.compare and self.number is None:
            raise ValueError("compares values (compare), or a value with a number (number)")
        if self.expect == "equal" and self.by <= 0:
            raise ValueError("expect: equal needs a tolerance, by > 0")
        if self.matters is not None and (self.expect == "equal" or self.matters <= self.by):
            raise ValueError("matters is above by, and not for expect: equal")
        if self.at is not None and (self.metric is None or difference_of(self.metric)):
            raise ValueError("at needs a metric: the name of one curve")
        if self.budget is not None and not self.compare:
            raise ValueError("a budget is one of two sides: it needs compare")
        self._check_readings()

    def _check_readings(self) -> None:
        if self.at is not None and self.at.is_choice and not self.readings:
            what = "an area" if self.at.area else "where another curve has a value"
            raise ValueError(
                f"{what} is one reading of several: name others, "
                f"such as readings: [{self.at.written}, {{step: end}}]"
            )
        if self.readings and self.at is None:
            raise ValueError("readings are of a curve: they need at")
        if len({self.at, *self.readings}) <= len(self.readings):
            raise ValueError("readings differ from at, and from each other")

    def _check_axes(self) -> None:
        compared = [contrast.axis for contrast in self.compare]
        if len(set(compared)) != len(compared):
            raise ValueError("two contrasts need two axes")
        for axis in compared:
            if axis in self.where:
                raise ValueError(f"{axis} is compared: its pairs select its values, not where")
        if "seed" in (*compared, *self.where, *self.mean_over):
            raise ValueError("the seed is what repeats: it is neither selected nor compared")
        repeated = [p for c in self.compare for p in (*c.pairs, *c.less) if p[0] == p[1]]
        if repeated:
            raise ValueError(f"{repeated[0][0]!r} is compared with itself")

    @property
    def kind(self) -> Kind:
        """Whether cells test it, a test of the code proves it, or no suite rebuilds it yet."""
        if self.proved_by is not None:
            return "proved"
        return "tested" if self.not_rebuilt is None else "not rebuilt"

    def quorum(self, total: int) -> int | None:
        """How many of ``total`` comparisons have to hold; None where all have to, or their mean."""
        if self.of == "most":
            return total // 2 + 1
        return self.of.at_least if isinstance(self.of, AtLeast) else None
