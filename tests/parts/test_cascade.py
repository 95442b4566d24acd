"""Cascades over resolutions, by brute force over images and thresholds one at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.errors import UserError
from bench.parts.kinds import Measured
from bench.parts.measurements.cascade import Cascade

COSTS = {24: 100, 32: 180, 48: 400}
CLASSES = 4


class Predictions:
    """What a joint training left: one that is surer, and more often right, of larger images."""

    def __init__(
        self, rows: int = 60, seed: int = 0, sizes: tuple[int, ...] = (48, 24, 32)
    ) -> None:
        draw = np.random.default_rng(seed)
        self.tensors: dict[str, Tensor] = {}
        for split in ("", "validation/"):
            targets = draw.integers(0, CLASSES, rows)
            ease = draw.exponential(1.5, rows)
            for size in sizes:
                logits = draw.normal(size=(rows, CLASSES))
                logits[np.arange(rows), targets] += ease * size / 30
                name = f"r{size}/"
                self.tensors[f"{name}{split}outputs"] = torch.from_numpy(logits).float()
                self.tensors[f"{name}{split}targets"] = torch.from_numpy(targets)
                self.tensors[f"{name}image_size"] = torch.tensor(size)
                self.tensors[f"{name}multiply_adds"] = torch.tensor(COSTS[size])

    def parent(self, role: str) -> dict[str, Tensor]:
        assert role == "joint"
        return self.tensors

    def images(self, split: str) -> list[list[tuple[float, bool]]]:
        """Return for each image what each size says: its confidence, and whether it is right."""
        found = []
        targets = self.tensors[f"r24/{split}targets"].tolist()
        by_size = [self.tensors[f"r{size}/{split}outputs"].tolist() for size in COSTS]
        for image, target in enumerate(targets):
            row = []
            for outputs in by_size:
                logits = outputs[image]
                total = sum(math.exp(v - max(logits)) for v in logits)
                row.append((1 / total, logits.index(max(logits)) == target))
            found.append(row)
        return found


def run(images: list[list[tuple[float, bool]]], thresholds: list[float]) -> tuple[int, int]:
    """Return how many images a cascade gets right, and all that it costs; image by image."""
    right = cost = 0
    for image in images:
        for (confidence, hit), threshold, price in zip(
            image, thresholds, COSTS.values(), strict=True
        ):
            if threshold > 1:
                continue
            cost += price
            # NumPy and the standard library may differ in the last bit.
            if confidence >= threshold - 1e-12:
                right += hit
                break
    return right, cost


def measured(predictions: Predictions, thresholds: int = 4) -> Measured:
    return Cascade(thresholds=thresholds)(predictions)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("rows", "parts"), [(60, 4), (31, 6), (5, 7)])
def test_thresholds_are_the_cheapest_that_lose_nothing_on_validation(
    seed: int, rows: int, parts: int
) -> None:
    predictions = Predictions(rows, seed)
    images = predictions.images("validation/")
    grids = []
    for k in range(2):
        ordered = sorted((image[k][0] for image in images), reverse=True)
        grids.append(
            [2.0] + [ordered[math.ceil(i * rows / parts) - 1] for i in range(1, parts + 1)]
        )
    tried = [run(images, [a, b, 0.0]) for a, b in itertools.product(*grids)]
    least, _ = run(images, [2.0, 2.0, 0.0])
    best = min((cost, -right) for right, cost in tried if right >= least)
    found = measured(predictions, parts)
    chosen = list(found.curves["cascade/threshold"].value)
    right, cost = run(images, chosen)
    assert (cost, -right) == best

    tested = predictions.images("")
    right, cost = run(tested, chosen)
    assert found.metrics["cascade/top1"] == pytest.approx(right / rows, abs=1e-12)
    assert found.metrics["cascade/cost"] == pytest.approx(cost / rows / 400, abs=1e-12)
    assert found.metrics["cascade/saving"] == pytest.approx(1 - cost / rows / 400, abs=1e-12)
    alone = [sum(image[k][1] for image in tested) / rows for k in range(3)]
    assert found.curves["cascade/alone"].value == pytest.approx(alone)
    assert found.metrics["cascade/largest/top1"] == pytest.approx(alone[-1])
    assert sum(found.curves["cascade/answered"].value) == pytest.approx(1)


def test_curves_run_over_the_sizes_from_the_smallest_to_the_largest() -> None:
    found = measured(Predictions())
    for line in found.curves.values():
        assert list(line.at) == [24, 32, 48]
    assert list(found.curves["cascade/multiply_adds"].value) == [100, 180, 400]
    assert found.curves["cascade/threshold"].value[-1] == 0


def test_some_cascade_saves_and_keeps_the_accuracy() -> None:
    found = [measured(Predictions(400, seed), 20).metrics for seed in range(6)]
    assert np.mean([m["cascade/saving"] for m in found]) > 0.05
    lost = [m["cascade/largest/top1"] - m["cascade/top1"] for m in found]
    assert abs(np.mean(lost)) < 0.03


def test_the_test_split_has_no_say_in_the_thresholds() -> None:
    one, other = Predictions(), Predictions()
    for name, value in other.tensors.items():
        if name.endswith("outputs") and "validation" not in name:
            other.tensors[name] = value.flip(0)
    thresholds = [measured(p).curves["cascade/threshold"].value for p in (one, other)]
    assert thresholds[0] == thresholds[1]
    assert measured(one).metrics != measured(other).metrics


def test_smaller_sizes_that_know_nothing_are_left_out_and_not_paid_for() -> None:
    predictions = Predictions(seed=3)
    for size in (24, 32):
        outputs = predictions.tensors[f"r{size}/validation/outputs"]
        wrong = torch.full_like(outputs, 0.0)
        targets = predictions.tensors["r24/validation/targets"]
        wrong[torch.arange(len(targets)), (targets + 1) % CLASSES] = 5.0
        predictions.tensors[f"r{size}/validation/outputs"] = wrong
    right = predictions.tensors["r48/validation/targets"]
    predictions.tensors["r48/validation/outputs"] = torch.eye(CLASSES)[right]
    found = measured(predictions)
    assert list(found.curves["cascade/threshold"].value) == [2, 2, 0]
    assert list(found.curves["cascade/answered"].value) == [0, 0, 1]
    assert found.metrics["cascade/cost"] == 1
    assert found.metrics["cascade/top1"] == found.metrics["cascade/largest/top1"]


def test_five_resolutions_are_searched_whole() -> None:
    names = {24: 10, 32: 20, 40: 30, 48: 40, 56: 50}
    predictions = Predictions(200)
    for size, cost in names.items():
        for split in ("", "validation/"):
            for part in ("outputs", "targets"):
                source = f"r{min(size, 48) if size != 40 else 32}/{split}{part}"
                predictions.tensors[f"s{size}/{split}{part}"] = predictions.tensors[source]
        predictions.tensors[f"s{size}/image_size"] = torch.tensor(size)
        predictions.tensors[f"s{size}/multiply_adds"] = torch.tensor(cost)
    kept = {n: t for n, t in predictions.tensors.items() if n.startswith("s")}
    predictions.tensors = kept
    found = measured(predictions, 20)
    # The largest says what the second largest does, and so is never worth its price.
    assert found.curves["cascade/answered"].value[-1] == 0
    assert found.metrics["cascade/saving"] > 0


def test_too_many_combinations_are_refused() -> None:
    predictions = Predictions()
    with pytest.raises(UserError, match="more combinations than can be tried"):
        measured(predictions, 3000)


def changed(name: str, value: Tensor | None) -> Predictions:
    predictions = Predictions()
    if value is None:
        for each in [n for n in predictions.tensors if n.endswith(name)]:
            del predictions.tensors[each]
    else:
        predictions.tensors[name] = value
    return predictions


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("validation/outputs", None, "holds nothing out"),
        ("image_size", None, "no images"),
        ("r32/image_size", torch.tensor(24), r"these have \[24, 24, 48\]"),
        ("r24/targets", torch.zeros(60, dtype=torch.int64), "r24 and r32 .* test targets differ"),
        (
            "r48/validation/targets", torch.zeros(59, dtype=torch.int64),
            "r24 and r48 .* validation targets differ",
        ),
        ("r24/targets", torch.zeros(60, 4), "targets are numbers"),
    ],
)  # fmt: skip
def test_predictions_that_make_no_cascade_are_refused(
    name: str, value: Tensor | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        measured(changed(name, value))
