"""By how much each singular value of a batch's features is suppressed."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench.errors import UserError
from bench.parts import Line, Measured, Measurement, Measuring, measurement
from bench.parts.spectra import halved, places, spectra


@measurement("spectrum-ratio")
class SpectrumRatio(Measurement):
    """Singular values of one network's features over those of another's, index by index.

    Each network's are means over the same batches, as of ``spectrum``; the i-th of ``network`` is
    divided by the i-th of ``reference``. Below 1 it is suppressed. ``relative`` divides values
    that were divided by their σ₁ before: below 1 it is suppressed more than the largest. ``ratio/
    smaller-half`` is that of the halves' means, and ``ratio/suppressed`` the share of the indices
    whose ratio is below 1.
    """

    roles = ("network", "reference")
    metrics = {
        "ratio/smaller-half": ("", "lowest"),
        "ratio/smaller-half/relative": ("", "lowest"),
        "ratio/suppressed": ("%", "highest"),
        "ratio/{values}": ("", "lowest"),
        "ratio/{values}/relative": ("", "lowest"),
    }
    curves = {"ratio/all": "index", "ratio/all/relative": "index"}
    values: dict[str, int] = {"largest": 1, "smallest": -1}
    batch_size: PositiveInt = 48
    batches: PositiveInt = 10
    split: Literal["test", "train"] = "test"

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the ratios; UserError if the networks have other widths, or one would be x/0."""
        network, reference = (self._spectra(measuring, role) for role in self.roles)
        if network.shape != reference.shape:
            raise UserError(
                f"batches have {network.shape[1]} singular values of one network's features, and "
                f"{reference.shape[1]} of the other's",
                field="measure.roles",
                remedy="give both roles one backbone",
            )
        count = network.shape[1]
        half, named = halved(count), places(self.values, count, part="spectrum-ratio")
        metrics, curves = {}, {}
        for ending, scaled in (("", _whole), ("/relative", _relative)):
            ours, theirs = scaled(network).mean(dim=0), scaled(reference).mean(dim=0)
            ratio = (ours / theirs).tolist()
            curves[f"ratio/all{ending}"] = Line(range(1, count + 1), ratio)
            metrics[f"ratio/smaller-half{ending}"] = float(ours[half].mean() / theirs[half].mean())
            for name, place in named.items():
                metrics[f"ratio/{name}{ending}"] = ratio[place]
        below = [value < 1 for value in curves["ratio/all"].value]
        return Measured(metrics | {"ratio/suppressed": sum(below) / count}, curves)

    def _spectra(self, measuring: Measuring, role: str) -> Tensor:
        found = spectra(
            measuring, role, split=self.split, batch_size=self.batch_size, batches=self.batches
        )
        # Features are float32: what is below their rounding is noise, and its ratio too.
        rounding = torch.finfo(torch.float32).eps * self.batch_size
        if (found[:, -1] < rounding * found[:, 0]).any():
            raise UserError(
                f"the smallest singular value of {role} is zero, within rounding, on some batch",
                field=f"measure.roles.{role}",
                remedy="choose a smaller batch_size: features then have more directions than rows",
            )
        return found


def _whole(values: Tensor) -> Tensor:
    return values


def _relative(values: Tensor) -> Tensor:
    return values / values[:, :1]
