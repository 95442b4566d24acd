"""FAST's suites run, are shown and judged, with real data and few steps."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET

import pytest

pytestmark = pytest.mark.e2e


def test_the_first_experiment_from_source_to_verdicts(bench):
    output = bench("run", "fast/initialisation", "--profile", "smoke", "--workers", "2")
    # The source, two rates at each end of the classifier's scale, a choice, and the table's two.
    assert "8 done now" in output
    trained = [r for r in bench.records() if r["cell"]["kind"] == "train"]
    stage, *children = sorted(trained, key=lambda r: len(r["cell"]["parents"]))
    assert len(children) == 2
    assert {tuple(r["outcome"]["provenance"]["data"]["sources"]) for r in children} == {("glyphs",)}
    for record in children:
        curves, metrics = record["outcome"]["curves"], record["outcome"]["metrics"]
        # Nothing is forgotten before the first step: the source's own test accuracy.
        assert curves["anytime/source/top1"]["value"][0] == stage["outcome"]["metrics"]["test/top1"]
        assert curves["anytime/test/top1"]["at"] == [0, 1, 2, 3, 5]
        # The last checkpoint is the last step, so the curve ends in what is reported.
        assert curves["anytime/test/top1"]["value"][-1] == metrics["test/top1"]
        assert curves["anytime/source/top1"]["value"][-1] == metrics["source/top1"]
        # Both hold out the same images, so no child is validated on what its source has seen.
        held_out = record["outcome"]["provenance"]["data"]["validation_images"]
        assert held_out == stage["outcome"]["provenance"]["data"]["validation_images"] == 120
        assert (
            record["outcome"]["provenance"]["data"]["subset"]
            == stage["outcome"]["provenance"]["data"]["subset"]
        )
    bench("report", "fast/initialisation", "--profile", "smoke")
    folder = bench.folder / "leaderboards"
    page = (folder / "fast" / "initialisation.smoke.md").read_text()
    assert "## Claims" in page
    drawing = ET.parse(folder / "fast" / "initialisation.smoke-1.svg")
    texts = "".join(drawing.getroot().itertext())
    assert "σ" in texts
    with (folder / "fast" / "initialisation.smoke.curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["curve"] for row in rows} >= {"anytime/test/top1", "anytime/source/top1"}
    verdicts = json.loads(bench("claims", "fast", "--profile", "smoke", "--json"))
    assert verdicts


@pytest.mark.parametrize("suite", ["classifier-warmup", "convergence"])
def test_an_experiment_runs_and_is_shown(bench, suite):
    bench("run", f"fast/{suite}", "--profile", "smoke", "--workers", "2")
    assert {r["outcome"]["status"] for r in bench.records()} == {"done"}
    bench("report", f"fast/{suite}", "--profile", "smoke")
    page = (bench.folder / "leaderboards" / "fast" / f"{suite}.smoke.md").read_text()
    header = {"classifier-warmup": "steps of warm-up", "convergence": "top-5 error (%)"}[suite]
    assert header in page
    assert "-1.svg" in page
