"""The figures on the page: where they stand, what they show, what they leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..curved import STEPS, curved, figure, follow
from ..studies import Study, section

GOLDEN = Path(__file__).parents[1] / "golden"
TARGET = {"curve": "anytime/test/top1", "label": "target"}
NORM = {"curve": "head/norm", "label": "‖W‖", "scale": "log"}


@pytest.fixture
def made() -> Study:
    """Two figures; a seed is missing, a step is one seed's, and a norm begins at zero."""
    drawn = figure(title="Target above, ‖W‖ below", source="Figure 3", panels=[TARGET, NORM])
    made = curved({"seed": [0, 1]}, drawn, figure(title="One seed", seeds=1, steps="linear"))
    follow(
        made,
        lambda labels, step: (step + labels["seed"]) / 16,
        steps=lambda labels: [*STEPS[:3], 4] if labels["seed"] else STEPS[:3],
    )
    follow(made, lambda labels, step: float(step), curve="head/norm", method="l2")
    made.lose("failed", method="l2+bss", seed=1)
    return made


def test_the_section_and_the_numbers_are_as_reviewed(made: Study) -> None:
    page = made.page()
    text = "## Figures" + section(page.markdown, "Figures").rstrip() + "\n"
    assert text == (GOLDEN / "figures.md").read_text(encoding="utf-8")
    assert page.curves is not None
    golden = (GOLDEN / "figures.curves.csv").read_text(encoding="utf-8")
    assert rounded(page.curves) == rounded(golden)


def rounded(csv: str) -> list[list[str]]:
    """Return the cells; a SciPy of another year may give t's quantile another last digit."""
    return [[short(cell) for cell in line.split(",")] for line in csv.splitlines()]


def short(cell: str) -> str:
    try:
        return f"{float(cell):.9g}"
    except ValueError:
        return cell


def test_figures_come_before_the_results_and_replace_the_tables_picture(made: Study) -> None:
    page = made.page(stem="tiny")
    assert page.markdown.index("## Figures") < page.markdown.index("## Results")
    assert list(page.files()) == [
        "tiny.md", "tiny.csv", "tiny.answer.svg", "tiny-1.svg", "tiny-2.svg", "tiny.curves.csv",
    ]  # fmt: skip


def test_a_suite_without_figures_is_as_before() -> None:
    made = curved({})
    follow(made, lambda labels, step: 0.5)
    page = made.page(stem="tiny")
    assert list(page.files()) == ["tiny.md", "tiny.csv", "tiny.answer.svg", "tiny.svg"]
    assert "## Figures" not in page.markdown


def test_a_figure_without_records_says_so() -> None:
    page = curved({}, figure()).page()
    assert "No record has these curves yet." in page.markdown
    assert page.figures == {}
    assert page.curves is None


def test_a_figure_of_another_profiles_cells_says_so() -> None:
    made = curved({}, figure(where={"dataset": "cars"}))
    follow(made, lambda labels, step: 0.5)
    assert "No cell of this profile belongs to it." in made.page().markdown


def test_a_long_list_of_partial_lines_is_cut_short() -> None:
    made = curved({"method": [f"m{i}" for i in range(9)]}, figure())
    follow(made, lambda labels, step: 0.5)
    made.lose("missing", seed=2)
    text = section(made.page().markdown, "Figures")
    assert "m5 (2/3) and 3 more." in text
    assert "m6 (2/3)" not in text


def test_a_line_that_is_partial_everywhere_is_listed_by_place() -> None:
    made = curved({"dataset": ["pets", "cars"], "method": ["l2"]}, figure())
    follow(made, lambda labels, step: 0.5)
    made.lose("missing", seed=2, dataset="cars")
    assert "seeds are missing: l2, cars (2/3)." in section(made.page().markdown, "Figures")
