"""A small image folder, small networks, and jobs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image as PIL
from torch import Tensor, nn

from bench.models.checkpoint import save_checkpoint
from bench.models.network import Network
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import AttentionRecipe, Cell, Method, Resources
from bench.spec.recipe import SGD, ChannelAttention, Image, Optimizer, Recipe

CLASSES = 3
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


@pytest.fixture
def job(images: Path, tmp_path: Path) -> Callable[..., Job]:
    """Return a builder of train jobs; keywords go to the cell or, where it has none, the job."""

    def build(
        recipe: Recipe = RECIPE,
        penalties: dict[str, Any] | None = None,
        method: Method | None = None,
        weights: str = "random",
        parents: dict[str, ParentArtifact] | None = None,
        seed: int = 0,
        plugins: tuple[str, ...] = (),
        **settings: Any,
    ) -> Job:
        cell = Cell(
            "train", "test_resnet", weights, "noise", 1.0, seed, recipe,
            method or Method(penalties=penalties or {}),
            parents={role: parent.id for role, parent in (parents or {}).items()},
        )  # fmt: skip
        return Job(
            cell, 1, tmp_path / "cell", parents=parents or {},
            resources=Resources(folders={"noise": str(images)}, plugins=plugins), **settings,
        )  # fmt: skip

    (tmp_path / "cell").mkdir()
    return build


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> ParentArtifact:
    """Return a checkpoint of test_resnet all of whose filters matter.

    A fresh one's residual branches end in a scale of zero, so that no filter there has effect.
    """
    torch.manual_seed(0)
    backbone = timm.create_model("test_resnet", num_classes=0, zero_init_last=False)
    path = tmp_path_factory.mktemp("source") / "checkpoint.safetensors"
    digest = save_checkpoint(Network(backbone, 2, name="test_resnet"), path)
    cell = Cell("train", "test_resnet", "random", "noise", 1.0, 0, RECIPE, Method())
    return ParentArtifact(cell, 1, path, digest)


@pytest.fixture
def attention_job(images: Path, tmp_path: Path, source: ParentArtifact) -> Job:
    recipe = AttentionRecipe(
        image=IMAGE, settings=ChannelAttention(batch_size=8, batches=2, head_epochs=2)
    )
    cell = Cell(
        "channel-attention", "test_resnet", "stage", "noise", 1.0, 0, recipe,
        parents={"weights": source.id},
    )  # fmt: skip
    folder = tmp_path / "attention"
    folder.mkdir()
    resources = Resources(folders={"noise": str(images)})
    return Job(cell, 1, folder, parents={"weights": source}, resources=resources)


class ToyBackbone(nn.Module):
    """Images (b, 3, s, s) to five features, through batch normalisation."""

    num_features = 5

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(images))).mean((2, 3))


def toy_network(seed: int = 0) -> Network:
    """Return the same small network for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Network(ToyBackbone(), CLASSES, name="toy")
        nn.init.normal_(network.head.weight)
    return network


class ToyBatches:
    """Six random images a step, the same for the same step."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        return torch.randn(6, 3, 8, 8, generator=generator), torch.arange(6) % CLASSES
