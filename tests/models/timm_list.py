"""Writes the names of the installed timm's backbones: ``python -m tests.models.timm_list``."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import timm

from bench.spec.backbones import FILE


def listing() -> dict[str, Any]:
    """Return timm's version, and its architectures with the tags of their weights."""
    tags = defaultdict(list)
    for name in timm.list_models(pretrained=True):
        architecture, _, tag = name.partition(".")
        tags[architecture].append(tag)
    models = {name: " ".join(sorted(tags[name])) for name in sorted(timm.list_models())}
    return {"version": timm.__version__, "models": models}


if __name__ == "__main__":
    FILE.write_text(json.dumps(listing(), indent=0) + "\n", encoding="utf-8")
