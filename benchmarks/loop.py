"""The training loop against a bare PyTorch loop: images/s and ratio of processor time, one thread.

Every method trains timm's test_resnet on the procedural glyphs, 32 images of 64 pixels a step. The
bare loop has its images ready in memory; "real data" includes gathering and augmenting.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import timm
import torch

from bench.data.batches import TrainingBatches
from bench.data.prepare import prepare
from bench.models.network import Network
from bench.parts.compose import load_part
from bench.spec.cell import Resources
from bench.spec.recipe import SGD, Augmentation, Image, Optimizer, Recipe, Use
from bench.training.curves import CurveBook
from bench.training.loop import train
from bench.training.loss import Asked, Loss
from bench.training.numerics import deterministic

STEPS, BATCH, REPEATS = 40, 32, 5
IMAGE = Image(resize=64, size=64)
AUGMENTATION = Augmentation(crop="random-resized", scale=(0.5, 1.0))
RECIPE = Recipe(
    steps=STEPS,
    batch_size=BATCH,
    image=IMAGE,
    augmentation=AUGMENTATION,
    optimizer=Optimizer(sgd=SGD(lr=0.01, momentum=0.9)),
)
METHODS = {
    "no penalty": (),
    "l2": ("l2",),
    "l2-sp": ("l2-sp",),
    "l2+bss": ("bss", "l2"),
    "delta": ("delta",),
}
IMAGES = torch.randn(BATCH, 3, 64, 64).contiguous(memory_format=torch.channels_last)
LABELS = torch.randint(20, (BATCH,))


class Ready:
    """Batches that cost nothing."""

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the one batch."""
        return IMAGES, LABELS


def bare() -> float:
    """Return the processor time of a plain loop."""
    model = timm.create_model("test_resnet", num_classes=20)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    start = time.thread_time()
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(IMAGES), LABELS).backward()
        optimizer.step()
    return time.thread_time() - start


def ours(penalties: tuple[str, ...], batches: object) -> float:
    """Return the processor time of Retable's loop."""
    network = Network(timm.create_model("test_resnet", num_classes=0), {"": 20}, name="test_resnet")
    network = network.to(memory_format=torch.channels_last)
    weights = {}
    if "delta" in penalties:
        with torch.no_grad():
            maps = network(IMAGES[:2], taps=network.tap_names).maps
        weights = {name: torch.full((m.shape[1],), 1 / m.shape[1]) for name, m in maps.items()}
    parts = {name: load_part("penalty", Use(name=name)) for name in penalties}
    asked = {"": Asked(load_part("objective", Use(name="classification")))}
    loss = Loss(network, asked, parts, measured={"channel-attention": weights} if weights else {})
    start = time.thread_time()
    train(
        network,
        loss,
        RECIPE,
        {"": batches},
        CurveBook(),
        trainable=load_part("trainable", Use(name="all")),
        update=load_part("update", Use(name="gradient")),
    )
    return time.thread_time() - start


def main() -> None:
    """Print one line a case: the cases alternate, and ratios are taken round by round."""
    data = prepare("glyphs", IMAGE, Resources())
    real = TrainingBatches(
        data.train,
        np.arange(len(data.train)),
        batch_size=BATCH,
        image=IMAGE,
        augmentation=AUGMENTATION,
        seed=0,
        dataset="glyphs",
        device=torch.device("cpu"),
        channels_last=True,
    )
    cases: dict[str, Callable[[], float]] = {"bare loop": bare}
    for name, penalties in METHODS.items():
        cases[name] = lambda p=penalties: ours(p, Ready())
    cases["l2, real data"] = lambda: ours(METHODS["l2"], real)
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    with deterministic(1):
        for _ in range(REPEATS):
            for name, case in cases.items():
                seconds[name].append(case())
    for name, values in seconds.items():
        pairs = zip(values, seconds["bare loop"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        speed = STEPS * BATCH / statistics.median(values)
        print(f"{name:14} {speed:7.0f} images/s   {ratio:5.2f} times the bare loop")


if __name__ == "__main__":
    main()
