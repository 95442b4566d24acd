"""How large the singular values of a batch's features are."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from bench.parts import Line, Measured, Measurement, Measuring, measurement
from bench.parts.spectra import halved, places, spectra


@measurement("spectrum")
class Spectrum(Measurement):
    """Singular values σ₁ ≥ σ₂ ≥ … of feature matrices ``(b, d)`` (Chen et al. 2019, section 3.3).

    Of ``batches`` batches of ``batch_size`` rows of a split, without augmentation and in
    evaluation mode; features are not centred. Curves are means over batches of the i-th largest
    value, by i from 1 to min(b, d): of all, and of the smaller half. ``relative`` is σᵢ/σ₁ of each
    batch: where σ₁ falls, small values may get smaller and relatively larger.

    ``values`` names some: 1 is the largest, -1 the smallest. ``spectrum/smaller-half`` is the
    mean of that half. The array has a row a batch.
    """

    roles = ("network",)
    metrics = {
        "spectrum/smaller-half": ("", "lowest"),
        "spectrum/smaller-half/relative": ("", "lowest"),
        "spectrum/{values}": ("", "lowest"),
        "spectrum/{values}/relative": ("", "lowest"),
    }
    curves = {
        "spectrum/all": "index",
        "spectrum/all/relative": "index",
        "spectrum/smaller-half": "index",
        "spectrum/smaller-half/relative": "index",
    }
    values: dict[str, int] = {"largest": 1, "smallest": -1}
    batch_size: PositiveInt = 48
    batches: PositiveInt = 10
    split: Literal["test", "train"] = "test"

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the singular values; UserError if one is named that there is not."""
        (role,) = self.roles
        found = spectra(
            measuring, role, split=self.split, batch_size=self.batch_size, batches=self.batches
        )
        count = found.shape[1]
        half, named = halved(count), places(self.values, count, part="spectrum")
        metrics, curves = {}, {}
        for ending, of in (("", found), ("/relative", found / found[:, :1])):
            mean = of.mean(dim=0).tolist()
            at = range(1, count + 1)
            curves[f"spectrum/all{ending}"] = Line(at, mean)
            curves[f"spectrum/smaller-half{ending}"] = Line(at[half], mean[half])
            metrics[f"spectrum/smaller-half{ending}"] = float(of[:, half].mean())
            for name, place in named.items():
                metrics[f"spectrum/{name}{ending}"] = mean[place]
        return Measured(metrics, curves, {"singular-values": found})
