"""Only what can change numbers changes a digest of code."""

from __future__ import annotations

import io
import sys
import textwrap
import time
import tokenize
from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.records import code
from bench.records.code import bare, code_digests

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


def test_what_remains_of_our_own_code_is_all_its_other_tokens() -> None:
    for path in sorted(Path(code.__file__).parent.parent.rglob("*.py")):
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


def test_each_part_has_its_own_digest(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    text = """
        from bench.methods import Penalty, penalty

        @penalty("mine")
        class Mine(Penalty):
            weight: float = 1.0

        @penalty("also-mine")
        class AlsoMine(Penalty):
            weight: float = 2.0
    """
    plugin.write_text(textwrap.dedent(text))
    digests = code_digests(["mine", "also-mine"], [str(plugin)])
    assert sorted(digests) == ["also-mine", "core", "mine"]
    assert digests["mine"] == digests["also-mine"] != digests["core"]
    assert code_digests([])["core"] == digests["core"]


def test_a_part_of_an_installed_package_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "faraway"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "parts.py").write_text(
        "@penalty('faraway-part')\nclass Far(Penalty):\n    weight: float = 1.0\n"
    )
    info = tmp_path / "faraway-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faraway\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[retable.penalties]\nfaraway-part = faraway.parts:Far\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "faraway-part" in code_digests(["faraway-part"])
    assert "faraway" not in sys.modules


def test_an_unknown_part_is_an_error() -> None:
    with pytest.raises(SpecError, match="no-such-part"):
        code_digests(["no-such-part"])


def test_core_is_what_the_architecture_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "data/a.py", "models/b.py", "training/deep/c.py", "methods/part.py",
        "methods/penalties/l2.py", "spec/cell.py", "spec/recipe.py", "spec/seeds.py",
        "spec/catalogue.yaml", "spec/loader.py", "models/shipped/x.json", "stats/d.py",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    monkeypatch.setattr(code, "_PACKAGE", tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in code._core_files()}
    assert found == {
        "data/a.py", "models/b.py", "training/deep/c.py", "methods/part.py",
        "spec/cell.py", "spec/recipe.py", "spec/seeds.py",
    }  # fmt: skip


def test_digests_are_quick() -> None:
    code._core.cache_clear()
    code._file.cache_clear()
    start = time.process_time()
    code_digests([])
    # 0.1 s on an idle core; a busy one is slower even by its own clock.
    assert time.process_time() - start < 0.6
