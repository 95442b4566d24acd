"""What a claim compares: its selection of places, as weighted sums of their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod

from bench.spec.claims import Claim, ValuePair
from bench.spec.recipe import Scalar

Place = Mapping[str, Scalar]
Terms = Sequence[tuple[float, int]]


@dataclass(frozen=True)
class Comparison:
    """One number that a claim is about, for each seed: Σ weight · value.

    Attributes
    ----------
    where
        Axis to value, of the axes that are neither compared nor averaged over.
    pairs
        ValuePair axis to its pairs ``(treated, base)``, but for those averaged over: one, or two
        where the second's difference is taken off from the first's.
    terms
        ``(weight, index of the place)``.
    """

    where: Mapping[str, Scalar]
    pairs: Mapping[str, tuple[ValuePair, ...]]
    terms: tuple[tuple[float, int], ...]


@dataclass
class _Group:
    where: Mapping[str, Scalar]
    pairs: Mapping[str, tuple[ValuePair, ...]]
    units: list[list[tuple[float, int]]] = field(default_factory=list)


def comparisons(claim: Claim, places: Sequence[Place]) -> list[Comparison]:
    """Return the comparisons that a claim asks for, as far as all their places are there.

    Parameters
    ----------
    places
        Axis values of everything that has a value, without the seed, each once. A condition on
        an axis that a place does not name is taken as met.
    """
    groups: dict[tuple[object, ...], _Group] = {}
    for where, pairs, terms in _units(claim, places):
        if claim.of == "mean":
            where, pairs = {}, {}
        where = {a: v for a, v in where.items() if a not in claim.mean_over}
        pairs = {a: p for a, p in pairs.items() if a not in claim.mean_over}
        key = (tuple(sorted(where.items())), tuple(pairs.items()))
        groups.setdefault(key, _Group(where, pairs)).units.append(terms)
    return [
        Comparison(
            group.where,
            group.pairs,
            tuple((sign / len(group.units), i) for unit in group.units for sign, i in unit),
        )
        for group in groups.values()
    ]


def differences(claim: Claim, places: Sequence[Place]) -> Iterator[tuple[Place, Terms]]:
    """Yield each difference that comparisons are made of, with its place and its terms.

    Each pair of the first contrast, whatever is taken off from it; and each whole at one place.
    """
    if not claim.compare:
        return
    for where, _, terms in _units(claim, places):
        others = prod(2 * len(contrast.choices[0]) for contrast in claim.compare[1:])
        # The first contrast's values change slowest: treated, base, and those that are taken off.
        for first in range(0, len(terms), 2 * others):
            for at in range(first, first + others):
                yield where, (terms[at], terms[at + others])
        yield where, terms


def _units(
    claim: Claim, places: Sequence[Place]
) -> Iterator[tuple[dict[str, Scalar], dict[str, tuple[ValuePair, ...]], list[tuple[float, int]]]]:
    """Yield each place that is treated in every contrast, with its terms, if all are there."""
    index = {tuple(sorted(place.items())): i for i, place in enumerate(places)}
    axes = [contrast.axis for contrast in claim.compare]
    for place in places:
        if not all(place.get(a) in values for a, values in claim.where.items() if a in place):
            continue
        for chosen in product(*(contrast.choices for contrast in claim.compare)):
            pairs = dict(zip(axes, chosen, strict=True))
            if any(place.get(axis) != own[0][0] for axis, own in pairs.items()):
                continue
            corners = list(product(*(_signed(own) for own in chosen)))
            terms = []
            for corner in corners:
                sides = {axis: value for axis, (_, value) in zip(axes, corner, strict=True)}
                at = index.get(tuple(sorted({**place, **sides}.items())))
                if at is not None:
                    terms.append((prod(sign for sign, _ in corner), at))
            if len(terms) == len(corners):
                yield {a: v for a, v in place.items() if a not in axes}, pairs, terms


def _signed(pairs: Sequence[ValuePair]) -> list[tuple[float, Scalar]]:
    """Return the values of a pair with their signs, and those of one that is taken off."""
    return [
        (sign * side, value)
        for sign, pair in zip((1.0, -1.0), pairs, strict=False)
        for side, value in zip((1.0, -1.0), pair, strict=True)
    ]
