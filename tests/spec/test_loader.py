from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.errors import SpecError
from bench.spec import loader
from bench.spec.find import find_suite
from bench.spec.loader import load_yaml, parse_yaml

FILE = Path("suite.yaml")


def load(text: str):
    return parse_yaml(text, FILE).data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E4", 50000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("0.07", 0.07),
        ("007", 7),
        ("0x10", 16),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("~", None),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2019-01-01", "2019-01-01"),
        ("'1e-3'", "1e-3"),
        ("resnet50.tv_in1k", "resnet50.tv_in1k"),
        (".inf", ".inf"),
    ],
)
def test_scalars_are_what_they_look_like(text, value):
    loaded = load(f"a: {text}")["a"]
    assert loaded == value
    assert type(loaded) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_python_writes_comes_back(number):
    assert load(f"a: {number!r}")["a"] == number


# JSON escapes characters beyond the basic plane as surrogate pairs, which YAML does not have.
words = st.text(
    st.characters(max_codepoint=0xD7FF, exclude_categories=["Cc", "Cf", "Zl", "Zp"]), max_size=12
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(words, plain, max_size=5))
def test_json_is_read_as_json_reads_it(data):
    # JSON is YAML: an independent reader of the same text.
    text = json.dumps(data)
    assume('"<<"' not in text)
    assert load(text) == json.loads(text)


def test_a_repeated_key_is_an_error_naming_both_lines():
    with pytest.raises(SpecError, match=r"suite.yaml:3: repeated key 'a' \(first on line 1\)"):
        load("a: 1\nb: 2\na: 3\n")


def test_a_repeated_key_deep_inside_is_an_error():
    with pytest.raises(SpecError, match=r"suite.yaml:1: repeated key 'x'"):
        load("a: [{x: 1, x: 2}]")


@pytest.mark.parametrize(
    "text",
    ["a: !!python/object/apply:os.system ['true']", "a: !thing 1", "a: !!binary aGk="],
)
def test_tags_are_refused(text):
    with pytest.raises(SpecError, match="not allowed"):
        load(text)


def test_merge_keys_are_refused():
    with pytest.raises(SpecError, match="merge keys"):
        load("base: &b {x: 1}\nother: {<<: *b}")


def test_an_alias_inside_itself_is_refused():
    with pytest.raises(SpecError, match="contains itself"):
        load("a: &x [1, *x]")


def test_a_bomb_of_aliases_is_refused(monkeypatch):
    # It would be 10⁹ items; reading until the real limit takes seconds.
    monkeypatch.setattr(loader, "_MAX_NODES", loader._MAX_NODES // 100)
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(SpecError, match="too large"):
        load("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [1, 2\nb: 3", 2), ("a: 1\n\tb: 2", 2), ("a: 'x", 1), ("a: \x00", 1)],
)
def test_broken_yaml_names_file_and_line(text, line):
    with pytest.raises(SpecError, match=r"^suite.yaml") as caught:
        load(text)
    assert caught.value.line in (line, line + 1, None)


def test_lines_are_kept_for_keys_and_items():
    document = parse_yaml("a:\n  b: 1\n  c:\n    - x\n    - y\n", FILE)
    assert document.line(("a", "b")) == 2
    assert document.line(("a", "c", 1)) == 5
    assert document.line(("a", "c", 1, "deeper", "still")) == 5


BLOCKS = "\n".join(" " * i + "a:" for i in range(500))


@pytest.mark.parametrize("text", [*(c * 50_000 for c in ("[", "- ", "? ", "{a: ")), BLOCKS])
def test_deep_nesting_is_refused_before_it_is_built(text):
    # The C library builds nodes by recursion: at this depth the process would die.
    with pytest.raises(SpecError, match=r"suite.yaml:\d+: is nested more than 100 deep"):
        load(text)


def test_nesting_by_aliases_is_refused():
    lines = ["a0: &a0 [1]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 3000))]
    with pytest.raises(SpecError, match="is nested more than 100 deep"):
        load("\n".join(lines))


def test_what_suites_need_is_not_too_deep():
    assert load("a: " + "[" * 99 + "]" * 99)


@pytest.mark.parametrize("number", ["9" * 4301, "-" + "9" * 4301, "0x" + "f" * 4000, str(2**63)])
def test_a_number_that_no_setting_has_is_refused(number):
    with pytest.raises(SpecError, match=r"^suite.yaml:2: \S{1,30} is too large a number$"):
        load(f"b: 1\na: {number}")


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text("a: [" + "1, " * 1_000_000 + "1]\n")
    began = time.process_time()
    with pytest.raises(SpecError, match=r"suite.yaml: is larger than 2 MB"):
        load_yaml(file)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("text", [r'a: "\e[31mred"', r'"\x9b2J": 1', r'a: ["\u202Egpj.exe"]'])
def test_what_would_steer_a_terminal_is_refused(text):
    with pytest.raises(SpecError, match=r"suite.yaml:1: has the control character"):
        load(text)


def test_lines_and_tabs_stay():
    assert load('a: "x\\n\\ty"') == {"a": "x\n\ty"}


def test_a_file_that_is_not_there_is_not_looked_for_below_its_folder(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "table.yaml").write_text("")
    (tmp_path / "tables.yaml").write_text("")
    monkeypatch.setattr(Path, "rglob", None)
    with pytest.raises(SpecError, match=r"there is no such file(?s:.*)tables\.yaml"):
        find_suite(str(tmp_path / "table.yaml"))
