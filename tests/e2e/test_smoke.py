from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import SUITE

pytestmark = pytest.mark.e2e
SMOKE = SUITE.replace("profiles:\n", "profiles:\n  smoke: {axes: {seed: 1}, recipe: {steps: 2}}\n")
BREAKING = '''
"""A penalty that breaks."""
from bench.parts import Penalty, penalty


@penalty("breaks")
class Breaks(Penalty):
    """Never gets anywhere."""

    def __call__(self, step):
        """Divide by nothing."""
        return 1 / 0
'''


@pytest.fixture
def suites(bench) -> Path:
    """The folder of suites of the current folder, with one that works."""
    bench.suite(SMOKE, "suites/small/works")
    return bench.folder / "suites"


def test_each_suite_goes_from_yaml_to_a_page_that_says_it_means_nothing(bench, suites):
    bench.suite(SMOKE.replace("eta: 1e-3", "eta: 1e-2"), "suites/small/other")
    bench.suite(SUITE, "suites/small/long")
    output = bench("smoke", "--workers", "2")
    assert "small/works (4 cells): ok" in output
    assert "small/long: has no profile smoke" in output
    # Both have the method l2, whose cells are trained once.
    assert "2 of 3 suites from YAML to page, 6 cells done now" in output
    page = (bench.folder / "smoke/leaderboards/small/works.smoke.md").read_text()
    assert "**These numbers mean nothing**" in page
    # Neither git nor the published pages have it.
    assert (bench.folder / "smoke/.gitignore").read_text() == "*\n"
    assert not (bench.folder / "leaderboards").exists()


def test_a_folder_of_other_things_is_left_alone(bench, suites):
    (bench.folder / "smoke").mkdir()
    (bench.folder / "smoke" / "notes.txt").touch()
    assert "not empty, and of no smoke run" in bench("smoke", code=2)
    assert [path.name for path in (bench.folder / "smoke").iterdir()] == ["notes.txt"]


def test_a_suite_that_breaks_is_told_of_with_its_reason_and_stops_no_other(bench, suites):
    (suites / "small" / "breaks.py").write_text(BREAKING)
    broken = SMOKE.replace("bss: {eta: 1e-3, k: 1}", "breaks: {}") + "plugins: [breaks.py]\n"
    bench.suite(broken, "suites/small/run")
    bench.suite(SMOKE.replace("steps: 8", "stepz: 8"), "suites/small/yaml")
    bench.suite(SMOKE, "suites/paper/page")
    (suites / "paper" / "reported.yaml").write_text("tabels: []\n")
    output = bench("smoke", "--workers", "2", code=1)
    told = output[output.index("paper/page broke") :]
    assert "page: " in told[: told.index("small/run broke")]
    assert "reported.yaml:1: tables: is required" in told[: told.index("small/run broke")]
    assert "run: 2 of 4 cells failed; " in told
    assert "division by zero" in told
    assert "suite: " in told[told.index("small/yaml broke") :]
    assert "stepz" in told
    assert "1 of 4 suites from YAML to page" in told
    assert "small/works (4 cells): ok" in output
