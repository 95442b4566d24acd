"""How far the singular vectors of a layer's weights turn while it is trained."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench.errors import UserError
from bench.models.network import Network
from bench.models.sections import submodule
from bench.parts import Line, Measured, Measurement, Measuring, measurement


@measurement("angles")
class Angles(Measurement):
    """Cosines between the left singular vectors of a layer's weights in two networks.

    Corresponding angles (Chen et al. 2019, eq. 5) are those between the vectors of the i-th
    largest singular values, by i; of each the absolute value, since a singular vector's sign is
    arbitrary. A convolution's weights ``(c_out, c_in, h, w)`` are unfolded to
    ``(c_out, c_in h w)``.

    Two vectors whose singular values are nearly equal turn freely within their plane, or change
    places, although the weights hardly move. So ``subspace`` compares what several neighbours
    span: indices are cut into ``bands`` of nearly one size, and of each band it is the mean cosine
    of the principal angles between both networks' spans, at the mean index of the band.

    Metrics are means over the indices, or over the bands: of all, of the larger and of the smaller
    half, which share the middle one of an odd number. ``angle/chance`` is the mean |cosine| of two
    random directions. Left out are indices beyond the rank of either matrix, whose vectors are
    arbitrary.

    ``layer`` is the path of a module of the backbone that has a weight; without it, the last one.
    """

    roles = ("first", "second")
    data = "none"
    metrics = {
        "angle": ("", "highest"),
        "angle/larger-half": ("", "highest"),
        "angle/smaller-half": ("", "highest"),
        "angle/chance": ("", "highest"),
        "subspace": ("", "highest"),
        "subspace/larger-half": ("", "highest"),
        "subspace/smaller-half": ("", "highest"),
    }
    curves = {"angle": "index", "subspace": "index"}
    layer: str = ""
    bands: PositiveInt = 8

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the cosines; UserError if the layer has no matrix, or one of another shape."""
        first, second = (self._matrix(measuring.network(role), role) for role in self.roles)
        if first.shape != second.shape:
            shapes = f"{tuple(first.shape)} in one network and {tuple(second.shape)} in the other"
            raise UserError(
                f"the weights of the layer are {shapes}",
                field="measure.roles",
                remedy="give both roles one backbone",
            )
        vectors = [_left(matrix) for matrix in (first, second)]
        rank = min(each.shape[1] for each in vectors)
        if not rank:
            raise UserError("the weights of the layer are zero", field="measure.part.angles.layer")
        one, other = (each[:, :rank] for each in vectors)
        angles = corresponding(one, other)
        parts = torch.arange(rank).tensor_split(min(self.bands, rank))
        bands = torch.stack([principal(one[:, part], other[:, part]).mean() for part in parts])
        middles = [float(part.double().mean()) + 1 for part in parts]
        return Measured(
            {
                **_means("angle", angles),
                **_means("subspace", bands),
                "angle/chance": _chance(len(first)),
            },
            {
                "angle": Line(range(1, rank + 1), angles.tolist()),
                "subspace": Line(middles, bands.tolist()),
            },
        )

    def _matrix(self, network: Network, role: str) -> Tensor:
        layers = [p for p, m in network.backbone.named_modules() if _weight(m) is not None]
        path = self.layer or (layers[-1] if layers else "")
        weight = _weight(submodule(network, path)) if path else None
        if weight is None:
            raise UserError(
                f"{path or network.name} has no weights that are a matrix",
                field="measure.part.angles.layer",
                remedy=f"name one of {', '.join(layers[:8])}…" if layers else "",
            )
        if not weight.isfinite().all():
            raise UserError(f"weights of {role} are not finite", field=f"measure.roles.{role}")
        return weight.detach().double().flatten(1).cpu()


def corresponding(first: Tensor, second: Tensor) -> Tensor:
    """Return |cosines| between the columns of two matrices of unit vectors, ``(k,)``."""
    return (first * second).sum(dim=0).abs().clamp(max=1)


def principal(first: Tensor, second: Tensor) -> Tensor:
    """Return the cosines of the principal angles between the spans of orthonormal columns."""
    cosines: Tensor = torch.linalg.svdvals(first.T @ second)
    return cosines.clamp(max=1)


def _weight(module: torch.nn.Module) -> Tensor | None:
    weight = getattr(module, "weight", None)
    return weight if isinstance(weight, Tensor) and weight.ndim > 1 else None


def _left(matrix: Tensor) -> Tensor:
    """Return the left singular vectors of the singular values that are not zero, descending."""
    vectors: Tensor
    values: Tensor
    vectors, values, _ = torch.linalg.svd(matrix, full_matrices=False)
    # Weights are float32: what is below their rounding is zero.
    rounding = torch.finfo(torch.float32).eps * max(matrix.shape)
    return vectors[:, values > rounding * values[0]]


def _means(name: str, values: Tensor) -> dict[str, float]:
    half = math.ceil(len(values) / 2)
    return {
        name: float(values.mean()),
        f"{name}/larger-half": float(values[:half].mean()),
        f"{name}/smaller-half": float(values[-half:].mean()),
    }


def _chance(width: int) -> float:
    """Return E|cos| of two independent directions in so many dimensions."""
    return math.exp(math.lgamma(width / 2) - math.lgamma((width + 1) / 2)) / math.sqrt(math.pi)
