from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench.errors import UserError
from bench.parts.checks.synthetic import SHAPES, synthetic_step
from bench.parts.kinds import Step
from bench.parts.penalties.ewc import ElasticWeightConsolidation as EWC


@pytest.fixture
def step() -> Step:
    return synthetic_step(SHAPES[0], EWC.needs)


def drifts(step: Step) -> dict[str, float]:
    """Return Σ F (θ − θ*)² of each parameter that trains, in plain loops."""
    fisher = step.measured["fisher"]
    found = {}
    for of, parameters in (("", step.backbone), ("head/", step.head)):
        for name, now in parameters.items():
            if not now.requires_grad:
                continue
            start = step.start[name] if not of else fisher[f"start/head/{name}"]
            values = zip(
                fisher[f"{of}{name}"].flatten().tolist(),
                now.flatten().tolist(),
                start.flatten().tolist(),
                strict=True,
            )
            found[f"{of}{name}"] = sum(f * (a - b) ** 2 for f, a, b in values)
    return found


def test_the_term_is_equation_3(step: Step) -> None:
    total = sum(drifts(step).values())
    assert EWC(weight=30.0)(step).item() == pytest.approx(30 / 2 * total, rel=1e-12)


def test_a_free_head_costs_nothing(step: Step) -> None:
    backbone = sum(value for name, value in drifts(step).items() if not name.startswith("head/"))
    assert EWC(head="free")(step).item() == pytest.approx(backbone / 2, rel=1e-12)
    other = replace(step, head={name: value[:1] for name, value in step.head.items()})
    assert EWC(head="free")(other) == EWC(head="free")(step)


def test_all_at_the_start_cost_nothing(step: Step) -> None:
    fisher = step.measured["fisher"]
    same = replace(
        step,
        backbone={n: step.start[n].clone().requires_grad_(p.requires_grad)
                  for n, p in step.backbone.items()},
        head={n: fisher[f"start/head/{n}"].clone().requires_grad_() for n in step.head},
    )  # fmt: skip
    assert EWC(weight=5.0)(same) == 0
    assert EWC(weight=5.0)(replace(same, head=step.head)) > 0


def test_what_a_patch_added_is_free(step: Step) -> None:
    added = torch.ones(2, dtype=torch.float64, requires_grad=True)
    more = replace(
        step,
        backbone={**step.backbone, "adapter.weight": added},
        start={**step.start, "adapter.weight": torch.zeros(2, dtype=torch.float64)},
    )
    assert EWC()(more) == EWC()(step)


@pytest.mark.parametrize("head", ["other classes", "no bias before"])
def test_a_head_that_is_not_the_earlier_one_is_refused(step: Step, head: str) -> None:
    if head == "other classes":
        step = replace(step, head={n: torch.cat([p, p]) for n, p in step.head.items()})
    else:
        fisher = dict(step.measured["fisher"])
        del fisher["start/head/bias"], fisher["head/bias"]
        step = replace(step, measured={"fisher": fisher})
    with pytest.raises(UserError, match="head: free"):
        EWC()(step)
