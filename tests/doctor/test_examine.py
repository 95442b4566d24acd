"""Each check has a process of its own: what hangs or crashes there is a finding."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from bench.doctor.examine import as_json, examine
from bench.doctor.finding import Asked, Check, Finding
from bench.doctor.registry import CHECKS

CHECK = Check("one", lambda asked: Finding("ok", "fine"), ("a", "b"), limit=20.0)


def found_by(script: str, tmp_path, limit: float = 20.0) -> Finding:
    command = [sys.executable, "-c", script]
    ((_, finding),) = examine(Asked(tmp_path), [replace(CHECK, limit=limit)], command=command)
    return finding


def test_every_key_is_there_and_no_other(tmp_path):
    answer = Finding("ok", "fine", measured={"a": 1, "c": 3}).plain()
    assert found_by(f"print({json.dumps(json.dumps(answer))})", tmp_path).measured == {
        "a": 1,
        "b": None,
    }


def test_what_hangs_fails_within_its_time(tmp_path):
    found = found_by("import time; time.sleep(60)", tmp_path, limit=0.3)
    assert (found.mark, found.fact) == ("fails", "no answer within 0 s")


def test_what_crashes_fails_and_says_how(tmp_path):
    killed = found_by("import os; os.kill(os.getpid(), 11)", tmp_path)
    assert killed.mark == "fails"
    assert "signal 11" in killed.fact
    assert "ValueError: odd" in found_by("raise ValueError('odd')", tmp_path).fact


@pytest.mark.parametrize("answer", ["", "[]", '{"mark": "fine"}', '{"mark": "ok", "fact": 3}'])
def test_what_is_no_answer_is_never_ok(tmp_path, answer):
    assert found_by(f"print({answer!r})", tmp_path).mark == "fails"


def test_a_check_is_told_what_is_asked(tmp_path):
    asked = Asked(tmp_path / "gone", "cpu")
    found = {
        c.name: f for c, f in examine(asked, [c for c in CHECKS if c.name in ("gpus", "store")])
    }
    assert found["gpus"].mark == "not here"
    assert found["store"].measured["folder"] == str(tmp_path / "gone")


def test_json_has_the_same_keys_whatever_was_found(tmp_path):
    fine = as_json(Asked(tmp_path), [(CHECK, Finding("ok", "fine"))], "now")
    bad = as_json(Asked(tmp_path), [(CHECK, Finding("fails", "bad", "mend"))], "now")
    assert fine.keys() == bad.keys()
    assert fine["checks"]["one"].keys() == bad["checks"]["one"].keys()
    assert (fine["fails"], bad["fails"]) == ([], ["one"])


def test_checks_have_names_of_their_own_that_fit_their_column():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names) <= 22
    assert max(map(len, names)) < 12
