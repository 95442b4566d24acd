"""A step of a head on features computed once against one that runs the frozen backbone.

Processor time, one thread, batches of 64. A step has everything that a training's has: rows drawn,
inputs gathered, loss, gradient, update, and its part of the curves. The one pass over the rows that
computes the table is said in steps that run the backbone.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from bench.data.batches import Batches
from bench.models.network import Network
from bench.models.weights import load_backbone
from bench.parts.compose import compose
from bench.scheduling.job import Job
from bench.spec.cell import Cell, Resources
from bench.spec.recipe import SGD, Augmentation, Image, Optimizer, Recipe, Use
from bench.spec.work import Task, Train
from bench.training.curves import CurveBook
from bench.training.frozen import FrozenBackbone
from bench.training.loop import train
from bench.training.loss import Asked, Loss
from bench.training.numerics import deterministic
from bench.training.task_data import TaskData, load_task
from bench.training.train_cell import build_network

CPU = torch.device("cpu")
# Network, side of the images, steps that run the backbone.
CASES = (("test_efficientnet", 48, 8), ("mobilenetv2_100", 96, 2))
STEPS, REPEATS = 400, 5
CENTRE = Augmentation(crop="centre", flip=False)


def job_of(name: str, side: int, folder: Path) -> Job:
    """Return the training of a head on the procedural glyphs."""
    recipe = Recipe(
        steps=STEPS,
        batch_size=64,
        image=Image(resize=64 if side <= 64 else side, size=side),
        augmentation=CENTRE,
        optimizer=Optimizer(sgd=SGD(lr=0.1, momentum=0.9)),
        frozen_features="computed-once",
    )
    work = Train(
        network=name,
        weights="random",
        tasks={"": Task(dataset="glyphs", objective=Use(name="classification"))},
        recipe=recipe,
        trainable=Use(name="head"),
        update=Use(name="gradient"),
    )
    return Job(Cell(work, 0), 1, folder, resources=Resources())


def seconds(job: Job, network: Network, data: TaskData, batches: Batches, steps: int) -> float:
    """Return the processor time of a step."""
    parts = compose(job.cell.work)
    recipe = job.cell.recipe.model_copy(update={"steps": steps})
    loss = Loss(network, {"": Asked(data.objective)}, {})
    start = time.thread_time()
    train(
        network,
        loss,
        recipe,
        {"": batches},
        CurveBook(),
        trainable=parts.trainable,
        update=parts.update,
    )
    return (time.thread_time() - start) / steps


def compare(job: Job, running_steps: int) -> None:
    """Print one line: the cases alternate, and ratios are taken round by round."""
    work, recipe = job.cell.work, job.cell.recipe
    data = load_task(work.tasks[""], 0, job.resources, recipe=recipe)
    loaded = load_backbone(work.network, "random", seed=0, resources=job.resources)
    parts = compose(work)
    network = build_network(loaded, {"": data}, parts, work, 0)
    images = data.training_batches(recipe, CPU)
    start = time.thread_time()
    features = FrozenBackbone(job, network, parts.trainable).data("", data)
    looked_up = features.training_batches(recipe, CPU)
    once = time.thread_time() - start
    running, kept = [], []
    for _ in range(REPEATS):
        running.append(seconds(job, network, data, images, running_steps))
        kept.append(seconds(job, network, data, looked_up, STEPS))
    ratio = statistics.median(a / b for a, b in zip(running, kept, strict=True))
    step = statistics.median(running)
    print(
        f"{work.network:18} {recipe.image.size:4} px: {1e3 * step:7.2f} ms running the backbone, "
        f"{1e3 * statistics.median(kept):5.2f} ms from features: {ratio:5.0f} times; "
        f"the table of {len(data.train)} rows took as long as {once / step:.0f} steps"
    )


def main() -> None:
    """Compare each case, in a cache of its own for the features."""
    with tempfile.TemporaryDirectory() as folder, deterministic(1):
        os.environ["RETABLE_CACHE"] = folder
        for name, side, steps in CASES:
            compare(job_of(name, side, Path(folder)), steps)


if __name__ == "__main__":
    main()
