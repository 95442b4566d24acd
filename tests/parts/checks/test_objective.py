"""The checks of an objective each fail for their own fault."""

from __future__ import annotations

import pytest

from bench.errors import SpecError

OBJECTIVE = """
metrics = {metrics}
score = "accuracy"
term = "mine"

def width(self, data):
    return data.classes

def loss(self, outputs, targets):
    {loss}

def scores(self, outputs, targets):
    {scores}
"""
CROSS_ENTROPY = "return nn.functional.cross_entropy(outputs, targets)"
ACCURACY = "{'accuracy': float((outputs.argmax(1) == targets).mean())}"


def body(
    loss: str = CROSS_ENTROPY,
    scores: str = f"return {ACCURACY}",
    metrics: str = '{"accuracy": ("%", "highest")}',
) -> str:
    return OBJECTIVE.format(loss=loss, scores=scores, metrics=metrics)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_an_objective_of_ones_own_passes(failures, smoothing):
    loss = f"return nn.functional.cross_entropy(outputs, targets, label_smoothing={smoothing})"
    assert failures("objective", body(loss)) == {}


def test_an_objective_on_numbers_passes(failures):
    absolute = """
    metrics = {"mae": ("K", "lowest")}
    score = "mae"
    term = "mine"
    targets = "numbers"

    def width(self, data):
        return data.target_shape[0]

    def loss(self, outputs, targets):
        return (outputs - targets).abs().mean()

    def scores(self, outputs, targets):
        return {"mae": float(np.abs(outputs - targets).mean())}
    """
    assert failures("objective", absolute) == {}


FAULTS = {
    "sums over rows": (
        {"loss": "return nn.functional.cross_entropy(outputs, targets, reduction='sum')"},
        {"mean"},
    ),
    "gives a vector": (
        {"loss": "return nn.functional.cross_entropy(outputs, targets, reduction='none')"},
        {"scalar", "smoke run"},
    ),
    "has a wrong gradient": (
        {"loss": "return (outputs * outputs.detach()).mean()"},
        {"gradient"},
    ),
    "has no gradient": ({"loss": "return (outputs.detach() ** 2).mean()"}, {"gradient"}),
    "looks at the rows' order": ({"loss": "return outputs[0].square().mean()"}, {"mean"}),
    "gives a metric too few": (
        {"metrics": '{"accuracy": ("%", "highest"), "other": ("", "lowest")}'},
        {"scores"},
    ),
    "gives a metric too many": ({"scores": f"return {ACCURACY} | {{'x': 1.0}}"}, {"scores"}),
    "gives a NumPy number": (
        {"scores": "return {'accuracy': (outputs.argmax(1) == targets).mean(dtype='float32')}"},
        {"scores"},
    ),
    "multiplies by 100": (
        {"scores": "return {'accuracy': 100 * float((outputs.argmax(1) == targets).mean())}"},
        {"fractions"},
    ),
    "turns its better side": ({"metrics": '{"accuracy": ("%", "lowest")}'}, {"better side"}),
    "changes outputs": ({"loss": f"outputs.data.mul_(2); {CROSS_ENTROPY}"}, {"inputs"}),
    "changes targets": ({"scores": f"targets += 0; targets[0] = 1; return {ACCURACY}"}, {"inputs"}),
    "draws": ({"loss": f"torch.rand(()); {CROSS_ENTROPY}"}, {"pairing"}),
    "shuffles": ({"scores": f"np.random.shuffle([1, 2]); return {ACCURACY}"}, {"pairing"}),
    "loses digits": (
        {"loss": "return (1e7 + nn.functional.cross_entropy(outputs, targets)) - 1e7"},
        {"precision"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_the_check_for_it(failures, fault):
    given, expected = FAULTS[fault]
    assert expected <= set(failures("objective", body(**given)))


@pytest.mark.parametrize("fault", ["sums over rows", "multiplies by 100", "draws"])
def test_a_fault_fails_no_check_that_is_not_about_it(failures, fault):
    given, expected = FAULTS[fault]
    assert set(failures("objective", body(**given))) == expected


def test_a_width_that_is_no_number_of_outputs_is_found(failures):
    wrong = body().replace("return data.classes", "return float(data.classes)")
    assert "not a positive whole number" in failures("objective", wrong)["width"]


@pytest.mark.parametrize("line", ['score = "accuracy"', 'term = "mine"'])
def test_an_objective_that_does_not_say_all_is_an_error_before_any_check(failures, line):
    with pytest.raises(SpecError, match="an objective states its metrics"):
        failures("objective", body().replace(line, ""))
