"""Whatever a label says, the page's tables stay tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bench.report import markdown

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)


def cells(text: str) -> list[list[str]]:
    """Cells as an independent Markdown parser reads them."""
    rows: list[list[str]] = []
    tokens = RENDERER.parse(text)
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and rows:
            assert all(child.type == "text" for child in token.children or []), token.content
            rows[-1].append("".join(child.content for child in token.children or []))
    assert [t.type for t in tokens].count("table_open") == 1
    return rows


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=4))
def test_every_cell_comes_back_as_it_went_in(rows: list[tuple[str, str, str]]) -> None:
    header = ["a", "b", "c"]
    text = markdown.table(header, [[markdown.escape(cell) for cell in row] for row in rows])
    expected = [[" ".join(cell.split()) for cell in row] for row in rows]
    assert cells(text) == [header, *expected]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", "a\\|b"),
        ("two\nlines", "two lines"),
        ("<b>", "\\<b\\>"),
        ("test_resnet", "test_resnet"),
        ("_x_", "\\_x\\_"),
        ("$5", "\\$5"),
    ],
)
def test_escapes_what_markdown_reads(text: str, escaped: str) -> None:
    assert markdown.escape(text) == escaped


def test_columns_align_names_left_and_numbers_right() -> None:
    rule = markdown.table(["name", "x"], [["a", "1"]]).splitlines()[1]
    assert [part[0] + part[-1] for part in rule.strip("|").split("|")] == [":-", "-:"]


@pytest.mark.parametrize("rows", [[], [["only one"]]])
def test_a_ragged_or_empty_table_is_an_error(rows: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="rows"):
        markdown.table(["a", "b"], rows)


def test_code_in_a_table_keeps_its_pipe_inside() -> None:
    assert markdown.code("a|`b`") == "`a\\|'b'`"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\nscript:x",
        "data:text/html,x", "vbscript:x", "//elsewhere", "/etc/passwd", "https://a b", "http://x>y",
        "x> [more](javascript:y)", "", None,
    ],
)  # fmt: skip
def test_only_the_web_and_files_beside_the_page_are_linked_to(url: str | None) -> None:
    assert markdown.link("Paper", url) == "Paper"


@pytest.mark.parametrize("url", ["https://arxiv.org/abs/1", "http://x", "a.csv", "bss/a b.md"])
def test_a_link_is_one_for_an_independent_parser(url: str) -> None:
    inline = RENDERER.parse(markdown.link("The [paper]", url))[1]
    assert [child.type for child in inline.children or []] == ["link_open", "text", "link_close"]
