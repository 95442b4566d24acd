"""The names of timm's backbones, kept as data: nothing that reads suites imports timm."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from bench.errors import did_you_mean

FILE = Path(__file__).with_name("timm.json")
# Before a name that the list does not have: of a newer timm, or registered by a package.
UNLISTED = "timm:"


@lru_cache(maxsize=1)
def _listed() -> tuple[str, dict[str, list[str]]]:
    data = json.loads(FILE.read_text(encoding="utf-8"))
    return data["version"], {name: tags.split() for name, tags in data["models"].items()}


def version() -> str:
    """Return the version of timm whose names are known."""
    return _listed()[0]


def architectures() -> dict[str, list[str]]:
    """Return timm's architectures, each with the tags of its weights."""
    return _listed()[1]


def is_backbone(name: str) -> bool:
    """Whether timm has a backbone of a name, with one of its tags or without.

    >>> is_backbone("resnet18.tv_in1k"), is_backbone("resnet18"), is_backbone("resnet18.mine")
    (True, True, False)
    """
    models = _listed()[1]
    architecture, dot, tag = name.partition(".")
    return architecture in models and (not dot or tag in models[architecture])


def nearest(name: str, others: list[str]) -> str:
    """Return a remedy for a name that is none: the nearest of timm's and of ``others``."""
    models = _listed()[1]
    architecture = name.partition(".")[0]
    if architecture in models:
        known = [f"{architecture}.{tag}" for tag in models[architecture]]
        return did_you_mean(name, known or [architecture])
    return did_you_mean(architecture, [*models, *others], "bench list backbones")
