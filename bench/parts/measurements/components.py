"""How many pieces a bias leaves of a set that a network pulls back: no data, no training."""

from __future__ import annotations

from fractions import Fraction

from pydantic import PositiveInt

from bench.errors import UserError
from bench.parts import Line, Measured, Measurement, Measuring, measurement
from bench.parts.pullback import network, preimage

# F is drawn on [-1/5, 6/5], in steps of 1/200.
_POINTS = [Fraction(i, 200) for i in range(-40, 241)]


@measurement("components")
class Components(Measurement):
    """Connected components of F⁻¹(segment) by one bias (Mudrakarta et al. 2019, appendix A.1).

    F is ``k`` times q with ``p`` hidden units (`bench.parts.pullback`); all biases are 0 but b₀ of
    the first q. ``components`` is the number at ``bias``, and its curve the number at ``points``
    biases from ``lowest`` to ``highest``; the curve ``output`` is F(x) at ``bias``. Numbers are
    taken as the decimals that they are written as, and all is exact: at some biases a component
    is a single point.
    """

    roles = ()
    data = "none"
    metrics = {"components": ("", "highest")}
    curves = {"components": "bias", "output": "x"}
    p: PositiveInt = 2
    k: PositiveInt = 2
    bias: float = 0.0
    segment: tuple[float, ...] = (0.2, 0.4)
    lowest: float = -0.7
    highest: float = 0.2
    points: PositiveInt = 901

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the counts, and the function; UserError if a parameter is out of its range."""
        self._check()
        low, high = _exact(self.lowest), _exact(self.highest)
        biases = [low + (high - low) * i / (self.points - 1) for i in range(self.points)]
        layers = self._layers(_exact(self.bias))
        return Measured(
            {"components": float(self._count(_exact(self.bias)))},
            {
                "components": Line(
                    [float(bias) for bias in biases],
                    [float(self._count(bias)) for bias in biases],
                ),
                "output": Line(
                    [float(x) for x in _POINTS], [float(network(x, layers)) for x in _POINTS]
                ),
            },
        )

    def _count(self, bias: Fraction) -> int:
        first, last = map(_exact, self.segment)
        return len(preimage((first, last), self._layers(bias)))

    def _layers(self, bias: Fraction) -> list[list[Fraction]]:
        zeros = [Fraction(0)] * self.p
        return [[bias, *zeros], *([[Fraction(0), *zeros]] * (self.k - 1))]

    def _check(self) -> None:
        for wrong, field, remedy in (
            (self.p % 2 == 1, "p", "use an even number of hidden units"),
            (len(self.segment) != 2 or self.segment[0] > self.segment[-1], "segment",
             "give its two ends, the lower one first"),
            (self.lowest >= self.highest, "lowest", "use a number below highest"),
            (self.points < 2, "points", "use 2 or more"),
        ):  # fmt: skip
            if wrong:
                raise UserError(
                    f"components cannot be counted with {field}: {getattr(self, field)}",
                    field=f"measure.part.components.{field}",
                    remedy=remedy,
                )


def _exact(value: float) -> Fraction:
    """Return a number as it is written in decimals: -0.1 is a tenth, which no float is."""
    return Fraction(str(value))
