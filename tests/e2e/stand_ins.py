"""Data and weights as ``hf download`` leaves them: real ids, revisions, file names and columns.

What a set has on the Hub is written down here from public file trees and dataset cards, and not
taken from the catalogue, so that an entry that names another column or split is found.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import numpy as np
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from bench.spec.catalogue import entry

COMMIT = "c" * 40
Rows = dict[str, list[int]]


@dataclass(frozen=True)
class HubSet:
    """What a repository holds.

    Attributes
    ----------
    splits
        The official ones, the training split first.
    labels
        Column to its number of classes.
    """

    splits: tuple[str, ...]
    labels: dict[str, int] = field(default_factory=dict)
    image: str = "image"
    config: str = "default"
    folder: str = "data"


HUB = {
    "oxford-iiit-pet": HubSet(("train", "test"), {"label": 37}),
    "flowers-102": HubSet(("train", "validation", "test"), {"label": 102}),
    "stanford-cars": HubSet(
        (
            "train", "test", "contrast", "gaussian_noise", "impulse_noise", "jpeg_compression",
            "motion_blur", "pixelate", "spatter",
        ),
        {"label": 196},
    ),
    "fgvc-aircraft": HubSet(
        ("train", "validation", "test"), {"family": 70, "manufacturer": 30, "variant": 100}
    ),
    "cifar-100": HubSet(
        ("train", "test"),
        {"fine_label": 100, "coarse_label": 20},
        image="img", config="cifar100", folder="cifar100",
    ),
    "imagenet-1k": HubSet(("train", "validation", "test"), {"label": 1000}),
    "vtab-1k-cifar100": HubSet(("train800", "val200", "test"), {"label": 100}),
}  # fmt: skip


def colour(split: int, row: int) -> tuple[int, int, int]:
    """Return the colour of an image, another for every row of every split."""
    return (20 * split, row // 256, row % 256)


def encoded(rgb: tuple[int, int, int]) -> bytes:
    """Return a small PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (12, 10), rgb).save(buffer, "PNG")
    return buffer.getvalue()


def lay_dataset(hub: Path, name: str, rows: Rows) -> None:
    """Lay out a dataset of the Hub with one-coloured images.

    Parameters
    ----------
    rows
        Split to the labels of its rows, of every label column alike, as far as it has classes.
    """
    about, held = entry(name), HUB[name]
    assert list(rows) == list(held.splits)
    home = hub / f"datasets--{str(about.hub).replace('/', '--')}"
    folder = home / "snapshots" / (about.revision or COMMIT)
    (folder / held.folder).mkdir(parents=True)
    if about.revision is None:
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(COMMIT)
    features = datasets.Features({held.image: datasets.Image()}) | {
        column: datasets.ClassLabel(names=[f"{column} {k}" for k in range(classes)])
        for column, classes in held.labels.items()
    }
    for place, (split, labels) in enumerate(rows.items()):
        images = [{"bytes": encoded(colour(place, i)), "path": None} for i in range(len(labels))]
        columns = {
            column: [label % classes if label >= 0 else label for label in labels]
            for column, classes in held.labels.items()
        }
        table = datasets.Dataset.from_dict(
            {held.image: images, **columns}, features=datasets.Features(features)
        )
        for shard in range(2):
            file = folder / held.folder / f"{split}-0000{shard}-of-00002.parquet"
            table.shard(2, shard, contiguous=True).to_parquet(file)
    files = [{"split": split, "path": f"{held.folder}/{split}-*"} for split in held.splits]
    card = yaml.safe_dump({"configs": [{"config_name": held.config, "data_files": files}]})
    (folder / "README.md").write_text(f"---\n{card}---\n")


def lay_folder(folder: Path, classes: int) -> None:
    """Lay out an image folder: an image a class in each split."""
    for place, split in enumerate(("train", "test")):
        for label in range(classes):
            home = folder / split / f"class-{label:03}"
            home.mkdir(parents=True)
            (home / "00000001.png").write_bytes(encoded(colour(place, label)))


def lay_weights(hub: Path, backbone: str) -> dict[str, torch.Tensor]:
    """Lay out a timm model repository with weights drawn at random; return them."""
    folder = hub / f"models--timm--{backbone}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    torch.manual_seed(5)
    state = timm.create_model(backbone.partition(".")[0], pretrained=False).state_dict()
    # Else all normalisations would be alike, and one in another's place would not be seen.
    for value in state.values():
        if value.ndim == 1:
            value.copy_(torch.rand_like(value) + 0.5)
    save_file(state, folder / "snapshots" / COMMIT / "model.safetensors")
    return state


def every_class(classes: int, rows: int) -> list[int]:
    """Return labels: each class in turn."""
    return np.resize(np.arange(classes), rows).tolist()
