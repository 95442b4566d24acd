from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.cli.main import LazyGroup, group
from bench.cli.printing import again, clipped, table
from bench.screen import printable
from bench.spec.find import looking_in

STEERING = "\x1b[31mred\x1b]0;title\x07 \x9b2J \r \u202egnp.exe \ud800"


@pytest.mark.parametrize("text", ["", "a\tb\nc", "σ ± 0.1 – “x” 日本 ▁▂"])
def test_what_is_text_stays(text):
    assert printable(text) == text


def test_what_steers_is_written_out_as_json_writes_it():
    shown = printable(STEERING)
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == STEERING


def test_nothing_that_a_command_prints_steers_the_terminal(monkeypatch):
    @click.command("steer")
    def steer() -> None:
        click.echo(STEERING)
        print(STEERING)
        sys.stdout.flush()

    monkeypatch.setattr(LazyGroup, "get_command", lambda self, ctx, name: steer)
    monkeypatch.setitem(main.COMMANDS, "steer", "Print what is in a record.")
    lines = CliRunner().invoke(group, ["steer"]).output.splitlines()
    assert [line.isprintable() and line.count("red") for line in lines] == [1, 1]
    assert lines[1] == printable(STEERING)


def test_an_error_steers_nothing_either(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "plan", "x\x1b[2J.yaml"])
    with pytest.raises(SystemExit):
        main.main()
    assert "\\u001b[2J" in capsys.readouterr().err


ROWS = [["a-name-of-its-own", "words and more words " * 4, "1.25"], ["b", "short", "10.00"]]


@pytest.mark.parametrize("columns", [30, 60, 80])
def test_a_table_is_no_wider_than_the_terminal_and_keeps_its_numbers(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = table(ROWS, ["name", "remark", "value"], ["left", "left", "right"]).splitlines()
    assert max(map(len, lines)) <= columns
    assert [line.split()[-1] for line in lines[2:]] == ["1.25", "10.00"]
    assert "…" in lines[2]
    # The name of a row is clipped last.
    assert ("a-name-of-its-own" in lines[2]) == (columns >= 60)


def test_what_does_not_go_to_a_terminal_is_whole(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert "words and more words " * 3 in table(ROWS, list("abc"), ["left", "left", "right"])
    assert clipped("x" * 300, None) == "x" * 300


def test_a_command_is_quoted_and_names_its_store(tmp_path):
    store = tmp_path / "my results"
    assert again("run", "my suites/a;b.yaml", "offline", store, "--keep") == (
        f"bench run 'my suites/a;b.yaml' --profile offline --store '{store}' --keep"
    )


def test_a_command_to_go_on_with_names_the_folder_of_suites_that_was_asked_for(tmp_path):
    with looking_in([tmp_path / "my suites"]):
        told = again("run", "bss/table2", "smoke", Path("results"))
    assert f"bench run bss/table2 --suites '{tmp_path}/my suites' --profile smoke" in told
