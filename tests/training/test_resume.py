"""A training that is killed at any step goes on to the very bits of an undisturbed one."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.records.layout import CellFolder
from bench.records.record import Outcome, same_numbers
from bench.scheduling.job import Job
from bench.spec.recipe import (
    SGD,
    Adam,
    Adan,
    Anytime,
    Augmentation,
    Optimizer,
    RAdam,
    Recipe,
    RMSprop,
    Warmup,
)
from bench.training.execute import execute
from bench.training.loss import Loss
from bench.training.progress import Progress
from bench.training.stopping import Stopping
from tests.training.conftest import RECIPE, Build, task, use

PARTS = '''
import torch
from torch import nn
from bench.parts import Architecture, Penalty, Update, network, penalty, update


class Layers(nn.Module):
    num_features = 6

    def __init__(self, counts):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 6, 5, stride=4), nn.BatchNorm2d(6), nn.Dropout(0.4)
        self.runs = 0
        self.counts = counts

    def forward(self, images):
        if self.training:
            self.runs += 1
        maps = torch.relu(self.norm(self.conv(images)))
        kept = self.drop(maps.mean((2, 3)))
        return kept * (1 + 0.01 * self.runs) if self.counts else kept


@network("dropping")
class Dropping(Architecture):
    """A convolution, batch normalisation and a dropout."""

    def build(self, input_shape):
        return Layers(False)


@network("counting-runs")
class CountingRuns(Architecture):
    """Counts, in an attribute, how often it ran, and scales by it."""

    def build(self, input_shape):
        return Layers(True)


@network("opaque")
class Opaque(Architecture):
    """Keeps what nobody can save."""

    def build(self, input_shape):
        layers = Layers(False)
        layers.secret = iter((1, 2))
        return layers


@network("aliasing")
class Aliasing(Architecture):
    """Has another name for a parameter, beside those that modules know."""

    def build(self, input_shape):
        layers = Layers(False)
        layers.again = [layers.conv.weight]
        return layers


@update("hoarding")
class Hoarding(Update):
    """Keeps a sum of its own between steps, and does not say it."""

    def begin(self, training):
        kept = []

        def step(gradient):
            kept.append(gradient().sum())
            training.apply()

        return step
'''  # noqa: E501

STEPS = 7
SMALL = RECIPE.model_copy(update={"steps": STEPS})
MLP = use("mlp", widths=(4,), activation="tanh")
NUMBERS = {"": task("numbers", "regression")}
ROWS = Recipe.model_validate({"steps": STEPS, "batch_size": 8, "image": None, "augmentation": None})
FIXED = Augmentation(crop="centre", flip=False)
LOOKS = {"validation": 0.3, "anytime": Anytime(gap=2), "selection": "best-on-validation"}
RATES = Optimizer(sgd=SGD(lr=0.1, momentum=0.9))


def rows(**changes: Any) -> dict[str, Any]:
    """Return a cell on rows of numbers, which takes milliseconds."""
    return {"recipe": ROWS.model_copy(update=changes), "network": MLP, "tasks": NUMBERS}


def small(**changes: Any) -> dict[str, Any]:
    """Return a cell on small images."""
    return {"recipe": SMALL.model_copy(update=changes), "network": use("dropping")}


def objective(name: str, **settings: Any) -> dict[str, Any]:
    return {"": task().model_copy(update={"objective": use(name, **settings)})}


CASES: dict[str, dict[str, Any]] = {
    "summed": rows(optimizer=RATES),
    "averaged velocities": rows(
        optimizer=Optimizer(sgd=SGD(lr=0.1, momentum=0.9, velocity="average"))
    ),
    "adam": rows(optimizer=Optimizer(adam=Adam(lr=0.01))),
    "radam": rows(optimizer=Optimizer(radam=RAdam(lr=0.01))),
    "rmsprop": rows(optimizer=Optimizer(rmsprop=RMSprop(lr=0.01, momentum=0.5))),
    "adan": rows(optimizer=Optimizer(adan=Adan(lr=0.01))),
    "lookahead": {**rows(optimizer=RATES), "update": use("lookahead", k=3)},
    "profit": {
        **rows(optimizer=RATES),
        "update": use("profit", n_ref=2, reference="adam", lr_ref=0.01),
    },
    "best of anytime": rows(optimizer=RATES, **LOOKS),
    "penalties": {
        **rows(optimizer=RATES, penalty_gradients=True),
        "penalties": {"l2": {}, "l2-sp": {}},
    },
    "warm-up": {
        **rows(optimizer=RATES, **LOOKS),
        "warmup": Warmup(patience=2, gain=100.0),
    },
    "dropout": small(),
    "channels": {**small(channels_last=False), "penalties": {"bss": {}}},
    "a counter of the user's": {**small(), "network": use("counting-runs")},
    "stochastic": {**small(), "patches": ["stochastic-normalisation"]},
    "frozen": {
        "recipe": SMALL.model_copy(
            update={"frozen_features": "computed-once", "augmentation": FIXED, "validation": 0.3}
        ),
        "network": use("dropping"),
        "trainable": "head",
    },
    "averaged anew": small(statistics="averaged-anew"),
    "queues": {**small(), "tasks": objective("bi-tuning", queue=3, projection=4)},
    "mixtures": {**small(), "tasks": objective("glmc", projection=4)},
    "two tasks": {
        **small(validation=0.3, validate_every=2, selection="best-on-validation"),
        "tasks": {"noise": task(), "stripes": task("stripes")},
        "patches": ["private-normalisation"],
    },
}  # fmt: skip
KEPT = ("checkpoint", "checkpoint@start", "checkpoint@step 2", "checkpoint@step 5")


class Killed(BaseException):
    """The end of a process, as far as a test can tell."""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("parts") / "dropping.py"
    file.write_text(PARTS)
    return file


@pytest.fixture
def made(job: Build, plugin: Path) -> Callable[..., Job]:
    """Return a builder of the jobs of a case."""

    def build(case: str | dict[str, Any], **changes: Any) -> Job:
        settings = dict(CASES[case] if isinstance(case, str) else case)
        recipe = settings.pop("recipe")
        return job(recipe, keep=KEPT, plugins=[plugin], **settings, **changes)

    return build


def killed_after(work: Job, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute a job that is saved after a step, and killed as soon as it is."""
    save = Progress._save

    def saved_and_killed(self: Progress, done: int) -> None:
        if done == step:
            save(self, done)
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "_save", saved_and_killed)
        with pytest.raises(Killed):
            execute(dataclasses.replace(work, save_every=1e-9))


def gone_on(work: Job, attempt: int = 2) -> Outcome:
    return execute(dataclasses.replace(work, attempt=attempt, save_every=1e9))


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Return what two outcomes have otherwise, beside times and attempts."""
    digests = [{n: a.sha256 for n, a in each.artifacts.items()} for each in (one, other)]
    return [
        what
        for what, same in {
            "numbers": same_numbers(one, other),
            "artifacts": digests[0] == digests[1],
            "provenance": one.provenance == other.provenance,
        }.items()
        if not same
    ]


def resumed(outcome: Outcome) -> list[int]:
    return [int(n.split()[-1]) for n in outcome.timings if n.startswith("resumed at step")]


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_goes_on_to_the_same_bits(
    case: str, made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = made(case)
    undisturbed = execute(work)
    assert not resumed(undisturbed)
    # Twice, at odd places: what a resumed attempt saves must do as well.
    killed_after(work, 2, monkeypatch)
    killed_after(dataclasses.replace(work, attempt=2), 5, monkeypatch)
    again = gone_on(work, 3)
    assert resumed(again) == [2, 5]
    assert differences(undisturbed, again) == []
    assert all(a.file.startswith("0003.") for a in again.artifacts.values())


@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("case", ["warm-up", "lookahead"])
def test_it_may_be_killed_after_any_step(
    case: str, step: int, made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = made(case)
    undisturbed = execute(work)
    killed_after(work, step, monkeypatch)
    assert differences(undisturbed, gone_on(work)) == []


# What is put back, where that is seen: without it the numbers are others.
PIECES = {
    "bench.training.module_state.NetworkState": "summed",
    "bench.training.loop.restore_optimizer": "adam",
    "bench.training.finite.TermWatch": "long",
    "bench.training.curves.CurveBook": "summed",
    "bench.training.selection.BestState": "worse and worse",
    "bench.training.deployment.ValidationSteps": "gaps",
    "bench.training.monitor.Monitor": "best of anytime",
    "bench.training.warmup.WarmupRule": "long warm-up",
    "bench.training.loop._WarmupPhase": "warm-up",
    "bench.training.gradients.PenaltyGradients": "penalties",
    "bench.training.keeper.Keeper": "summed",
    "bench.training.average.AveragedNetwork": "queues",
    "bench.training.loss.Loss": "queues",
    "bench.training.module_state.Randomness": "dropout",
    "bench.training.module_state._put_plain": "queues",
    "bench.training.module_state._put_buffer": "averaged anew",
    "bench.parts.updates.lookahead._Step": "lookahead",
    "bench.parts.updates.profit._Step": "profit",
    "bench.training.loop._Training": "summed",
}
CASES_OF_PIECES = {
    "long": rows(optimizer=RATES, steps=120),
    "worse and worse": rows(optimizer=Optimizer(sgd=SGD(lr=1.5, momentum=0.9)), **LOOKS),
    "long warm-up": {
        **rows(optimizer=RATES, **LOOKS),
        "warmup": Warmup(patience=6, gain=100.0),
    },
    "gaps": rows(optimizer=RATES, steps=12, validation=0.3, anytime=Anytime(gap=4)),
}


@pytest.mark.parametrize("piece", PIECES)
def test_no_piece_of_the_state_can_be_left_out(
    piece: str, made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = PIECES[piece]
    work = made(CASES_OF_PIECES.get(case, case))
    undisturbed = execute(work)
    killed_after(work, 5, monkeypatch)
    is_class = piece.rpartition(".")[2].lstrip("_")[0].isupper()
    name = f"{piece}.restore" if is_class else piece
    monkeypatch.setattr(name, lambda *args: None)
    try:
        again = gone_on(work)
    except (RuntimeError, ValueError, KeyError, AssertionError):
        # It has not come to a number.
        return
    assert resumed(again) == [5]
    assert differences(undisturbed, again)


def test_a_user_s_state_that_cannot_be_saved_is_said_and_the_cell_starts_over(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, changes in {
        "opaque": {**small(), "network": use("opaque")},
        "aliasing": {**small(), "network": use("aliasing")},
        "hoarding": {**rows(optimizer=RATES), "update": "hoarding"},
    }.items():
        work = made(changes)
        undisturbed = execute(work)
        capsys.readouterr()
        again = execute(dataclasses.replace(work, save_every=1e-9))
        assert "not resumable" in capsys.readouterr().out, name
        assert not CellFolder(str(work.folder)).progress.exists(), name
        assert differences(undisturbed, again) == [], name


def _flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "empty": lambda path: path.write_bytes(b""),
    "header": lambda path: _flip(path, 0.001),
    "middle": lambda path: _flip(path, 0.5),
    "last byte": lambda path: _flip(path, 1.0),
    "a number": lambda path: path.write_bytes(
        path.read_bytes().replace(b'\\"gradients\\", 3', b'\\"gradients\\", 4')
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_not_used(
    damage: str,
    made: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = made("summed")
    undisturbed = execute(work)
    killed_after(work, 3, monkeypatch)
    file = CellFolder(str(work.folder)).progress
    before = file.read_bytes()
    DAMAGE[damage](file)
    assert file.read_bytes() != before
    capsys.readouterr()
    again = gone_on(work)
    assert not resumed(again)
    assert "starts over" in capsys.readouterr().out
    assert differences(undisturbed, again) == []


OTHERS: dict[str, dict[str, Any]] = {
    "code": {"code": {"data:folder": "0" * 64, "train": "1" * 64}},
    "machine": {"threads": 2},
    "states to keep": {"keep": frozenset({"checkpoint@step 1"})},
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_state_of_another_training_is_not_used(
    what: str,
    made: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = made("summed")
    killed_after(work, 3, monkeypatch)
    capsys.readouterr()
    other = dataclasses.replace(work, **OTHERS[what])
    again = gone_on(other)
    assert not resumed(again)
    assert f"starts over: other {what}" in capsys.readouterr().out


def test_a_lost_artifact_lets_the_cell_start_over(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = made("dropout")
    undisturbed = execute(work)
    killed_after(work, 3, monkeypatch)
    _flip(work.folder / "0001.checkpoint@step%202.safetensors", 0.9)
    again = gone_on(work)
    assert "starts over: keeper" in capsys.readouterr().out
    assert not resumed(again)
    assert differences(undisturbed, again) == []


def test_a_state_is_kept_where_memory_is_short_and_given_up_where_it_cannot_go_on(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = made("summed")
    killed_after(work, 3, monkeypatch)
    file = CellFolder(str(work.folder)).progress

    def fails(error: Exception) -> Callable[..., None]:
        def restore(*args: object) -> None:
            raise error

        return restore

    with monkeypatch.context() as patch:
        patch.setattr(
            "bench.training.loop.restore_optimizer", fails(torch.OutOfMemoryError("CUDA"))
        )
        with pytest.raises(torch.OutOfMemoryError):
            gone_on(work)
        assert file.exists()
        patch.undo()
    with monkeypatch.context() as patch:
        patch.setattr("bench.training.loop.rate_factor", fails(OSError("gone")))
        with pytest.raises(OSError, match="gone"):
            gone_on(work)
    assert not file.exists()


def test_a_disk_that_is_full_costs_the_state_and_not_the_cell(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = made("summed")
    undisturbed = execute(work)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.training.progress.write_tensors", full)
    again = execute(dataclasses.replace(work, save_every=1e-9))
    assert "cannot be saved" in capsys.readouterr().out
    assert differences(undisturbed, again) == []


def test_sigterm_lets_the_step_end_and_saves(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = made("summed")
    undisturbed = execute(work)
    calls = []
    terms = Loss.terms

    def asked_to_end(self: Loss, *args: Any, **draws: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return terms(self, *args, **draws)

    def end_process(self: Stopping) -> None:
        self.asked = False
        raise Killed

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with monkeypatch.context() as patch:
        patch.setattr(Loss, "terms", asked_to_end)
        patch.setattr(Stopping, "end_process", end_process)
        with pytest.raises(Killed):
            execute(dataclasses.replace(work, save_every=3600))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    again = gone_on(work)
    assert resumed(again) == [4]
    assert differences(undisturbed, again) == []


def test_seconds_add_up_over_attempts_and_an_undisturbed_record_says_nothing(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = made("summed")
    plain = execute(work).timings
    assert set(plain) == {"data_s", "build_s", "train_s", "evaluate_s", "total_s"}
    killed_after(work, 3, monkeypatch)
    timings = gone_on(work).timings
    assert timings["earlier_s"] == timings["resumed at step 3"] > 0
    assert timings["total_s"] > timings["train_s"] > 0
    assert timings["total_s"] > timings["earlier_s"]
