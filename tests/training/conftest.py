"""Small images, small tables, small networks, and jobs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image as PIL
from safetensors.numpy import save_file
from torch import Tensor, nn

from bench.models.checkpoint import save_checkpoint
from bench.models.network import Network
from bench.parts.kinds import Penalty
from bench.parts.objectives.classification import Classification
from bench.parts.trainables.all import All
from bench.parts.updates.gradient import Gradient
from bench.records.record import Outcome
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import CHECKPOINT, START, Cell, Parent, Resources
from bench.spec.recipe import SGD, Image, Optimizer, Recipe, Use, Warmup
from bench.spec.work import Measure, Start, Task, Train
from bench.training.curves import CurveBook
from bench.training.loop import train
from bench.training.loss import Asked, Loss

CLASSES = 3
STRIPES = 2
IMAGE = Image(resize=36, size=32, normalise="half")
RECIPE = Recipe(
    steps=4,
    batch_size=8,
    image=IMAGE,
    optimizer=Optimizer(sgd=SGD(lr=0.05, backbone_lr=0.01, momentum=0.9)),
)
METHODS: dict[str, dict[str, dict[str, Any]]] = {
    "l2": {"l2": {}},
    "l2+bss": {"l2": {}, "bss": {}},
    "l2-sp": {"l2-sp": {}},
    "l2-sp+bss": {"l2-sp": {}, "bss": {}},
    "delta": {"delta": {}},
    "delta+bss": {"delta": {}, "bss": {}},
}

Build = Callable[..., Job]


# -- data ----------------------------------------------------------------------------------------


def write_images(folder: Path) -> None:
    """Write coloured noise, one colour a class: 10 train and 4 test images each."""
    draw = np.random.default_rng(7)
    for split, count in (("train", 10), ("test", 4)):
        for label in range(CLASSES):
            (folder / split / f"class{label}").mkdir(parents=True)
            for i in range(count):
                pixels = draw.integers(0, 200, (40, 40, 3))
                pixels[..., label] += 55
                image = PIL.fromarray(pixels.astype(np.uint8))
                image.save(folder / split / f"class{label}" / f"{i}.png")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("images")
    write_images(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETABLE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield folder


@pytest.fixture(scope="session")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of another task: two classes, other sizes."""
    top = tmp_path_factory.mktemp("stripes")
    for split, count in (("train", 8), ("test", 3)):
        for label in range(STRIPES):
            folder = top / split / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.zeros((50, 44, 3), dtype=np.uint8)
                pixels[:: label + 2, i::3] = 255
                PIL.fromarray(pixels).save(folder / f"{i}.png")
    return top


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of rows of six numbers and two to predict, linear but for a little noise."""
    draw = np.random.default_rng(3)
    slope = draw.normal(size=(6, 2))
    arrays = {}
    for split, count in (("train", 40), ("test", 15)):
        inputs = draw.normal(size=(count, 6))
        arrays[f"{split}_inputs"] = inputs.astype(np.float32)
        noisy = inputs @ slope + 0.1 * draw.normal(size=(count, 2))
        arrays[f"{split}_targets"] = noisy.astype(np.float32)
    file = tmp_path_factory.mktemp("numbers") / "numbers.safetensors"
    save_file(arrays, file)
    return file


@pytest.fixture(scope="session")
def resources(images: Path, stripes: Path, numbers: Path) -> Resources:
    return Resources(
        folders={"noise": str(images), "stripes": str(stripes)},
        arrays={"numbers": (str(numbers), "vectors")},
    )


# -- cells and jobs ------------------------------------------------------------------------------


def use(name: str, **settings: Any) -> Use:
    return Use(name=name, settings=settings, given=settings)


def task(dataset: str = "noise", objective: str = "classification", **more: Any) -> Task:
    return Task(dataset=dataset, objective=use(objective), **more)


def training(
    recipe: Recipe = RECIPE,
    penalties: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    network: str | Use = "test_resnet",
    weights: str = "random",
    tasks: Mapping[str, Task] | None = None,
    trainable: str = "all",
    update: Use | str = "gradient",
    patches: Sequence[str] = (),
    warmup: Warmup | None = None,
) -> Train:
    return Train(
        network=network,
        weights=weights,
        tasks=tasks or {"": task()},
        recipe=recipe,
        penalties=tuple(use(n, **s) for n, s in sorted((penalties or {}).items())),
        trainable=use(trainable),
        patches=tuple(map(use, patches)),
        update=use(update) if isinstance(update, str) else update,
        warmup=warmup,
    )


def job_of(
    work: Train | Measure,
    folder: Path,
    resources: Resources,
    *,
    seed: int = 0,
    parents: Mapping[str, ParentArtifact] | None = None,
    keep: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    **settings: Any,
) -> Job:
    """Return a job in a folder of its own below the given one."""
    parents = parents or {}
    cell = Cell(work, seed, {role: Parent(p.id, p.name) for role, p in parents.items()})
    own = folder / cell.id
    own.mkdir(exist_ok=True)
    known = Resources(resources.folders, resources.arrays, plugins=tuple(map(str, plugins)))
    return Job(
        cell, settings.pop("attempt", 1), own, keep=frozenset(keep), parents=parents,
        resources=known, **settings,
    )  # fmt: skip


@pytest.fixture
def job(resources: Resources, tmp_path: Path) -> Build:
    """Return a builder of jobs that train; keywords are those of `training` and `job_of`."""
    of_job = {"seed", "parents", "keep", "plugins", "attempt", "device", "threads"}

    def build(*recipe_and_penalties: Any, **settings: Any) -> Job:
        mine = {name: settings.pop(name) for name in of_job & settings.keys()}
        work = training(*recipe_and_penalties, **settings)
        return job_of(work, tmp_path, resources, **mine)

    return build


def left(job: Job, outcome: Outcome, name: str = CHECKPOINT) -> ParentArtifact:
    """Return an artifact of a job that is done, as a child's job has it."""
    artifact = outcome.artifacts[name]
    return ParentArtifact(job.cell, name, job.attempt, job.folder / artifact.file, artifact.sha256)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> ParentArtifact:
    """Return a checkpoint of test_resnet all of whose filters matter.

    A fresh one's residual branches end in a scale of zero, so that no filter there has effect.
    """
    torch.manual_seed(0)
    backbone = timm.create_model("test_resnet", num_classes=0, zero_init_last=False)
    path = tmp_path_factory.mktemp("source") / "checkpoint.safetensors"
    digest = save_checkpoint(Network(backbone, {"": CLASSES}, name="test_resnet"), path)
    return ParentArtifact(Cell(training(), 0), CHECKPOINT, 1, path, digest)


@pytest.fixture
def attention_job(resources: Resources, tmp_path: Path, source: ParentArtifact) -> Job:
    work = Measure(
        use("channel-attention", batch_size=8, batches=2, head_epochs=2),
        {START: Start("test_resnet", "stage")},
        task(image=IMAGE),
    )
    return job_of(work, tmp_path, resources, parents={START: source})


# -- a toy network -------------------------------------------------------------------------------


class ToyBackbone(nn.Module):
    """Images (b, 3, s, s) to five features, through batch normalisation."""

    num_features = 5

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(images))).mean((2, 3))


def toy_network(seed: int = 0, widths: Mapping[str, int] | None = None) -> Network:
    """Return the same small network for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Network(ToyBackbone(), widths or {"": CLASSES}, name="toy")
        for head in network.heads.values():
            nn.init.normal_(head.weight)
    return network


class ToyBatches:
    """Six random images a step, the same for the same step."""

    def __init__(self, classes: int = CLASSES, first: int = 0) -> None:
        self._classes = classes
        self._first = first

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self._first + step)
        return torch.randn(6, 3, 8, 8, generator=generator), torch.arange(6) % self._classes


def loss_of(
    network: Network, penalties: Mapping[str, Penalty] | None = None, **settings: Any
) -> Loss:
    """Return the loss of a single classification, or of ``tasks``."""
    tasks = settings.pop("tasks", {"": Asked(Classification())})
    return Loss(network, tasks, penalties or {}, **settings)


def fit(
    network: Network,
    recipe: Recipe,
    penalties: Mapping[str, Penalty] | None = None,
    *,
    book: CurveBook | None = None,
    batches: Any = None,
    **settings: Any,
) -> tuple[int | None, int]:
    """Train on the single task of `ToyBatches`; return what the loop returns."""
    return train(
        network, loss_of(network, penalties), recipe, {"": batches or ToyBatches()},
        CurveBook() if book is None else book,
        **{"trainable": All(), "update": Gradient(), **settings},
    )  # fmt: skip
