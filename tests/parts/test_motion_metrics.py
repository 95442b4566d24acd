"""Waymo's motion metrics: cases worked out by hand, and the definitions agent by agent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.parts.motion_metrics import (
    Forecasts,
    average_precision,
    mean_average_precision,
    min_ade,
    min_fde,
    miss_rate,
    ways,
)

METRICS = {"ade": min_ade, "fde": min_fde, "miss": miss_rate, "map": mean_average_precision}


def straight(speed=10.0, n=1):
    """Return states of agents that go straight on along x."""
    states = np.zeros((n, 81, 6))
    states[..., 0] = np.arange(81) * 0.1 * speed
    states[..., 3] = speed
    states[..., 5] = 1
    return states


def exact(states, modes=2):
    """Return forecasts all of whose modes are the truth, equally probable."""
    paths = np.repeat(states[:, None, 1:, :2], modes, axis=1)
    return Forecasts(paths, np.full((len(states), modes), 1 / modes), states)


def shifted(states, x=0.0, y=0.0, step=None):
    """Return one mode that is off by so much, at one step or at all."""
    forecasts = exact(states, 1)
    at = slice(None) if step is None else step - 1
    forecasts.paths[:, :, at] += [x, y]
    return forecasts


def test_the_truth_is_without_error():
    forecasts = exact(straight(n=3), 1)
    found = {name: metric(forecasts, 8) for name, metric in METRICS.items()}
    assert found == {"ade": 0, "fde": 0, "miss": 0, "map": 1}
    # Said twice, half of it is wrong: an agent goes one way.
    assert mean_average_precision(exact(straight(n=3), 2), 8) == 0.5


def test_a_shift_by_three_and_four_metres_is_five_metres_off():
    forecasts = shifted(straight(), 3.0, -4.0)
    for seconds in (3, 8):
        assert min_ade(forecasts, seconds) == min_fde(forecasts, seconds) == 5.0


def test_an_error_at_one_time_is_in_the_metrics_of_that_time_alone():
    # Three seconds are step 30 of ten a second, and the sixth of two a second.
    at_three = shifted(straight(), 6.0, step=30)
    assert min_fde(at_three, 3) == 6.0
    assert min_fde(at_three, 8) == 0.0
    assert min_ade(at_three, 3) == pytest.approx(6 / 6)
    assert min_ade(at_three, 8) == pytest.approx(6 / 16)
    at_eight = shifted(straight(), 0, 8.0, step=80)
    assert (min_fde(at_eight, 3), min_ade(at_eight, 3)) == (0, 0)
    assert min_fde(at_eight, 8) == 8.0
    assert min_ade(at_eight, 8) == pytest.approx(8 / 16)
    for beside in (29, 31, 79):
        forecasts = shifted(straight(), 5.0, step=beside)
        assert [metric(forecasts, s) for metric in (min_ade, min_fde) for s in (3, 8)] == [0] * 4


def test_each_metric_takes_its_own_best_mode():
    forecasts = exact(straight(), 2)
    forecasts.paths[0, 0, 29] += [0, 2.0]
    forecasts.paths[0, 1, 79] += [0, 9.0]
    assert (min_fde(forecasts, 3), min_fde(forecasts, 8)) == (0, 0)
    assert min_ade(forecasts, 3) == 0
    assert min_ade(forecasts, 8) == pytest.approx(2 / 16)


def test_what_is_not_valid_counts_nowhere():
    states = straight(n=3)
    # The first is lost from 2.5 s on, the second at 8 s alone, the third never.
    states[0, 25:] = 0
    states[1, 80] = 0
    forecasts = exact(states, 1)
    forecasts.paths[0, :, 24:] += 1000
    forecasts.paths[1, :, 79] += 1000
    forecasts.paths[2] += [0, 2.0]
    assert min_ade(forecasts, 3) == pytest.approx((0 + 0 + 2) / 3)
    assert min_ade(forecasts, 8) == pytest.approx((0 + 0 + 2) / 3)
    assert min_fde(forecasts, 3) == pytest.approx((0 + 2) / 2)
    assert min_fde(forecasts, 8) == 2.0
    # 2 m aside is a miss at 3 s (1 m at 10 m/s), and none at 8 s.
    assert miss_rate(forecasts, 3) == 0.5
    assert miss_rate(forecasts, 8) == 0.0
    # Who has no valid point at all up to a time is not counted in its ADE either.
    states[0, 1:] = 0
    assert min_ade(exact(states, 1)._replace(paths=forecasts.paths), 3) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("speed", "seconds", "across", "along"),
    [
        (11.0, 3, 1.0, 2.0),
        (30.0, 3, 1.0, 2.0),
        (11.0, 8, 3.0, 6.0),
        (11.0, 5, 1.8, 3.6),
        (1.4, 3, 0.5, 1.0),
        (0.0, 8, 1.5, 3.0),
        # Half way from 1.4 to 11 m/s: three quarters.
        (6.2, 8, 2.25, 4.5),
    ],
)
def test_limits_of_a_miss_are_those_printed(speed, seconds, across, along):
    states = straight(speed)
    # Who heads to the left at that time has its own "along" on the y axis.
    states[:, 1:, 2] = math.pi / 2
    for x, y, missed in (
        (across - 0.01, 0, 0), (across + 0.01, 0, 1), (0, along - 0.01, 0), (0, -along - 0.01, 1),
        (across - 0.01, along - 0.01, 0),
    ):  # fmt: skip
        assert miss_rate(shifted(states, x, y), seconds) == missed


def ended(x, y, heading=0.0, speed=5.0, last=80):
    states = straight(speed)
    states[0, last, :5] = [x, y, heading, speed, 0]
    states[0, last + 1 :] = 0
    return states


@pytest.mark.parametrize(
    ("states", "kind"),
    [
        (ended(1, 1, speed=0.5), 0),
        (ended(1, 3, speed=0.5), 2),
        (ended(1, 1, speed=2.1), 1),
        (ended(40, 2.4), 1),
        (ended(40, 2.6), 2),
        (ended(40, -2.6), 3),
        (ended(20, 20, 1.5), 5),
        (ended(20, -20, -1.5), 6),
        (ended(-1, 20, 3.1), 4),
        (ended(1, 20, 3.1), 5),
        (ended(-1, -20, -3.1), 6),
        (ended(40, 0, math.pi / 6 + 0.01), 5),
        (ended(40, 0, math.pi / 6 - 0.01), 1),
        # Only the last valid state counts.
        (ended(20, 20, 1.5, last=40), 5),
        # Headings are angles: a bit below 2π is no turn.
        (ended(40, 0, 2 * math.pi - 0.1), 1),
    ],
)
def test_kinds_of_ways_are_those_of_waymos_code(states, kind):
    assert ways(states).tolist() == [kind]


def test_average_precision_by_hand():
    # In order of probability: right, wrong, right; of two agents.
    said = np.array([[0.9, 0.5], [0.8, 0.1]])
    right = np.array([[True, True], [False, False]])
    assert average_precision(said, right) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # Of equal probabilities the wrong one comes first.
    assert average_precision(np.array([[0.5, 0.5]]), np.array([[True, False]])) == 0.5
    # Interpolated: the precision at a recall is the best at any higher one.
    said = np.array([[0.9], [0.8], [0.7]])
    right = np.array([[False], [True], [True]])
    assert average_precision(said, right) == pytest.approx(2 / 3 * 2 / 3)
    assert average_precision(said, np.zeros((3, 1), bool)) == 0


def test_a_second_hit_of_one_agent_is_wrong():
    forecasts = exact(straight(), 3)
    forecasts.probabilities[:] = [0.5, 0.3, 0.2]
    assert mean_average_precision(forecasts, 8) == 1.0
    forecasts.paths[0, 0] += 100.0
    assert mean_average_precision(forecasts, 8) == 0.5


def by_definition(forecasts, seconds):
    """Return the four metrics with one loop a mean, in plain numbers."""
    ades, fdes, misses, buckets = [], [], [], {}
    for paths, chances, states in zip(*forecasts, strict=True):
        points = [s for s in range(5, 10 * seconds + 1, 5) if states[s, 5] == 1]
        if points:
            ades.append(
                min(
                    sum(math.dist(path[s - 1], states[s, :2]) for s in points) / len(points)
                    for path in paths
                )
            )
        truth = states[10 * seconds]
        if truth[5] != 1:
            continue
        ends = [path[10 * seconds - 1] for path in paths]
        fdes.append(min(math.dist(end, truth[:2]) for end in ends))
        speed = math.hypot(*states[0, 3:5])
        scale = 0.5 + 0.5 * min(max((speed - 1.4) / 9.6, 0), 1)
        side, length = {3: (1, 2), 8: (3, 6)}[seconds]
        hits = []
        for end in ends:
            # As complex numbers: turned back by the heading, along is real.
            away = complex(*(end - truth[:2])) * np.exp(-1j * truth[2])
            hits.append(abs(away.imag) <= side * scale and abs(away.real) <= length * scale)
        misses.append(not any(hits))
        kind = ways(states[None])[0]
        samples, agents = buckets.setdefault(kind, ([], []))
        agents.append(1)
        first = True
        for chance, hit in sorted(zip(chances, hits, strict=True), key=lambda pair: -pair[0]):
            samples.append((chance, hit and first))
            first = first and not hit
    precisions = []
    for samples, agents in buckets.values():
        samples.sort(key=lambda sample: (-sample[0], sample[1]))
        curve, true = [], 0
        for count, (_, right) in enumerate(samples, 1):
            true += right
            curve.append((true / len(agents), true / count))
        area, before = 0.0, 0.0
        for place, (recall, _) in enumerate(curve):
            area += (recall - before) * max(p for _, p in curve[place:])
            before = recall
        precisions.append(area)
    return [sum(each) / len(each) for each in (ades, fdes, misses, precisions)]


@pytest.mark.parametrize("seconds", [3, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_random_forecasts_have_the_metrics_of_the_definitions(seconds, seed):
    draw = np.random.default_rng(seed)
    n, k = 40, 6
    states = straight(n=n)
    states[:, :, 3] = draw.uniform(0, 15, (n, 1))
    bend = draw.normal(0, 0.03, (n, 1)) * np.arange(81)
    states[:, :, 2] = bend
    states[:, :, 0] = np.cumsum(np.cos(bend) * states[:, :, 3], axis=1) * 0.1
    states[:, :, 1] = np.cumsum(np.sin(bend) * states[:, :, 3], axis=1) * 0.1
    states[:, 1:, 5] = draw.random((n, 80)) < 0.8
    states *= states[:, :, 5:]
    paths = (
        states[:, None, 1:, :2] + draw.normal(0, 2.5, (n, k, 1, 2)) * np.linspace(0, 2, 80)[:, None]
    )
    chances = draw.dirichlet(np.ones(k), n)
    forecasts = Forecasts(paths, chances, states)
    found = [metric(forecasts, seconds) for metric in METRICS.values()]
    assert found == pytest.approx(by_definition(forecasts, seconds), abs=1e-12)
    assert 0.05 < found[2] < 0.95
    assert 0.02 < found[3] < 0.95


def test_the_order_of_modes_and_of_agents_changes_nothing():
    draw = np.random.default_rng(3)
    states = straight(n=20)
    paths = states[:, None, 1:, :2] + draw.normal(0, 3, (20, 6, 1, 2))
    forecasts = Forecasts(paths, draw.dirichlet(np.ones(6), 20), states)
    modes, agents = draw.permutation(6), draw.permutation(20)
    turned = Forecasts(paths[:, modes], forecasts.probabilities[:, modes], states)
    turned = Forecasts(*(array[agents] for array in turned))
    for metric in METRICS.values():
        assert metric(turned, 8) == pytest.approx(metric(forecasts, 8), abs=1e-12)
    # Probabilities that stay where modes move would be others' probabilities.
    wrong = Forecasts(paths[:, ::-1], forecasts.probabilities, states)
    assert mean_average_precision(wrong, 8) != mean_average_precision(forecasts, 8)
