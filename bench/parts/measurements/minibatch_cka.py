"""How similar the features of two networks are, without the bias of few examples."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt
from torch import Tensor

from bench.errors import UserError
from bench.parts import Measured, Measurement, Measuring, measurement
from bench.parts.cka import InnerProducts, grams, u_centred
from bench.parts.feature_pairs import FeaturePairs, Spread

# HSIC₁ divides by n - 3.
_LEAST = 4


@measurement("minibatch-cka")
class MinibatchCKA(Measurement):
    """Linear CKA by the unbiased estimator of HSIC (Nguyen et al. 2021, equations 2 to 4).

    HSIC₁(K, L), of Gram matrices of a batch (Song et al. 2012, equation 5), is unbiased whatever
    the size of the batch. With its means over batches, all of one size, the similarity is
    HSIC₁(K, L) / √(HSIC₁(K, K) HSIC₁(L, L)). It may be below 0 where features have nothing in
    common. A last batch with fewer examples is left out, unless it is the only one.

    Examples, features, curve and array are those of `cka`. With a ``batch_size`` that is not below
    ``examples`` there is one batch, and no pair of examples is left out.
    """

    roles = ("first", "second")
    metrics = {"minibatch-cka/{modules}": ("", "highest")}
    curves = {"minibatch-cka/module": "module"}
    modules: dict[str, str] = {}
    examples: PositiveInt = 2000
    batch_size: PositiveInt = 200
    pooling: Literal["flatten", "average"] = "flatten"

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the similarity of the named modules, and of all units."""
        pairs = FeaturePairs(
            measuring,
            self.modules,
            examples=self.examples,
            pooling=self.pooling,
            part="minibatch-cka",
        )
        return pairs.measured("minibatch-cka", minibatch_cka(pairs, self.batch_size))


def minibatch_cka(pairs: FeaturePairs, batch_size: int) -> Tensor:
    """Return the similarity of each of the first network's layers with each of the second's.

    Raises
    ------
    UserError
        If a batch has fewer than four examples, or a layer's features are the same for all.
    """
    found = InnerProducts.none(len(pairs.layers), pairs.device)
    spreads = Spread(), Spread()
    for number, batch in enumerate(pairs.features(batch_size)):
        n = len(batch[0][0])
        if n < batch_size and number > 0:
            break
        if n < _LEAST:
            raise UserError(
                f"the unbiased estimator is of batches of {_LEAST} examples or more, and there are "
                f"{n} in one",
                field="measure.part.minibatch-cka",
                remedy="raise batch_size and examples",
            )
        for spread, features in zip(spreads, batch, strict=True):
            spread.add(features)
        # Equal batches have one divisor, n (n - 3), which the quotient does not see.
        centred = ([x - x.mean(dim=0) for x in features] for features in batch)
        first, second = (u_centred(grams(x, x)).flatten(1) for x in centred)
        found.add(first, second)
    pairs.check_vary(spreads)
    return found.alignment()
