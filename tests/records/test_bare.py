"""Only what can change numbers changes a digest of code."""

from __future__ import annotations

import io
import textwrap
import tokenize
from pathlib import Path

import pytest

from bench import records
from bench.records.bare import bare
from bench.sources import is_numeric

SOURCE = textwrap.dedent(
    '''
    """A module."""

    import math


    def scale(x: float, *, by: float = 2.0) -> float:
        """Scale."""
        text = """kept

          as it is   
        """
        return x * by  # why


    class Ünïcode: "doc"; colour = "# not a comment"
    '''  # noqa: W291
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another\n\nmodule."""'),
        ('"""A module."""\n', ""),
        ('"""Scale."""', '"""Scale: ``x * by``.\n\n    Returns\n    -------\n    float\n    """'),
        ("  # why", ""),
        ("  # why", "   # because"),
        ("import math\n", "import math\n\n# a heading\n\n"),
        ("return x", "# on its own\n    return x"),
        ('"doc"', '"Ünïcödé"'),
        ("\n", "\r\n"),
    ],
)
def test_comments_docstrings_blank_lines_and_line_endings_do_not_count(old: str, new: str) -> None:
    changed = SOURCE.replace(old, new)
    assert changed != SOURCE
    assert bare(changed) == bare(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * by", "x * by * 1"),
        ("2.0", "2.5"),
        ("kept\n\n", "kept\n"),
        ("as it is   \n", "as it is\n"),
        ("# not a comment", "# not one"),
        ("    return", "        \n    return 1\n    return"),
    ],
)
def test_everything_else_does(old: str, new: str) -> None:
    assert bare(SOURCE.replace(old, new)) != bare(SOURCE)


def test_a_hash_in_an_f_string_is_no_comment() -> None:
    assert bare('x = f"{y!r} # {z}"  # told\n') == 'x = f"{y!r} # {z}"'


def test_an_f_string_over_several_lines_keeps_its_empty_ones() -> None:
    one, two = 'x = f"""{a}\n\n{b}"""\n', 'x = f"""{a}\n{b}"""\n'
    assert bare(one) != bare(two)


def test_what_remains_of_the_code_that_digests_are_of_is_all_its_other_tokens() -> None:
    package = Path(records.__file__).parent.parent
    files = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts): path
        for path in sorted(package.rglob("*.py"))
    }
    numeric = [path for name, path in files.items() if is_numeric(name)]
    assert len(numeric) > 80
    for path in numeric:
        source = path.read_text(encoding="utf-8")
        assert _words(bare(source)) == _words(source), path


def _words(source: str) -> list[str]:
    """Return the tokens that do something: no layout, no comments, no strings on their own."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in skipped
    ]
    words = []
    for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
        begins = before is None or before.type == tokenize.NEWLINE
        ends = after is None or after.type == tokenize.NEWLINE
        if token.type == tokenize.NEWLINE or (token.type == tokenize.STRING and begins and ends):
            continue
        words.append(token.string)
    return words
