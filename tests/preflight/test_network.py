"""Whether a backbone takes its weights and its images, told by loading it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import timm

from bench.errors import WeightsError
from bench.preflight.network import look
from bench.scheduling.job import Job
from bench.spec.cell import Cell
from bench.spec.recipe import Image, Recipe
from tests.records.built import cell


def asked(network: str, weights: str, size: int) -> Job:
    work = cell(0).work
    recipe = Recipe(steps=2, image=Image(resize=size, size=size))
    return Job(
        Cell(replace(work, network=network, weights=weights, recipe=recipe), 0, {}), 1, Path()
    )


@pytest.mark.parametrize("weights", ["random", "shipped:fractals", "stage"])
def test_a_backbone_that_fits_is_counted(weights):
    outcome = look(asked("test_resnet", weights, 32))
    model = timm.create_model("test_resnet", num_classes=0)
    assert outcome.metrics == {"parameters": float(sum(p.numel() for p in model.parameters()))}


@pytest.mark.parametrize(
    ("network", "weights", "size", "told"),
    [
        (
            "vit_tiny_patch16_224",
            "random",
            64,
            "takes no images of 64 pixels: ",
        ),
        ("test_vit", "shipped:fractals", 160, "these weights are of test_resnet"),
        ("test_resnett", "random", 64, "test_resnett"),
        ("test_resnet", "shipped:fractal", 64, "did you mean 'fractals'"),
    ],
)
def test_what_does_not_fit_is_said(network, weights, size, told):
    with pytest.raises(WeightsError, match=told):
        look(asked(network, weights, size))
