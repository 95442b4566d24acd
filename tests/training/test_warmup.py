from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats
from torch import nn

from bench.models.network import Network
from bench.parts.objectives.classification import Classification
from bench.parts.trainables.head import Head
from bench.spec.recipe import SGD, Anytime, Optimizer, Recipe, Warmup
from bench.training.curves import CurveBook
from bench.training.monitor import Monitor, Scores
from bench.training.warmup import WarmupRule, drop_after
from tests.training.conftest import fit, toy_network


def _end(scores: list[float], warmup: Warmup) -> int | None:
    rule = WarmupRule(warmup)
    return next((i for i, score in enumerate(scores) if rule.ended(i, score)), None)


def test_it_ends_when_ten_steps_brought_less_than_a_point() -> None:
    # 0.5 at step 3; 0.509 at step 9 is no gain of a point; ten steps after 3 is 13.
    scores = [0.1, 0.2, 0.3, 0.5, *[0.5] * 5, 0.509, *[0.5] * 10]
    assert _end(scores, Warmup()) == 13


def test_a_gain_of_exactly_a_point_goes_on() -> None:
    scores = [0.57, *[0.57] * 9, 0.58, *[0.58] * 9]
    assert _end(scores, Warmup()) is None
    assert _end([*scores, 0.58], Warmup()) == 20


def test_creeping_up_by_less_than_a_point_each_time_counts_once_it_is_a_point() -> None:
    # Against the last gain, not against the step before.
    scores = [0.5 + 0.004 * i for i in range(40)]
    assert _end(scores, Warmup()) is None


def test_the_drop_is_to_the_mean_score_within_the_window() -> None:
    scores = [(3, 0.5), (4, 0.2), (5, 0.3), (9, 0.1)]
    assert drop_after(scores, 3, 4) == 0.25
    assert drop_after(scores, 3, 6) == pytest.approx(0.3)
    assert drop_after(scores, 9, 4) is None
    assert drop_after(scores, 7, 4) is None


def _drops(noise: Iterator[list[float]], runs: int) -> np.ndarray:
    """Return what is found where the switch changes nothing: the scores go on as they were."""
    drops = []
    while len(drops) < runs:
        scores = next(noise)
        switch = _end(scores, Warmup())
        if switch is not None and switch + 10 < len(scores):
            drops.append(drop_after(list(enumerate(scores)), switch, 10))
    return np.array(drops)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9, 1.0])
def test_no_drop_is_found_where_there_is_none(kept: float) -> None:
    """Scores that keep a share of their last deviation, up to a random walk.

    Of 400 tables of 15 seeds, the one-sided t test at 2.5% supports a drop in at most so many as
    chance gives; by the lowest of the ten scores after the switch it does in most.
    """
    draw = np.random.default_rng(0)

    def noise() -> Iterator[list[float]]:
        while True:
            score, scores = 0.0, []
            for step in draw.normal(0, 0.02, 200):
                score = kept * score + step
                scores.append(0.5 + score)
            yield scores

    drops = _drops(noise(), 15 * 400).reshape(400, 15)
    supported = stats.ttest_1samp(drops, 0, axis=1, alternative="greater").pvalue < 0.025
    # 2.5% of 400 is 10; three standard errors more are 19.
    assert supported.sum() <= 19


def test_a_drop_is_found_where_there_is_one() -> None:
    draw = np.random.default_rng(0)
    drops = []
    for _ in range(15):
        before = [0.5 + x for x in draw.normal(0, 0.02, 11)]
        after = [0.4 + x for x in draw.normal(0, 0.02, 10)]
        drops.append(drop_after(list(enumerate(before + after)), 10, 10))
    assert stats.ttest_1samp(drops, 0, alternative="greater").pvalue < 1e-6


def _run(
    warmup: Warmup | None,
    scores: list[float],
    steps: int,
    network: Network | None = None,
    **settings: Any,
) -> tuple[Network, int | None]:
    recipe = Recipe(
        steps=steps, optimizer=Optimizer(sgd=SGD(lr=0.1)), validation=0.5, anytime=Anytime()
    )
    network, book, left = network or toy_network(), CurveBook(), iter(scores)
    scored = Scores(
        validation=lambda network, step: {"validation/top1": next(left)},
        test=lambda network, step: {"test/top1": 0.0},
        objectives={"": Classification()},
    )
    monitor = Monitor(network, recipe, book, scored)
    switch, _ = fit(network, recipe, book=book, warmup=warmup, monitor=monitor, **settings)
    return network, switch


def test_the_backbone_stands_still_until_the_switch_and_moves_after_it() -> None:
    start = toy_network().backbone.conv.weight
    network, switch = _run(Warmup(patience=3), [0.5] * 20, steps=3)
    assert switch == 3
    assert network.backbone.conv.weight.equal(start)
    network, switch = _run(Warmup(patience=3), [0.5] * 20, steps=4)
    assert switch == 3
    assert not network.backbone.conv.weight.equal(start)


def test_frozen_statistics_stay_and_updated_ones_move() -> None:
    for statistics, tracked in (("frozen", 0), ("updated", 3)):
        network, _ = _run(Warmup(patience=3, statistics=statistics), [0.5] * 20, steps=3)
        assert network.backbone.norm.num_batches_tracked == tracked
    network, _ = _run(Warmup(patience=3), [0.5] * 20, steps=5)
    assert network.backbone.norm.num_batches_tracked == 2


def test_updating_statistics_wakes_no_dropout() -> None:
    network = toy_network()
    network.backbone.add_module("drop", nn.Dropout(0.5))
    seen: list[tuple[bool, bool, bool]] = []

    def look(step: int) -> None:
        moves = any(p.requires_grad for p in network.backbone.parameters())
        seen.append((network.backbone.norm.training, network.backbone.drop.training, moves))

    _run(Warmup(patience=3, statistics="updated"), [0.5] * 20, steps=4, network=network, after=look)
    assert seen[:4] == [(True, False, False)] * 4
    assert seen[4] == (True, True, True)


def test_every_step_of_the_drop_is_validated_and_then_the_gaps_grow_anew() -> None:
    recipe = Recipe(
        steps=22, optimizer=Optimizer(sgd=SGD(lr=0.1)), validation=0.5, anytime=Anytime()
    )
    network, book = toy_network(), CurveBook()
    scored = Scores(
        validation=lambda network, step: {"validation/top1": 0.5},
        test=lambda network, step: {"test/top1": 0.0},
        objectives={"": Classification()},
    )
    monitor = Monitor(network, recipe, book, scored)
    fit(network, recipe, book=book, warmup=Warmup(patience=5), monitor=monitor)
    assert book.curves()["validation/top1"].at == (*range(11), 11, 13, 16, 20, 22)


def test_a_warmup_that_nobody_validates_is_refused() -> None:
    network = toy_network()
    with pytest.raises(ValueError, match="monitor"):
        fit(network, Recipe(steps=2), warmup=Warmup())


def test_a_warmup_that_never_ends_is_training_the_head_alone() -> None:
    rising = [0.02 * i for i in range(20)]
    network, switch = _run(Warmup(), rising, steps=12)
    assert switch is None
    reference = toy_network()
    recipe = Recipe(steps=12, optimizer=Optimizer(sgd=SGD(lr=0.1)))
    fit(reference, recipe, trainable=Head())
    assert network.head.weight.equal(reference.head.weight)
