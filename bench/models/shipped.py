"""The small pre-trained backbones that come with the package; listing them imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import WeightsError, did_you_mean

FOLDER = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class ShippedWeights:
    """One shipped checkpoint: ``NAME.safetensors`` with ``NAME.json`` beside it.

    Attributes
    ----------
    backbone
        timm name of the backbone it fits.
    classes
        Number of classes of the head that it was trained with.
    sha256
        Digest of the file's bytes.
    image
        How the images were made that it was trained on, as in a recipe.
    """

    name: str
    backbone: str
    classes: int
    sha256: str
    path: Path
    image: Mapping[str, Any]


def shipped_names() -> tuple[str, ...]:
    """Return the names that ``shipped:NAME`` may have, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def shipped_weights(name: str) -> ShippedWeights:
    """Return what is known of a shipped checkpoint.

    Raises
    ------
    WeightsError
        If there is none of that name, or its description does not say what it must.
    """
    if name not in shipped_names():
        raise WeightsError(
            f"no weights named {name!r} come with this package",
            remedy=did_you_mean(name, shipped_names()),
        )
    path = FOLDER / f"{name}.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return ShippedWeights(
            name=name,
            backbone=str(facts["backbone"]),
            classes=int(facts["classes"]),
            sha256=str(facts["sha256"]),
            path=path.with_suffix(".safetensors"),
            image=dict(facts["cell"]["settings"]["recipe"]["image"]),
        )
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"does not describe its weights: {error!r}", file=path, remedy="install Retable again"
        ) from error
