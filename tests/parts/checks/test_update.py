"""The checks of an update each fail for their own fault."""

from __future__ import annotations

import pytest

from bench.parts.checks import check_part

SHARPNESS = """
radius: float = 0.05
curves = ("sharpness",)
gradients_per_step: ClassVar[str] = "2"

def begin(self, training):
    def step(gradient):
        parameters = [p for p in training.network.parameters() if p.requires_grad]
        first = gradient().sum()
        with torch.no_grad():
            norm = torch.stack([p.grad.norm() for p in parameters]).norm()
            moves = [self.radius / norm * p.grad for p in parameters]
            torch._foreach_add_(parameters, moves)
        second = gradient().sum()
        with torch.no_grad():
            torch._foreach_sub_(parameters, moves)
        training.note("sharpness", float(second - first))
        training.apply()
    return step
"""


def details(path) -> dict[str, str]:
    return {check.name: check.detail for check in check_part("update", "mine", [str(path)])}


def test_an_update_of_ones_own_passes_and_its_details_say_what_it_does(failures, tmp_path):
    assert failures("update", SHARPNESS) == {}
    said = details(tmp_path / "mine.py")
    assert said["gradients"] == "2 gradients a step"
    assert said["curves"] == "sharpness"
    assert said["parameters"] == "the optimizer steps in 4 of 4 steps"


@pytest.mark.parametrize("stated", ["1", "3"])
def test_an_update_that_states_another_number_of_gradients_is_found(failures, stated):
    wrong = failures("update", SHARPNESS.replace('"2"', f'"{stated}"'))
    assert set(wrong) == {"gradients"}
    assert f"takes 2 gradients a step, and states {stated}" in wrong["gradients"]


def test_an_update_need_not_know_how_many_gradients_it_takes(failures):
    assert failures("update", SHARPNESS.replace('"2"', '""')) == {}


def test_an_update_without_the_optimizer_is_said_to_move_parameters_by_itself(failures, tmp_path):
    body = """
    def begin(self, training):
        def step(gradient):
            gradient()
            with torch.no_grad():
                for p in training.network.parameters():
                    if p.requires_grad:
                        p -= 0.1 * p.grad.sign()
        return step
    """
    assert failures("update", body) == {}
    said = details(tmp_path / "mine.py")
    assert said["zero rate"] == "moves parameters by up to 0.1 a step at a learning rate of zero"
    assert said["parameters"] == "the optimizer steps in 0 of 4 steps"


def test_the_optimizers_step_alone_moves_nothing_at_a_rate_of_zero():
    said = {check.name: check.detail for check in check_part("update", "gradient")}
    assert said["zero rate"] == "only the optimizer moves parameters"


STEP = "def begin(self, training):\n    def step(gradient):\n        {code}\n    return step"
FAULTS = {
    "takes no gradient": ("training.apply()", {"gradients", "parameters"}),
    "moves nothing": ("gradient()", {"parameters"}),
    "notes what it does not declare": (
        "gradient(); training.apply(); training.note('x', 1.0)",
        {"curves"},
    ),
    "never notes what it declares": ("gradient(); training.apply()", {"curves"}),
    "notes no number": (
        "gradient(); training.apply(); training.note('mine', float('nan'))",
        {"curves"},
    ),
    "draws": (
        "torch.rand(()); gradient(); training.apply(); training.note('mine', 1.0)",
        {"pairing"},
    ),
    "remembers": (
        "CALLS.append(1); gradient(); training.apply(); training.note('mine', len(CALLS))",
        {"determinism", "pairing"},
    ),
    "moves what is frozen": (
        "gradient(); training.apply(); [p.data.add_(1.0) for p in training.network.parameters()]",
        {"frozen"},
    ),
    "ends in no number": (
        "gradient(); training.apply(); [p.data.mul_(float('nan')) for p in "
        "training.network.parameters()]",
        {"parameters"},
    ),
    "asks for more than an update has": (
        "gradient(); training.apply(); training.watch.means()",
        {"gradients", "parameters"},
    ),
    "knows one head": (
        "gradient(); training.apply(); training.network.heads['']; training.note('mine', 1)",
        {"tasks"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_the_check_for_it(failures, fault):
    code, expected = FAULTS[fault]
    body = 'curves = ("mine",)\n\n' + STEP.format(code=code)
    assert expected <= set(failures("update", body, before="CALLS = []\n"))


def test_a_fault_fails_no_check_that_is_not_about_it(failures):
    body = STEP.format(code="torch.rand(()); gradient(); training.apply()")
    assert set(failures("update", body)) == {"pairing"}
