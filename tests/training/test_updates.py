"""What one step does with gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import UserError
from bench.parts.kinds import GradientFunction, Training, Update
from bench.scheduling.job import Job
from bench.spec.metrics import declared_curves
from bench.spec.parts import find_part
from bench.spec.recipe import SGD, Optimizer, Recipe
from bench.training.curves import CurveBook
from bench.training.execute import execute
from bench.training.finite import NotANumber
from bench.training.loss import Batch, Loss
from tests.training.conftest import RECIPE, Build, ToyBatches, fit, task, toy_network

STILL = RECIPE.model_copy(update={"optimizer": Optimizer(sgd=SGD(lr=0.0))})
PLUGIN = '''
from typing import ClassVar

from bench.parts import Update, update


@update("twice")
class Twice(Update):
    """Steps by the second of two gradients, and tells by how much their losses differ."""

    curves = ("update/difference",)
    gradients_per_step: ClassVar[str] = "2"
    name: str = "update/difference"

    def begin(self, training):
        def step(gradient):
            first, second = gradient().sum(), gradient().sum()
            training.note(self.name, float(second - first))
            training.apply()

        return step
'''


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    file = tmp_path / "twice.py"
    file.write_text(PLUGIN)
    return file


@pytest.fixture
def batches_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Job], list[Tensor]]:
    """Return a function that gives the inputs of each gradient of a job's first task."""

    def run(job: Job) -> list[Tensor]:
        seen: list[Tensor] = []
        terms = Loss.terms

        def spy(self: Loss, batches: Mapping[str, Batch], **draws: Any) -> Tensor:
            seen.append(next(iter(batches.values()))[0].clone())
            return terms(self, batches, **draws)

        with monkeypatch.context() as patch:
            patch.setattr(Loss, "terms", spy)
            assert execute(job).metrics["train/gradients"] == len(seen)
        return seen

    return run


def test_each_gradient_has_a_batch_of_its_own_in_the_one_order(
    job: Build, twice: Path, batches_of: Callable[[Job], list[Tensor]]
) -> None:
    double = batches_of(job(update="twice", plugins=[twice]))
    single = batches_of(job(RECIPE.model_copy(update={"steps": 8})))
    assert (len(double), len(single)) == (8, 8)
    for ours, theirs in zip(double, single, strict=True):
        assert torch.equal(ours, theirs)
    for i, one in enumerate(double):
        assert not any(torch.equal(one, other) for other in double[i + 1 :])


def test_every_task_draws_a_batch_for_each_gradient(job: Build, twice: Path) -> None:
    tasks = {"a": task(), "b": task("stripes")}
    outcome = execute(job(update="twice", plugins=[twice], tasks=tasks))
    assert outcome.metrics["train/gradients"] == 8


class Counted(ToyBatches):
    """Remembers which batches were drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        self.steps.append(step)
        return super().batch(step)


def test_the_default_takes_batch_k_at_step_k() -> None:
    batches = Counted()
    assert fit(toy_network(), Recipe(steps=5), batches=batches) == (None, 5)
    assert batches.steps == [0, 1, 2, 3, 4]


def test_what_an_update_notes_becomes_a_curve(job: Build, twice: Path) -> None:
    double = execute(job(STILL, update="twice", plugins=[twice])).curves
    single = execute(job(STILL.model_copy(update={"steps": 8}))).curves
    losses = single["train/loss"].value
    assert double["update/difference"].at == (1, 2, 3, 4)
    expected = [losses[2 * k + 1] - losses[2 * k] for k in range(4)]
    assert double["update/difference"].value == pytest.approx(expected, abs=1e-6)
    means = [(losses[2 * k + 1] + losses[2 * k]) / 2 for k in range(4)]
    assert double["train/loss"].value == pytest.approx(means, rel=1e-6)


def test_it_is_declared_before_the_cell_runs(job: Build, twice: Path) -> None:
    made = job(update="twice", plugins=[twice])

    def find(kind, name):  # type: ignore[no-untyped-def]
        return find_part(kind, name, made.resources.plugins)

    assert set(declared_curves(made.cell, find, ())) == set(execute(made).curves)


class Notes(Update):
    """Notes the number of the step, and of how many gradients it took."""

    curves = ("update/number",)

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        count = 0

        def step(gradient: GradientFunction) -> None:
            nonlocal count
            count += 1
            gradient()
            training.note("update/number", count)
            training.apply()

        return step


def test_a_noted_curve_is_the_mean_since_the_point_before() -> None:
    book = CurveBook()
    fit(toy_network(), Recipe(steps=125), update=Notes(), book=book)
    curve = book.curves()["update/number"]
    assert curve.at == (*range(2, 125, 2), 125)
    assert curve.value[:3] == (1.5, 3.5, 5.5)
    assert curve.value[-1] == 125


def test_a_curve_that_is_not_declared_is_refused(tmp_path: Path, job: Build) -> None:
    file = tmp_path / "loud.py"
    file.write_text(PLUGIN.replace('"update/difference",)', '"update/other",)'))
    with pytest.raises(UserError, match=r"notes 'update/difference', and declares"):
        execute(job(update="twice", plugins=[file]))


class Second(Update):
    """Steps by the second of two gradients."""

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        def step(gradient: GradientFunction) -> None:
            gradient()
            gradient()
            training.apply()

        return step


def test_a_gradient_takes_the_place_of_the_one_before() -> None:
    ours, reference = toy_network(), toy_network()
    fit(ours, Recipe(steps=3, optimizer=Optimizer(sgd=SGD(lr=0.1))), update=Second())
    stepper = torch.optim.SGD(reference.parameters(), lr=0.1)
    for step in range(6):
        images, labels = ToyBatches().batch(step)
        stepper.zero_grad()
        # The first pass of a step moves running statistics alone.
        cross_entropy(reference(images).logits, labels).backward()
        if step % 2:
            stepper.step()
    for name, value in reference.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


class Sharp(Update):
    """Averages the gradients of two batches, each half."""

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        def step(gradient: GradientFunction) -> None:
            gradient()
            kept = [p.grad.clone() for p in training.network.parameters() if p.grad is not None]
            gradient()
            for parameter, first in zip(training.network.parameters(), kept, strict=True):
                assert parameter.grad is not None
                parameter.grad.add_(first).div_(2)
            training.apply()

        return step


def test_what_an_update_puts_into_the_gradients_is_what_is_stepped_by() -> None:
    ours, reference = toy_network(), toy_network()
    fit(ours, Recipe(steps=1, optimizer=Optimizer(sgd=SGD(lr=0.3))), update=Sharp())
    losses = [
        cross_entropy(reference(images).logits, labels)
        for images, labels in map(ToyBatches().batch, range(2))
    ]
    (sum(losses) / 2).backward()
    torch.optim.SGD(reference.parameters(), lr=0.3).step()
    for name, value in reference.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name), value)


class Bursts(ToyBatches):
    """The fourth batch holds an infinite pixel."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        images, labels = super().batch(step)
        return images / (0.0 if step == 3 else 1.0), labels


def test_a_term_that_breaks_is_named_with_its_step_and_not_its_gradient() -> None:
    with pytest.raises(NotANumber) as caught:
        fit(toy_network(), Recipe(steps=5), update=Second(), batches=Bursts())
    assert caught.value.step == 2


def test_the_rate_at_a_step_is_that_of_the_schedule_whatever_the_gradients() -> None:
    rates: list[float] = []

    class Looks(Second):
        def begin(self, training: Training) -> Callable[[GradientFunction], None]:
            inner = super().begin(training)

            def step(gradient: GradientFunction) -> None:
                rates.append(training.optimizer.param_groups[-1]["lr"])
                inner(gradient)

            return step

    recipe = Recipe.model_validate(
        {
            "steps": 4,
            "optimizer": {"sgd": {"lr": 0.1}},
            "schedule": {"step": {"every": 2, "factor": 0.5}},
        }
    )
    fit(toy_network(), recipe, update=Looks())
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05])
