"""Memory, threads, files and the Hub."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bench.doctor import hub
from bench.doctor.finding import Asked
from bench.doctor.limits import judge_files, judge_threads
from bench.doctor.memory import judge


@pytest.mark.parametrize(
    ("available", "limit", "mark"), [(10, None, "ok"), (10, 3, "look"), (3, None, "look")]
)
def test_each_worker_needs_room_within_a_containers_limit_too(available, limit, mark):
    found = judge({"MemTotal": 20, "MemAvailable": available}, limit, worker=2, workers=4)
    assert found.mark == mark
    assert ("--workers 1" in found.remedy) is (mark == "look")


def test_a_system_that_does_not_tell_its_memory_is_looked_at_by_the_user():
    assert judge({}, None, 1, 1).mark == "look"


def test_more_threads_than_cores_and_bound_ones_are_worth_a_look():
    assert judge_threads({"OMP_NUM_THREADS": "2"}, 2).mark == "ok"
    assert judge_threads({"OMP_PROC_BIND": "false"}, 2).mark == "ok"
    assert judge_threads({"OMP_NUM_THREADS": "64"}, 2).remedy == "unset OMP_NUM_THREADS"
    assert judge_threads({"OMP_PROC_BIND": "close"}, 2).mark == "look"


def test_few_open_files_are_worth_a_look_and_hardly_any_fail():
    assert [judge_files(n, n).mark for n in (-1, 1024, 1023, 127)] == ["ok", "ok", "look", "fails"]


class Answering(BaseHTTPRequestHandler):
    status = 200

    def do_HEAD(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A hub on this machine; the environment says so."""
    for name in (*hub._OFFLINE, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    serving = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{serving.server_port}")
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.mark.parametrize(("status", "mark"), [(200, "ok"), (401, "ok"), (503, "look")])
def test_the_hub_is_reached_if_it_answers_of_itself(server, monkeypatch, tmp_path, status, mark):
    monkeypatch.setattr(Answering, "status", status)
    found = hub.hub(Asked(tmp_path))
    assert (found.mark, found.measured["status"]) == (mark, status)


def test_a_hub_that_is_not_there_is_worth_a_look(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    found = hub.hub(Asked(tmp_path))
    assert (found.mark, found.measured["status"]) == ("look", None)
    assert "HF_ENDPOINT" in found.remedy


def test_offline_mode_is_said_and_nothing_is_asked(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub, "head", lambda _: pytest.fail("asked"))
    found = hub.hub(Asked(tmp_path))
    assert (found.mark, found.measured["offline"]) == ("not here", True)


def test_a_token_is_present_and_never_told(server, monkeypatch, tmp_path):
    assert hub.hub(Asked(tmp_path)).measured["token"] is False
    (tmp_path / "token").write_text("hf_secret1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://me:hf_secret2@127.0.0.1:{server.server_port}")
    found = hub.hub(Asked(tmp_path))
    assert found.measured["token"] is True
    assert "hf_secret" not in str(found)
