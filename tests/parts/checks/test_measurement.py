"""The checks of a measurement each fail for their own fault."""

from __future__ import annotations

import pytest

from bench.parts.checks import check_part

BODY = """
roles = ("start",)
data = "{data}"
metrics = {metrics}
curves = {curves}

def __call__(self, measuring):
    network = measuring.network("start")
    {code}
"""
NORM = "n = float(next(network.parameters()).detach().norm())"
PLAIN = f"{NORM}; return Measured({{'norm': n}})"


def body(
    code: str = PLAIN,
    data: str = "task",
    metrics: str = '{"norm": ("", "lowest")}',
    curves: str = "{}",
) -> str:
    return BODY.format(code=code, data=data, metrics=metrics, curves=curves)


def test_a_measurement_of_ones_own_passes(failures):
    assert failures("measurement", body(data="none")) == {}


def test_a_measurement_may_use_everything_that_it_is_given(failures, tmp_path):
    code = """\
assert (measuring.classes, measuring.dataset, measuring.device.type) == (3, "random", "cpu")
    head = measuring.new_head(network)
    drawn = measuring.batches("train", 3, shuffle=measuring.stream("batches"), limit=7)
    rows = [len(y) for x, y in drawn]
    assert rows == [3, 3, 1]
    kept = measuring.parent("start")
    order = measuring.stream("rows").permutation(len(kept["targets"]))
    top1 = measuring.scores_of(kept["outputs"][order], kept["targets"][order])["top1"]
    assert measuring.scores(measuring.network("start"), "test")["top1"] == top1
    with torch.no_grad():
        network.backbone(next(measuring.batches("test", 2))[0])
        for p in network.parameters():
            p.zero_()
    line = Line([1, 2], [top1, 0.5])
    return Measured({"top1": top1}, {"mine": line}, {"weights": head.weight})"""
    given = body(code, metrics='{"top1": ("%", "highest")}', curves='{"mine": "layer"}')
    assert failures("measurement", given) == {}
    checks = check_part("measurement", "mine", [str(tmp_path / "mine.py")])
    said = {check.name: check.detail for check in checks}
    assert said["arrays"] == "weights (3, 96)"
    assert said["roles"] == "looks at start"


FAULTS = {
    "a metric too few": (
        {"metrics": '{"norm": ("", "lowest"), "other": ("", "lowest")}'},
        {"metrics"},
    ),
    "a metric too many": ({"metrics": "{}"}, {"metrics"}),
    "not a fraction": ({"metrics": '{"norm": ("%", "lowest")}'}, {"metrics"}),
    "not finite": ({"code": "return Measured({'norm': float('inf')})"}, {"metrics"}),
    "not a number": (
        {"code": "return Measured({'norm': next(network.parameters()).norm()})"},
        {"metrics"},
    ),
    "a curve too few": ({"curves": '{"mine": "layer"}'}, {"curves"}),
    "a curve of unequal sides": (
        {
            "curves": '{"mine": "layer"}',
            "code": f"{NORM}; return Measured({{'norm': n}}, {{'mine': Line([1, 2], [n])}})",
        },
        {"curves"},
    ),
    "an array that is none": (
        {"code": f"{NORM}; return Measured({{'norm': n}}, arrays={{'a': np.ones(2)}})"},
        {"arrays"},
    ),
    "no Measured": ({"code": "return {'norm': 1.0}"}, {"metrics", "determinism"}),
    "data that it does not declare": (
        {"data": "none", "code": f"next(measuring.batches('train', 2)); {PLAIN}"},
        {"metrics"},
    ),
    "a role that it does not declare": (
        {"code": "measuring.network('other'); return Measured({'norm': 1.0})"},
        {"metrics"},
    ),
    "chance": ({"code": "return Measured({'norm': random.random()})"}, {"determinism", "pairing"}),
    "draws": ({"code": f"torch.rand(()); {PLAIN}"}, {"pairing"}),
    "switches gradients off": ({"code": f"torch.set_grad_enabled(False); {PLAIN}"}, {"networks"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_the_check_for_it(failures, fault):
    given, expected = FAULTS[fault]
    assert expected <= set(failures("measurement", body(**given)))


def test_a_fault_fails_no_check_that_is_not_about_it(failures):
    assert set(failures("measurement", body(**FAULTS["not a fraction"][0]))) == {"metrics"}


def test_roles_that_are_two_names_of_one_are_found(failures):
    twice = body().replace('roles = ("start",)', 'roles = ("start", "start")')
    assert set(failures("measurement", twice)) == {"roles"}


def test_a_measurement_of_nothing_is_found(failures):
    nothing = body("return Measured({'norm': 1.0})", data="none").replace('("start",)', "()")
    assert "roles" in failures("measurement", nothing.replace('measuring.network("start")', "0"))


def test_a_measurement_may_compute_from_its_parameters_alone(failures):
    alone = body("return Measured({'norm': self.size})", data="none").replace('("start",)', "()")
    alone = f"size: float = 2.0\n{alone}".replace('measuring.network("start")', "0")
    assert failures("measurement", alone) == {}


OPENED = """
roles = ("start", "other*")
data = "none"
metrics = {"norm": ("", "lowest")}

def __call__(self, measuring):
    assert measuring.roles == ("start", "other1", "other2")
    first, second = (next(measuring.network(r).parameters()) for r in measuring.roles[1:])
    return Measured({"norm": float((first - second).detach().norm())})
"""


def test_an_open_role_is_tried_with_two_networks(failures, tmp_path):
    assert failures("measurement", OPENED) == {}
    checks = check_part("measurement", "mine", [str(tmp_path / "mine.py")])
    said = {check.name: check.detail for check in checks}
    assert said["roles"] == "looks at start and any number of other1, other2, …"


@pytest.mark.parametrize(
    ("name", "found"), [("a", {}), ("b", {"metrics": "gives ['norm/a'], and declares ['norm/b']"})]
)
def test_metrics_by_name_are_those_that_the_parameter_names(failures, name, found):
    named = body("return Measured({'norm/a': 1.0})", metrics='{"norm/{names}": ("", "lowest")}')
    assert failures("measurement", f'names: dict[str, str] = {{"{name}": "x"}}\n{named}') == found


@pytest.mark.parametrize(("best", "found"), [("lowest", set()), ("highest", {"metrics"})])
def test_a_difference_of_fractions_may_be_negative(failures, best, found):
    given = body("return Measured({'norm': -0.5})", metrics=f'{{"norm": ("%", "{best}")}}')
    assert set(failures("measurement", given)) == found
