"""Batch Spectral Shrinkage: suppress the smallest singular values of a batch's features."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from bench.errors import UserError
from bench.parts import Penalty, Step, penalty


@penalty("bss")
class BSS(Penalty):
    """η Σ_{i=1..k} σ_{−i}², the k smallest of the min(b, d) singular values of the features.

    Chen et al. 2019, eq. 8; ``eta`` and ``k`` as there. With U_k the eigenvectors of the k
    smallest eigenvalues of the smaller Gram matrix, held constant, η‖U_kᵀF‖² has this value and
    exactly its gradient, 2ησuvᵀ summed over the k. No decomposition is differentiated, so that
    the gradient is finite also where singular values are equal or zero.

    Computed in float64 whatever the features are, also under automatic mixed precision: the Gram
    matrix has the squares of the singular values, and in float32 would lose the direction of
    those below 1e-3 of the largest.
    """

    eta: NonNegativeFloat = 1e-3
    k: PositiveInt = 1

    def __call__(self, step: Step) -> Tensor:
        """Return η Σ σ²; raises UserError if there are fewer than k singular values."""
        images, width = step.features.shape
        if self.k > min(images, width):
            raise UserError(
                f"k is {self.k}, but features of shape ({images}, {width}) have "
                f"{min(images, width)} singular values",
                field="bss",
                remedy="choose a smaller k or a larger batch",
            )
        with torch.autocast(step.features.device.type, enabled=False):
            features = step.features.double()
            rows = features if images <= width else features.T
            shrunk = self.eta * (_smallest(rows.detach(), self.k).T @ rows).square().sum()
            return shrunk.to(torch.promote_types(step.features.dtype, torch.float32))

    @classmethod
    def invariants(cls, step: Step) -> dict[str, bool]:
        """Value and gradient are those of the singular values themselves."""
        values = torch.linalg.svdvals(step.features)
        true = values[-2:].square().sum()
        ours = cls(eta=1.0, k=2)(step)
        slope, true_slope = (torch.autograd.grad(t, step.features)[0] for t in (ours, true))
        every = cls(eta=1.0, k=len(values))(step)
        return {
            "the k smallest singular values, squared": torch.allclose(ours, true),
            "the gradient of those": torch.allclose(slope, true_slope),
            "k = min(b, d) gives ‖F‖²": torch.allclose(every, step.features.square().sum()),
            "zero at eta of zero": bool(cls(eta=0.0)(step) == 0),
        }


def _smallest(rows: Tensor, k: int) -> Tensor:
    """Return the left singular vectors, (r, k), of the k smallest singular values."""
    gram = rows @ rows.T
    # The decomposition fails on NaN with an error; with the identity in its place, the penalty is
    # NaN as the features are, and the training loop says where that began.
    finite = torch.isfinite(gram).all()
    gram = torch.where(finite, gram, torch.eye(len(gram), dtype=gram.dtype, device=gram.device))
    vectors: Tensor = torch.linalg.eigh(gram).eigenvectors
    return vectors[:, :k]
