from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.parts.checks import check_part
from bench.spec.parts import Kind

HEAD = """
import random
from typing import ClassVar
import numpy as np
import torch
from torch import nn
from bench import parts
from bench.parts import *
"""
BASES: dict[Kind, str] = {
    "penalty": "Penalty",
    "trainable": "Trainable",
    "patch": "Patch",
    "update": "Update",
    "objective": "Objective",
    "transform": "Transform",
    "head": "Head",
    "network": "Architecture",
    "measurement": "Measurement",
}

Failures = Callable[..., dict[str, str]]


@pytest.fixture
def failures(tmp_path: Path) -> Failures:
    """A function that writes a part ``mine`` of a kind and returns its failed checks' details."""

    def of(kind: Kind, body: str, *, before: str = "", after: str = "") -> dict[str, str]:
        path = tmp_path / "mine.py"
        inner = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
        decorated = f'\n@parts.{kind}("mine")\nclass Mine({BASES[kind]}):\n{inner}\n'
        path.write_text(HEAD + textwrap.dedent(before) + decorated + textwrap.dedent(after))
        checks = check_part(kind, "mine", [str(path)])
        return {check.name: check.detail for check in checks if not check.passed}

    return of
