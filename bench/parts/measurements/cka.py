"""How similar the features of two networks are, over all examples."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from bench.parts import Measured, Measurement, Measuring, measurement
from bench.parts.cka import linear_cka
from bench.parts.feature_pairs import FeaturePairs

# Bytes that features and covariances take at most.
_MEMORY = 2**30


@measurement("cka")
class CKA(Measurement):
    """Linear CKA of the modules of two networks (Kornblith et al. 2019, section 3).

    Of features X ``(n, p)`` and Y ``(n, q)`` of the same n examples, less their means over the
    examples: ‖Yᵀ X‖²_F / (‖Xᵀ X‖_F ‖Yᵀ Y‖_F). It is 1 of features that are the same up to an
    orthogonal map and a scale. n is ``examples``, drawn from the test split, or all of it where
    that has fewer. Features that have nothing in common come to 0 only where n is far above p:
    `minibatch-cka` is without this bias.

    A module's features are all that it returns for an example, or with ``pooling: average`` the
    mean of each channel of a map ``(c, h, w)``. ``modules`` names modules of the backbone, and
    ``head`` is the head. The curve is over the units, numbered in their order in the network,
    each with the same unit of the other network; the array has a row for each unit of the first
    network, and a column for each of the second. A unit that never runs, or does not return a row
    an example, is left out. The targets are not looked at.

    All is computed in float64, in memory that does not grow with n: from the features'
    covariances ``(p, q)``, where that is less work, or else from the inner products of examples, a
    pair of batches at a time, for which the networks run anew on what memory does not hold.
    """

    roles = ("first", "second")
    metrics = {"cka/{modules}": ("", "highest")}
    curves = {"cka/module": "module"}
    modules: dict[str, str] = {}
    examples: PositiveInt = 2000
    pooling: Literal["flatten", "average"] = "flatten"

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the similarity of the named modules, and of all units."""
        pairs = FeaturePairs(
            measuring,
            self.modules,
            examples=self.examples,
            pooling=self.pooling,
            part="cka",
        )
        return pairs.measured("cka", linear_cka(pairs, _MEMORY))
