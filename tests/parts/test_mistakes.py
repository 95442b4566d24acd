"""Common and uncommon mistakes, counted image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from torch import Tensor

from bench.errors import UserError
from bench.parts.kinds import Measured
from bench.parts.measurements.mistakes import Mistakes

CLASSES = 4
JUDGES = ("judge1", "judge2", "judge3")
NONE: dict[str, str] = {}


class Predictions:
    """What networks said of the same images, of which some are harder."""

    def __init__(self, rows: int = 80, judges: tuple[str, ...] = JUDGES, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.roles = ("first", "second", *judges)
        targets = draw.integers(0, CLASSES, rows)
        ease = draw.exponential(1.5, rows)
        self.tensors: dict[str, dict[str, Tensor]] = {}
        for role in self.roles:
            outputs = draw.normal(size=(rows, CLASSES))
            outputs[np.arange(rows), targets] += ease
            self.tensors[role] = {
                "outputs": torch.from_numpy(outputs).float(),
                "targets": torch.from_numpy(targets),
                "test_rows": torch.arange(32, dtype=torch.uint8),
            }

    def parent(self, role: str) -> dict[str, Tensor]:
        return self.tensors[role]

    def answers(self) -> list[tuple[int, dict[str, int]]]:
        """Return for each image its class, and what each network says."""
        targets = self.tensors["first"]["targets"].tolist()
        return [
            (target, {r: int(t["outputs"][i].argmax()) for r, t in self.tensors.items()})
            for i, target in enumerate(targets)
        ]


def measured(predictions: Predictions, **settings: Any) -> Measured:
    return Mistakes(**settings)(predictions)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_those_of_a_plain_loop(seed: int) -> None:
    predictions = Predictions(seed=seed)
    counts = dict.fromkeys(
        ["first", "second", "common", "same-answer", "first-only", "second-only"], 0
    )
    ambiguity: dict[str, list[int]] = {"first-only": [], "second-only": [], "common": []}
    images = predictions.answers()
    for target, said in images:
        first, second = said["first"] != target, said["second"] != target
        counts["first"] += first
        counts["second"] += second
        counts["common"] += first and second
        counts["same-answer"] += first and said["first"] == said["second"]
        counts["first-only"] += first and not second
        counts["second-only"] += second and not first
        if first or second:
            name = "common" if first and second else "first-only" if first else "second-only"
            ambiguity[name].append(sum(said[judge] != target for judge in JUDGES))
    found = measured(predictions).metrics
    for name, count in counts.items():
        assert found[f"mistakes/{name}"] == pytest.approx(count / 80, abs=1e-15)
    for name, wrong in ambiguity.items():
        assert found[f"mistakes/{name}/judged-wrong"] == pytest.approx(sum(wrong) / len(wrong) / 3)
        assert found[f"mistakes/{name}/easy"] == pytest.approx(wrong.count(0) / len(wrong))
    assert 0 < counts["same-answer"] < counts["common"]
    assert set(found) == set(Mistakes().metric_names())


@pytest.mark.parametrize("seed", range(4))
def test_what_is_in_common_is_compared_with_chance(seed: int) -> None:
    predictions = Predictions(seed=seed)
    first, second = (
        [said[r] != t for t, said in predictions.answers()] for r in ("first", "second")
    )
    found = measured(predictions).metrics
    kappa = cohen_kappa_score(first, second)
    assert found["mistakes/kappa"] == pytest.approx(kappa, abs=1e-12)
    common = sum(a and b for a, b in zip(first, second, strict=True))
    assert found["mistakes/lift"] == pytest.approx(common * 80 / sum(first) / sum(second))


def test_networks_that_err_independently_have_a_lift_of_1_and_a_kappa_of_0() -> None:
    predictions = Predictions(4, ())
    # Of four images, each network misses two; they share one.
    for role, wrong in (("first", [1, 1, 0, 0]), ("second", [1, 0, 1, 0])):
        tensors = predictions.tensors[role]
        said = (tensors["targets"] + torch.tensor(wrong)) % CLASSES
        tensors["outputs"] = torch.eye(CLASSES)[said]
    found = measured(predictions, judged=NONE).metrics
    assert (found["mistakes/lift"], found["mistakes/kappa"]) == (1, 0)
    assert found["mistakes/same-answer"] == found["mistakes/common"] == 0.25


def test_the_array_says_who_is_wrong_of_each_image() -> None:
    predictions = Predictions()
    wrong = measured(predictions).arrays["wrong"]
    expected = [[said[r] != t for t, said in predictions.answers()] for r in predictions.roles]
    assert wrong.dtype == torch.uint8
    assert wrong.tolist() == expected


def test_sets_are_judged_by_the_names_that_they_are_given() -> None:
    found = measured(Predictions(), judged={"P-T": "first-only"}).metrics
    assert [name for name in found if "judged" in name] == ["mistakes/P-T/judged-wrong"]
    both = measured(Predictions()).metrics
    assert found["mistakes/P-T/easy"] == both["mistakes/first-only/easy"]


def test_without_judges_nothing_is_judged() -> None:
    with pytest.raises(UserError, match=r"no judges\n.*judge1, judge2, … or set judged: \{\}"):
        measured(Predictions(judges=()))
    assert not any("judged" in n for n in measured(Predictions(judges=()), judged=NONE).metrics)


def test_what_is_undefined_is_an_error_with_its_reason() -> None:
    predictions = Predictions()
    predictions.tensors["first"]["outputs"] = torch.eye(CLASSES)[
        predictions.tensors["first"]["targets"]
    ]
    with pytest.raises(UserError, match="makes no mistake: the lift of common ones is 0/0"):
        measured(predictions)
    twins = Predictions()
    twins.tensors["second"] = twins.tensors["first"]
    with pytest.raises(UserError, match=r"judged.first-only: no test image is in first-only"):
        measured(twins)
    found = measured(twins, judged={"common": "common"}).metrics
    assert found["mistakes/kappa"] == pytest.approx(1)
    twins.roles = ("first", "second")
    for tensors in twins.tensors.values():
        tensors["outputs"] = torch.eye(CLASSES)[(tensors["targets"] + 1) % CLASSES]
    with pytest.raises(UserError, match="all images, or both wrong: kappa is 0/0"):
        measured(twins, judged=NONE)


@pytest.mark.parametrize("role", ["second", "judge2"])
@pytest.mark.parametrize("what", ["targets", "test_rows"])
def test_predictions_of_other_images_are_refused(role: str, what: str) -> None:
    predictions = Predictions()
    tensors = predictions.tensors[role]
    tensors[what] = tensors[what].flip(0)
    with pytest.raises(UserError, match=f"measure.roles.{role}: .* not of the same test images"):
        measured(predictions)


def test_files_that_do_not_say_their_rows_are_compared_by_their_targets() -> None:
    predictions = Predictions()
    expected = measured(predictions).metrics
    del predictions.tensors["second"]["test_rows"]
    assert measured(predictions).metrics == expected


@pytest.mark.parametrize(
    ("one", "other"), [("first", "judge1"), ("second", "judge3"), ("judge1", "judge3")]
)
def test_no_network_judges_itself_or_twice(one: str, other: str) -> None:
    predictions = Predictions()
    predictions.tensors[other] = predictions.tensors[one]
    with pytest.raises(UserError, match=f"roles.{other}: {other} says the same as {one} of every"):
        measured(predictions)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("outputs", None, "predictions of several tasks"),
        ("targets", torch.zeros(80), "other targets than classes"),
        ("outputs", torch.full((80, CLASSES), torch.nan), "outputs that are not finite"),
        ("outputs", torch.zeros(80, 7), "chooses among 7 classes, and first among 4"),
    ],
)
def test_predictions_that_tell_of_no_mistakes_are_refused(
    name: str, value: Tensor | None, message: str
) -> None:
    predictions = Predictions()
    if value is None:
        del predictions.tensors["second"][name]
    else:
        predictions.tensors["second"][name] = value
    with pytest.raises(UserError, match=rf"measure.roles.second: second .*{message}"):
        measured(predictions)
