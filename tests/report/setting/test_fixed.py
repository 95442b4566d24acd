"""A network that all seeds go back to is said beside the numbers."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from bench.report.own_numbers import results_caption
from bench.report.page import make_board
from bench.report.results import Results
from bench.spec.plan import load_plan

SUITE = """
title: From a source
axes:
  backbone: test_resnet
  weights: stage:source
  dataset: digits
  sampling_rate: 0.3
  method: plain
  seed: {seeds}
recipe: {{steps: 10}}
stages:
  source: {{dataset: glyphs, seed: {source}}}
methods:
  plain: {{}}
profiles:
  offline: {{}}
"""


@pytest.mark.parametrize(
    ("seeds", "source", "said"), [(3, "0", True), (3, "null", False), (1, "0", False)]
)
def test_the_table_says_where_all_seeds_share_a_network(
    tmp_path: Path, seeds: int, source: str, said: bool
) -> None:
    (tmp_path / "paper.yaml").write_text("id: test\ntitle: A test\n")
    file = tmp_path / "table.yaml"
    file.write_text(textwrap.dedent(SUITE.format(seeds=seeds, source=source)).lstrip())
    caption = results_caption(make_board(Results(load_plan(file), {}, {}), None))
    assert ("All seeds of a place share one network of stage source" in caption) is said
