"""The claims of the documentation are claims, and what it computes is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.records.record import Curve
from bench.report.values import curve_value
from bench.spec.claims import At, AtLeast, Claim
from bench.spec.comparisons import comparisons
from bench.spec.plan import Plan, load_plan

PAGE = (Path(__file__).parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```yaml\n(.*?)```", PAGE, re.S))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return load_plan(tmp_path / "claims" / "table.yaml", "offline")


def claims_of(plan: Plan) -> dict[str, Claim]:
    return {claim.id: claim for claim in plan.paper.claims}


def test_the_examples_of_the_page_are_valid_and_of_every_form(plan: Plan) -> None:
    claims = claims_of(plan).values()
    assert {claim.kind for claim in claims} == {"tested", "proved", "not rebuilt"}
    tested = [claim for claim in claims if claim.kind == "tested"]
    assert {claim.expect for claim in tested} == {"greater", "less", "equal"}
    assert {len(claim.compare) for claim in tested} == {0, 1, 2}
    assert {claim.of for claim in tested} == {"each", "mean", "most"}
    # Every field is in an example or, where it is one of a choice, named beside it.
    used = {name for claim in claims for name in claim.model_fields_set}
    assert used == set(Claim.model_fields)
    assert any(contrast.less for claim in tested for contrast in claim.compare)
    assert any(claim.number is not None and claim.compare for claim in tested)
    assert AtLeast.model_fields["at_least"].alias == "at-least"
    assert "{at-least: 59}" in PAGE


def test_what_a_proof_names_is_a_test(plan: Plan) -> None:
    for claim in plan.paper.claims:
        if claim.proved_by:
            file, _, name = claim.proved_by.partition("::")
            assert f"def {name}(" in (Path(__file__).parents[2] / file).read_text()


def test_comparisons_are_as_many_as_the_page_says(plan: Plan) -> None:
    places = list({tuple(p.place.items()): dict(p.place) for p in plan.shown}.values())
    found = {
        name: comparisons(claim, places)
        for name, claim in claims_of(plan).items()
        if claim.kind == "tested"
    }
    # Two data sets and two rates: one for each pair at each place.
    assert len(found["l2-helps"]) == 4
    assert len(found["l2-helps-most-with-few"]) == 1
    assert len(found["l2-changes-little"]) == 1
    weights = [weight for weight, _ in found["l2-helps-most-with-few"][0].terms]
    assert sorted(weights) == [-0.5] * 4 + [0.5] * 4


def test_the_areas_of_the_page_are_those_of_its_points() -> None:
    points = re.search(r"So of the points (.*?) steps 0 to 4 have the values ([\d, ]+):", PAGE)
    assert points is not None
    at, value = zip(*re.findall(r"\((\d+), (\d+)\)", points[1]), strict=True)
    curve = Curve(tuple(map(int, at)), tuple(map(float, value)))
    values = [float(each) for each in points[2].split(", ")]
    assert values == [curve_value(curve, At(step=step)) for step in range(5)]
    linear, log = re.search(
        r"`\{area: \[0, 4\]\}` is (\d+), and.* = ([\d.]+)\.", PAGE, re.S
    ).groups()
    assert curve_value(curve, At(area=(0, 4))) == float(linear) == sum(values) / 5
    weighed = sum(v / (s + 1) for s, v in enumerate(values)) / sum(1 / (s + 1) for s in range(5))
    assert float(log) == round(weighed, 2)
    assert curve_value(curve, At(area=(0, 4), scale="log")) == pytest.approx(weighed)


def test_every_key_of_a_claim_has_a_row(plan: Plan) -> None:
    rows = {
        key
        for line in PAGE.splitlines()
        if line.startswith("| `")
        for key in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert set(Claim.model_fields) <= rows
