from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import settings

from bench.spec.plan import load_plan

# What a property says does not depend on how busy the machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SUITE = """
title: A small suite
axes:
  backbone: test_resnet
  weights: random
  dataset: [glyphs, digits]
  sampling_rate: [0.15, 0.3]
  method: [plain, l2]
  seed: 2
recipe:
  steps: 10
  optimizer: {sgd: {lr: 0.1}}
methods:
  plain: {}
  l2: {penalties: {l2: {weight: 1e-3}}}
profiles:
  offline: {}
"""


@pytest.fixture
def suite(tmp_path: Path):
    """A function that writes a suite's text into a paper's folder and returns its file."""
    (tmp_path / "paper.yaml").write_text("id: test\ntitle: A test\n")

    def write(text: str = SUITE, name: str = "table") -> Path:
        file = tmp_path / f"{name}.yaml"
        file.write_text(textwrap.dedent(text).lstrip())
        return file

    return write


@pytest.fixture
def plan(suite):
    """A function that writes, loads and expands a suite."""

    def load(text: str = SUITE, profile: str = "offline"):
        return load_plan(suite(text), profile)

    return load
