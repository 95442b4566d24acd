"""Singular values of the feature matrices of batches."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.errors import UserError
from bench.parts.kinds import Measuring


def spectra(
    measuring: Measuring, role: str, *, split: str, batch_size: int, batches: int
) -> Tensor:
    """Return the singular values of a network's features, ``(batches, n)``, descending, float64.

    n is min(batch_size, d). Rows are drawn without replacement, the same for all networks that
    one cell looks at, and for cells of one seed on the same data; images are not augmented, and
    features not centred. Fewer batches where the split has not so many rows, and one of all its
    rows where it has fewer than a batch.

    Raises
    ------
    UserError
        If features are not finite, or all zero.
    """
    network = measuring.network(role)
    found: list[Tensor] = []
    drawn = measuring.batches(
        split, batch_size, shuffle=measuring.stream("batches"), limit=batches * batch_size
    )
    with torch.no_grad():
        for inputs, _ in drawn:
            if found and len(inputs) < batch_size:
                break
            features = _finite(network(inputs).features, role)
            found.append(torch.linalg.svdvals(features.double()).cpu())
    values = torch.stack(found)
    if not values[:, 0].all():
        raise UserError(
            f"all features of {role} are zero on some batch, and have no relative singular values",
            field=f"measure.roles.{role}",
        )
    return values


def halved(count: int) -> slice:
    """Return where the smaller half of so many values is; of an odd number the middle is in it."""
    return slice(count // 2, count)


def places(values: Mapping[str, int], count: int, *, part: str) -> dict[str, int]:
    """Return names to places from 0 on, of singular values counted from 1 or, from the end, -1.

    Raises
    ------
    UserError
        If there is none so far out.
    """
    for name, number in values.items():
        if not 1 <= abs(number) <= count:
            raise UserError(
                f"there is no singular value {number}: batches have {count}",
                field=f"measure.part.{part}.values.{name}",
                remedy=f"number them from 1, the largest, or from -1, the smallest, to {count}",
            )
    return {name: n - 1 if n > 0 else count + n for name, n in values.items()}


def _finite(features: Tensor, role: str) -> Tensor:
    if not features.isfinite().all():
        raise UserError(f"features of {role} are not finite", field=f"measure.roles.{role}")
    return features
