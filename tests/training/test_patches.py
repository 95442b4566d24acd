"""A child of a stage's patch gives the numbers of a child of its checkpoint, bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from safetensors.torch import load_file

from bench.errors import UserError, WeightsError
from bench.files import file_sha256
from bench.models.checkpoint import read_tensors, write_tensors
from bench.records.record import Outcome
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import START
from bench.training.execute import execute
from tests.training.conftest import RECIPE, Build, left
from tests.training.in_another_process import bits

PLUGIN = '''
from torch import nn

from bench.models.network import Network
from bench.parts import Trainable, trainable


@trainable("norms")
class Norms(Trainable):
    """Scales, biases and statistics."""

    def __call__(self, network: Network) -> None:
        body = network.body().requires_grad_(False).eval()
        for module in body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(True).train()
'''
KEEP = {"checkpoint", "patch"}


@pytest.fixture
def norms(tmp_path: Path) -> Path:
    file = tmp_path / "norms.py"
    file.write_text(PLUGIN)
    return file


def _numbers(outcome: Outcome) -> dict[str, object]:
    found = bits(outcome)
    return {name: found[name] for name in ("metrics", "curves", "artifacts")}


def _both(made: Job, outcome: Outcome) -> list[ParentArtifact]:
    return [left(made, outcome, name) for name in ("checkpoint", "patch")]


@pytest.mark.parametrize("weights", ["random", "shipped:fractals"])
def test_a_child_of_a_patch_is_a_child_of_the_checkpoint(
    job: Build, norms: Path, weights: str
) -> None:
    settings = {"trainable": "norms", "plugins": [norms], "keep": KEEP}
    # The stage has a seed of its own, by which its random start is drawn again.
    stage = job(weights=weights, seed=5, **settings)
    outcome = execute(stage)
    whole, patch = _both(stage, outcome)
    assert patch.path.name == "0001.patch.safetensors"
    assert patch.path.stat().st_size < whole.path.stat().st_size / 3
    assert not [n for n in load_file(patch.path) if n.endswith("conv1.weight")]
    recipe = RECIPE.model_copy(update={"head": "kept"})
    children = [
        job(recipe, weights="stage", parents={START: parent}, seed=1, **settings)
        for parent in (whole, patch)
    ]
    ended = [execute(child) for child in children]
    assert _numbers(ended[0]) != _numbers(outcome)
    first, second = (_numbers(each) for each in ended)
    assert first == second
    (one, other) = (each.provenance.weights[START] for each in ended)
    assert one == other

    # And so is a child of that child, by patches all the way.
    chain = {START: left(children[1], ended[1], "patch"), "body": patch}
    plain = {START: left(children[0], ended[0])}
    grand = [
        job(weights="stage", parents=parents, seed=2, **settings) for parents in (plain, chain)
    ]
    first, second = (_numbers(execute(each)) for each in grand)
    assert first == second


def test_a_patch_of_another_body_is_refused(job: Build, norms: Path) -> None:
    settings = {"trainable": "norms", "plugins": [norms]}
    stage = job(seed=5, keep=KEEP, **settings)
    patch = left(stage, execute(stage), "patch")
    tensors, facts = read_tensors(patch.path)
    write_tensors(patch.path, tensors, facts | {"body": "0" * 64})
    wrong = dataclasses.replace(patch, sha256=file_sha256(patch.path))
    with pytest.raises(WeightsError, match="belongs to a body whose state has"):
        execute(job(weights="stage", parents={START: wrong}, **settings))


def test_a_patch_of_everything_is_refused_before_the_first_step(job: Build) -> None:
    made = job(keep={"patch"})
    with pytest.raises(UserError, match="would be the whole network"):
        execute(made)
    assert not list(made.folder.iterdir())
