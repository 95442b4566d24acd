"""A penalty's checks pass for what is right, and each fails for its own fault."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from bench.parts.checks import check_part
from bench.parts.checks.synthetic import (
    SHAPES,
    in_float64,
    leaves,
    synthetic_step,
    tensors_of,
    with_leaves,
)
from bench.spec.parts import built_in_parts

NEEDS = ("source_maps", "channel-attention")
check_penalty = partial(check_part, "penalty")
CHECKS = [
    "import", "construction", "signature", "pairing", "scalar", "gradient", "determinism",
    "inputs", "precision", "device", "invariants", "smoke run",
]  # fmt: skip

HEAD = """
import random
import numpy as np
import torch
from typing import ClassVar
from bench.parts import Penalty, Step, penalty

CALLS = []

@penalty("mine")
class Mine(Penalty):
    weight: float = 0.5
"""


def failures(folder: Path, body: str, head: str = HEAD) -> dict[str, str]:
    path = folder / "mine.py"
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    path.write_text(head + lines)
    return {c.name: c.detail for c in check_penalty("mine", [str(path)]) if not c.passed}


@pytest.mark.parametrize("name", [name for kind, name in built_in_parts() if kind == "penalty"])
def test_every_built_in_passes(name):
    checks = check_penalty(name)
    assert [check.name for check in checks] == CHECKS
    assert [check for check in checks if not check.passed] == []


def test_a_penalty_of_ones_own_passes_in_few_lines(tmp_path):
    body = "def __call__(self, step):\n    return self.weight * step.logits.square().mean()"
    assert failures(tmp_path, body) == {}


def test_a_penalty_on_a_square_root_passes_too(tmp_path):
    body = """
def __call__(self, step):
    return self.weight * sum((p - step.start[n]).abs().sum() for n, p in step.backbone.items())
"""
    assert failures(tmp_path, body) == {}


SQUARES = "return self.weight * step.logits.square().sum()"
# What a penalty's body does wrong, and the checks that must see it.
FAULTS = {
    "gives a vector": ("return step.features.square().sum(dim=1)", {"scalar"}),
    "gives a float": ("return 0.5", {"scalar"}),
    "is infinite": ("return step.features.sum() / 0", {"scalar"}),
    "has no gradient": ("return step.features.detach().sum()", {"gradient"}),
    "has a wrong gradient": ("return (step.logits * step.logits.detach()).sum()", {"gradient"}),
    "is random": (f"{SQUARES} * torch.rand(())", {"determinism", "pairing"}),
    "draws from torch": (f"torch.rand(()); {SQUARES}", {"pairing"}),
    "draws from NumPy": (f"np.random.rand(); {SQUARES}", {"pairing"}),
    "draws from Python": (f"random.random(); {SQUARES}", {"pairing"}),
    "remembers": (f"CALLS.append(1); {SQUARES} * len(CALLS)", {"determinism", "pairing"}),
    "remembers on a real network": (
        f"CALLS.extend([1] * (len(step.backbone) > 9)); {SQUARES} * (1 + len(CALLS))",
        {"smoke run"},
    ),
    "changes its input": (f"step.labels.add_(1); {SQUARES}", {"inputs"}),
    "cancels": ("return (1e8 + step.logits.square().sum()) - 1e8", {"precision"}),
    "needs what it does not say": ("return step.maps['layer1'].sum()", {"scalar", "smoke run"}),
    "knows one backbone": ("return step.backbone['conv.weight'].square().sum()", {"smoke run"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_the_check_for_it(tmp_path, fault):
    code, expected = FAULTS[fault]
    found = failures(tmp_path, f"def __call__(self, step):\n    {code}")
    assert expected <= set(found)


@pytest.mark.parametrize(
    "fault", ["has a wrong gradient", "draws from torch", "knows one backbone"]
)
def test_a_fault_fails_no_check_that_is_not_about_it(tmp_path, fault):
    code, expected = FAULTS[fault]
    assert set(failures(tmp_path, f"def __call__(self, step):\n    {code}")) == expected


def test_the_detail_of_a_crash_names_the_line(tmp_path):
    found = failures(tmp_path, "def __call__(self, step):\n    return step.featurs.sum()")
    line = HEAD.count("\n") + 2
    assert f"line {line} of mine.py" in found["scalar"]
    assert "featurs" in found["scalar"]


def test_a_stated_invariant_that_does_not_hold_is_found(tmp_path):
    body = """
def __call__(self, step):
    return self.weight * step.logits.square().sum()

@classmethod
def invariants(cls, step):
    return {"negative": bool(cls()(step) < 0)}
"""
    found = failures(tmp_path, body)
    assert set(found) == {"invariants"}
    assert "negative" in found["invariants"]


def test_a_file_that_says_other_than_the_class_is_found(tmp_path):
    body = """
def __call__(self, step):
    return self.weight * step.logits.square().sum()
"""
    tail = "\n\nMine.needs = ('source_maps',)\n"
    path = tmp_path / "mine.py"
    path.write_text(HEAD + "".join(f"    {x}\n" for x in body.strip().splitlines()) + tail)
    found = {c.name for c in check_penalty("mine", [str(path)]) if not c.passed}
    assert found == {"signature"}


def test_parameters_without_default_are_given_plain_values(tmp_path):
    body = """
k: int

def __call__(self, step):
    return self.k * step.logits.square().sum()
"""
    assert failures(tmp_path, body) == {}


# The synthetic step


def test_a_synthetic_step_holds_what_is_needed_and_no_more():
    for needs in ((), ("source_maps",), NEEDS):
        step = synthetic_step(SHAPES[0], needs)
        assert bool(step.maps) == bool(step.source_maps) == ("source_maps" in needs)
        assert set(step.measured) == set(needs) - {"source_maps"}
        assert set(step.start) == set(step.backbone)


def test_a_seed_gives_one_step():
    first, again = (tensors_of(synthetic_step(SHAPES[0], NEEDS, seed=3)) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_leaves_are_replaced_in_their_own_order():
    step = synthetic_step(SHAPES[1], NEEDS)
    doubled = with_leaves(step, [2 * leaf for leaf in leaves(step)])
    before, after = tensors_of(step), tensors_of(doubled)
    for name, tensor in before.items():
        factor = 2 if tensor.requires_grad else 1
        assert torch.equal(after[name], factor * tensor), name


def test_float64_holds_the_same_numbers():
    half = synthetic_step(SHAPES[0], NEEDS, dtype=torch.float32, activations=torch.bfloat16)
    exact = tensors_of(in_float64(half))
    for name, tensor in tensors_of(half).items():
        assert torch.equal(exact[name], tensor.to(exact[name].dtype)), name
        assert exact[name].requires_grad == tensor.requires_grad


SEEDS = "torch.manual_seed(3)"
CALL = "def __call__(self, step):\n    {}\n    return step.logits.square().mean()"
SEEDING = {
    "imported": ("import", CALL.format("pass"), HEAD.replace("CALLS", f"{SEEDS}\nCALLS")),
    "made": (
        "construction", f"def model_post_init(self, _):\n    {SEEDS}\n" + CALL.format("pass"), HEAD
    ),
    "first called": ("pairing", CALL.format(f"CALLS or {SEEDS}\n    CALLS.append(1)"), HEAD),
    "called in float32": (
        "pairing", CALL.format(f"step.logits.dtype == torch.float32 and {SEEDS}"), HEAD
    ),
}  # fmt: skip


@pytest.mark.parametrize("when", SEEDING)
def test_a_penalty_that_seeds_the_global_streams_at_any_time_is_caught(tmp_path, when):
    check, body, head = SEEDING[when]
    found = failures(tmp_path, body, head)
    assert found[check] == "draws from torch's random stream, or seeds it"


def test_a_penalty_in_another_precision_than_its_step_is_caught(tmp_path):
    body = "def __call__(self, step):\n    return step.logits.double().square().mean()"
    found = failures(tmp_path, body)
    assert found["scalar"] == "gives torch.float64 for a step of torch.float32"
