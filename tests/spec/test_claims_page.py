"""The claims of the documentation are claims."""

from __future__ import annotations

import re
from pathlib import Path

from bench.spec.plan import load_plan

PAGE = Path(__file__).parents[2] / "docs" / "claims.md"


def test_the_example_of_the_page_is_valid(suite):
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    file = suite()
    (file.parent / "paper.yaml").write_text(f"id: test\ntitle: A test\n{example}")
    claims = load_plan(file).paper.claims
    assert [claim.kind for claim in claims] == ["tested", "tested"]
