"""Features without their smallest singular directions."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Patch, patch


@patch("tsvd")
class TSVD(Patch):
    """The head learns from F without its r smallest singular triples (Chen et al. 2019, eq. 10).

    F, ``(b, d)``, are a training batch's features, and n = min(b, d) the number of its singular
    values. What is evaluated has its features whole: an image's answer depends on no other image.
    Penalties see F as it is.

    With P and Q the projectors onto the n - r left and right singular vectors that stay, held
    constant, F - (1 - P) F (1 - Q) is the truncated matrix. A gradient G of the loss by it goes on
    as G - (1 - P) G (1 - Q). This is the derivative of truncation at the truncated matrix itself,
    where it projects onto the tangent space of the matrices of rank n - r (Vandereycken 2013,
    section 2.1). That at F divides by σᵢ² - σⱼ² of values i that stay and j that go, and has no
    bound where the two meet; from it this one differs by terms in σⱼ/σᵢ. No decomposition is
    differentiated, and G never grows.

    Computed in float64 whatever the features are, also under automatic mixed precision.
    """

    r: PositiveInt = 1

    def __call__(self, network: Network) -> None:
        """Let every head truncate what it is given while it trains."""
        # A hook has no parameters: checkpoints and the names of modules stay as they were.
        for head in set(network.heads.values()):
            head.register_forward_pre_hook(_Truncation(self.r))


class _Truncation:
    """What comes before a head; an object, so that copies of a network have one."""

    def __init__(self, r: int) -> None:
        self.r = r

    def __call__(self, head: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return (truncated(args[0], self.r), *args[1:]) if head.training else None


def truncated(features: Tensor, r: int) -> Tensor:
    """Return features ``(b, d)`` without their ``r`` smallest singular triples; dtype as given.

    Raises
    ------
    UserError
        If they have no more than ``r`` singular values.
    """
    count = min(features.shape)
    if r >= count:
        raise UserError(
            f"r is {r}, and features of shape {tuple(features.shape)} have {count} singular "
            "values, of which one at least has to stay",
            field="patches.tsvd.r",
            remedy="choose a smaller r or a larger batch",
        )
    with torch.autocast(features.device.type, enabled=False):
        whole = features.double()
        left, right = _kept(whole.detach(), count - r)
        rest = whole - left @ (left.T @ whole)
        rest = rest - (rest @ right) @ right.T
        return (whole - rest).to(features.dtype)


def _kept(features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the left and right singular vectors, ``(b, count)`` and ``(d, count)``."""
    # The decomposition fails on NaN with an error; of zeros in its place, the features go on as
    # they are, and the training loop says where NaN began.
    finite = torch.isfinite(features).all()
    features = torch.where(finite, features, torch.zeros_like(features))
    left: Tensor
    right: Tensor
    left, _, right = torch.linalg.svd(features, full_matrices=False)
    return left[:, :count], right[:count].T
