"""Every built-in part passes its kind's checks, and what the kinds' checks share is sharp."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from bench.errors import SpecError
from bench.parts.checks import check_part
from bench.parts.checks.common import Failed, Subject, same, shared_streams, undrawn
from bench.parts.kinds import Head
from bench.spec.parts import KINDS, built_in_parts
from tests.parts.checks.conftest import HEAD


@pytest.mark.parametrize(
    ("kind", "name"),
    [key for key in built_in_parts() if key[0] != "penalty"],
    ids=lambda value: value,
)
def test_every_built_in_passes(kind, name):
    checks = check_part(kind, name)
    assert [check.name for check in checks[:3]] == ["import", "construction", "signature"]
    assert {"determinism", "pairing"} <= {check.name for check in checks}
    assert ("smoke run" in {check.name for check in checks}) == (kind != "measurement")
    assert [check for check in checks if not check.passed] == []


def test_every_kind_has_a_built_in_that_is_checked():
    assert {kind for kind, _ in built_in_parts()} == set(KINDS)


def test_a_part_that_there_is_not_is_an_error():
    with pytest.raises(SpecError, match=r"there is no head 'kaming'(?s:.*)did you mean 'kaiming'"):
        check_part("head", "kaming")


# Signature


def test_a_parameter_of_a_parent_class_is_not_read_from_the_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from bench.parts import Trainable, trainable\n\n"
        "class Base(Trainable):\n    depth: int = 2\n\n"
        "    def __call__(self, network):\n        pass\n\n"
        '@trainable("mine")\nclass Mine(Base):\n    pass\n'
    )
    checks = check_part("trainable", "mine", [str(path)])
    failed = {check.name: check.detail for check in checks if not check.passed}
    assert set(failed) == {"signature"}
    assert "depth" in failed["signature"]


SCORED = "metrics = {'a': ('%', 'highest'), 'b': ('', 'lowest')}\nscore = 'a'\nterm = 'squares'"


@pytest.mark.parametrize(
    ("kind", "body", "after", "named"),
    [
        ("update", "curves = ('a',)", "Mine.curves = ('b',)", "curves"),
        ("transform", "random = False", "Mine.random = True", "random"),
        ("objective", SCORED, "Mine.score = 'b'", "score"),
        ("measurement", "roles = ('start',)", "Mine.roles = ('first',)", "roles"),
        ("measurement", "metrics = {'m': ('%', 'highest')}", "Mine.metrics = {}", "metrics"),
    ],
)
def test_a_literal_that_is_changed_after_the_class_is_found(failures, kind, body, after, named):
    assert failures(kind, body, after=after + "\n")["signature"].startswith(named)


def test_parameters_without_default_are_given_plain_values():
    class Required(Head):
        many: tuple[int, ...]
        width: int
        scale: float
        name: str
        maybe: int | None

    part = Subject("head", "required", Required).part()
    assert part == Required(many=(1,), width=1, scale=0.5, name="", maybe=1)


# Equality, and the streams that everything shares


def test_equality_sees_dtype_shape_and_what_is_nested():
    one = {"a": [torch.ones(2), np.zeros(3)], "b": (1, "x")}
    assert same(one, {"a": [torch.ones(2), np.zeros(3)], "b": (1, "x")})
    assert not same(torch.ones(2), torch.ones(2, dtype=torch.float64))
    assert not same(torch.ones(2), torch.ones(3))
    assert not same(one, {"a": [torch.ones(2), np.ones(3)], "b": (1, "x")})
    assert not same({"a": 1}, {"a": 1, "b": 2})


DRAWS = {
    "torch": lambda: torch.rand(()),
    "NumPy": lambda: np.random.rand(),  # noqa: NPY002
    "Python": random.random,
}
SEEDS = {
    "torch": lambda: torch.manual_seed(0),
    "NumPy": lambda: np.random.seed(0),  # noqa: NPY002
    "Python": lambda: random.seed(0),
}


@pytest.mark.parametrize("act", [DRAWS, SEEDS], ids=["draws", "seeds"])
@pytest.mark.parametrize("name", DRAWS)
def test_drawing_and_seeding_are_seen_and_undone(act, name):
    before = random.getstate(), np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    with pytest.raises(Failed, match=f"draws from {name}'s random stream"):
        undrawn(lambda: [act[name](), None][1])
    after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    assert same(before, after)


def test_torchs_stream_may_be_left_out():
    with shared_streams(1, torch_too=False):
        torch.rand(())


def test_what_depends_on_earlier_calls_is_seen():
    calls: list[int] = []
    with pytest.raises(Failed, match="earlier calls"):
        undrawn(lambda: [calls.append(1), len(calls)][1])


def test_a_crash_is_a_failed_check_that_names_its_line(failures):
    found = failures("head", "def weights(self, outputs, features, stream):\n    1 / 0")
    line = HEAD.count("\n") + 5
    assert found["shape"] == f"ZeroDivisionError: division by zero, line {line} of mine.py"


def test_a_part_that_switches_gradients_off_does_so_for_one_check_alone(failures):
    code = "torch.set_grad_enabled(False); return np.zeros((outputs, features))"
    failures("head", f"def weights(self, outputs, features, stream):\n    {code}")
    assert torch.is_grad_enabled()
