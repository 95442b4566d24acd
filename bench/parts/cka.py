"""Centred kernel alignment with linear kernels, of layers of two networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.parts.feature_pairs import FeaturePairs, Features, Spread

_BATCH = 200
_FLOAT64 = 8


@dataclass
class InnerProducts:
    """Inner products of centred Gram matrices: of two networks' layers, and of each with itself.

    Attributes
    ----------
    cross
        ``(u, v)``: of each layer of the first network with each of the second.
    first, second
        ``(u,)`` and ``(v,)``: of each layer with itself.
    """

    cross: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def none(cls, layers: int, device: torch.device) -> InnerProducts:
        """Return those of no examples."""
        one = torch.zeros(layers, dtype=torch.float64, device=device)
        return cls(one[:, None] * one, one.clone(), one.clone())

    def add(self, first: Tensor, second: Tensor, weight: float = 1.0) -> None:
        """Add those of some elements of Gram matrices, ``(u, m)`` and ``(v, m)``, weighted."""
        self.cross += weight * (first @ second.T)
        self.first += weight * first.square().sum(dim=1)
        self.second += weight * second.square().sum(dim=1)

    def alignment(self) -> Tensor:
        """Return ``cross`` over the geometric mean of the layers' own, ``(u, v)``."""
        return self.cross / (self.first.sqrt()[:, None] * self.second.sqrt())


def linear_cka(pairs: FeaturePairs, memory: int) -> Tensor:
    """Return the CKA of each of the first network's layers with each of the second's.

    Parameters
    ----------
    memory
        About how many bytes features and covariances may take; one batch of one example does
        whatever it takes.

    Raises
    ------
    UserError
        If a layer's features are the same for all examples.
    """
    first, second = (sum(widths) for widths in pairs.widths)
    example = _FLOAT64 * (first + second)
    # A batch stands beside another one, and each twice while its mean is taken off.
    centred = Centred(pairs, max(1, min(_BATCH, memory // (4 * example))))
    products = first * second + sum(width**2 for widths in pairs.widths for width in widths)
    less_work = products <= centred.examples * (first + second) / 2
    if less_work and _FLOAT64 * products <= memory:
        return by_features(centred).alignment()
    held = max(1, memory // (2 * example * centred.batch_size))
    return by_examples(centred, held).alignment()


class Centred:
    """Features of batches less their means over all examples, which a first pass finds.

    Attributes
    ----------
    examples
        How many there are.
    """

    def __init__(self, pairs: FeaturePairs, batch_size: int) -> None:
        self.pairs = pairs
        self.batch_size = batch_size
        self.examples = 0
        spreads = Spread(), Spread()
        for batch in pairs.features(batch_size):
            self.examples += len(batch[0][0])
            for spread, features in zip(spreads, batch, strict=True):
                spread.add(features)
        pairs.check_vary(spreads)
        self._means = [spread.means() for spread in spreads]

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[list[Features]]:
        """Yield both networks' features of each batch, from one number on up to another."""
        for batch in self.pairs.features(self.batch_size, start, stop):
            yield [
                [x - mean for x, mean in zip(features, means, strict=True)]
                for features, means in zip(batch, self._means, strict=True)
            ]


def by_features(centred: Centred) -> InnerProducts:
    """Return the squared norms of the layers' covariances, of ``(p, q)`` elements each."""
    widths, device = centred.pairs.widths, centred.pairs.device
    cross = torch.zeros(*map(sum, widths), dtype=torch.float64, device=device)
    own = [[cross.new_zeros(width, width) for width in each] for each in widths]
    for batch in centred.batches():
        first, second = (torch.cat(features, dim=1) for features in batch)
        cross.addmm_(first.T, second)
        for sums, features in zip(own, batch, strict=True):
            for total, x in zip(sums, features, strict=True):
                total.addmm_(x.T, x)
    norms = [torch.stack([total.square().sum() for total in sums]) for sums in own]
    return InnerProducts(_block_sums(cross.square_(), *widths), *norms)


def _block_sums(matrix: Tensor, heights: Sequence[int], widths: Sequence[int]) -> Tensor:
    rows = torch.stack([rows.sum(dim=0) for rows in torch.split(matrix, [*heights])])
    return torch.stack([block.sum(dim=1) for block in torch.split(rows, [*widths], dim=1)], dim=1)


def by_examples(centred: Centred, held: int) -> InnerProducts:
    """Return sums over all pairs of examples, of as many batches at once as may be held."""
    found = InnerProducts.none(len(centred.pairs.layers), centred.pairs.device)
    start = 0
    while block := list(centred.batches(start, start + held)):
        start += held
        for number, batch in enumerate(block):
            _add(found, batch, batch, 1.0)
            for other in block[number + 1 :]:
                _add(found, batch, other, 2.0)
        # The networks see again what was not held.
        if start * centred.batch_size < centred.examples:
            for other in centred.batches(start):
                for batch in block:
                    _add(found, batch, other, 2.0)
    return found


def _add(
    found: InnerProducts, batch: Sequence[Features], other: Sequence[Features], weight: float
) -> None:
    first, second = (grams(*each).flatten(1) for each in zip(batch, other, strict=True))
    found.add(first, second, weight)


def grams(features: Features, others: Features) -> Tensor:
    """Return inner products of examples, ``(layers, a, b)``, of ``(a, p)`` and ``(b, p)``."""
    return torch.stack([x @ y.T for x, y in zip(features, others, strict=True)])


def u_centred(gram: Tensor) -> Tensor:
    """Return Gram matrices ``(…, n, n)`` U-centred (Székely and Rizzo 2014, definition 2).

    The diagonal is zero, and so are the sums of rows and columns. The inner product of two, over
    n (n - 3), is the unbiased estimator HSIC₁ (Song et al. 2012, equation 5). n is 4 or more.
    """
    n = gram.shape[-1]
    apart = ~torch.eye(n, dtype=torch.bool, device=gram.device)
    hollow = gram * apart
    rows = hollow.sum(dim=-1) / (n - 2)
    whole = rows.sum(dim=-1) / (n - 1)
    return (hollow - rows[..., :, None] - rows[..., None, :] + whole[..., None, None]) * apart
