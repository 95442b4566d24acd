"""``bench site --serve``: what is open follows the store, and the site's files know no server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from bench.cli.serving import store_stamp
from bench.errors import UserError
from bench.report.site.serve import BUILD, SiteServer

Bench = Callable[..., Result]
PAGE = "<!doctype html>\n<html><body>\n<p>an é</p>\n</body>\n</html>\n"


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read().decode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SiteServer]:
    site = tmp_path / "site"
    (site / "static").mkdir(parents=True)
    (site / "index.html").write_text(PAGE, encoding="utf-8")
    (site / "static" / "site.css").write_text("body {}")
    (tmp_path / "secret.html").write_text(PAGE)
    with SiteServer(site, 0) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_pages_are_sent_with_what_loads_them_anew(server: SiteServer) -> None:
    sent = get(server.address)
    assert sent == get(f"{server.address}index.html?a=b")
    added = re.search(r"<script>.*</script>\n", sent, re.DOTALL)
    assert added is not None
    assert sent.replace(added[0], "") == PAGE
    assert f'fetch("{BUILD}"' in added[0]
    assert f'!== "{get(server.address + BUILD[1:])}"' in added[0]
    server.build += 1
    assert f'!== "{get(server.address + BUILD[1:])}"' not in added[0]
    assert (server.folder / "index.html").read_text(encoding="utf-8") == PAGE


def test_other_files_are_sent_as_they_are_and_are_not_kept(server: SiteServer) -> None:
    with urllib.request.urlopen(f"{server.address}static/site.css") as answer:
        assert answer.read() == b"body {}"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize(
    "path", ["nothing.html", "static/", "../secret.html", "%2e%2e/secret.html"]
)
def test_there_is_no_way_out_of_the_folder_and_no_listing(server: SiteServer, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(server.address + path)


def test_it_listens_to_this_machine_alone(server: SiteServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_one_message(server: SiteServer) -> None:
    with pytest.raises(UserError, match=rf"port {server.server_port} cannot be had.*\n.*0 for any"):
        SiteServer(server.folder, server.server_port)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(("later", "loads"), [("1", False), ("2", True), ("gone", False)])
def test_a_page_loads_anew_where_the_build_is_another(
    server: SiteServer, later: str, loads: bool
) -> None:
    script = get(server.address).partition("<script>")[2].partition("</script>")[0]
    answers = {"gone": "Promise.reject(new Error())"}
    answer = answers.get(later, f'Promise.resolve({{ok: true, text: async () => "{later}"}})')
    around = f"""
    let loads = 0;
    globalThis.location = {{reload: () => {{ loads++; }}}};
    globalThis.fetch = () => {answer};
    globalThis.setInterval = async (tick) => {{ await tick(); console.log(loads); }};
    {script}
    """
    ran = subprocess.run(["node", "-e", around], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(int(loads))


def test_a_store_has_another_stamp_when_a_cell_has_another_file(tmp_path: Path) -> None:
    assert store_stamp(tmp_path / "none") == store_stamp(tmp_path / "nowhere")
    cell = tmp_path / "cells" / "ab" / "ab12"
    cell.mkdir(parents=True)
    before = store_stamp(tmp_path)
    assert store_stamp(tmp_path) == before
    (cell / "0001.json").touch()
    after = store_stamp(tmp_path)
    assert after != before
    (tmp_path / "cells" / "ab" / "ab13").mkdir()
    assert store_stamp(tmp_path) != after


def test_an_open_page_follows_a_run(laid: Path) -> None:
    lost = next((laid / "store" / "cells").glob("*/*"))
    kept = laid / "kept"
    lost.rename(kept)
    command = [sys.executable, "-P", "-m", "bench", "site", "laid/table", "--cells", "none"]
    process = subprocess.Popen(
        [*command, "--serve", "--port", "0"],
        cwd=laid,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell's background job would hand down that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        said = iter(process.stdout.readline, "")
        address = next(line.split()[0] for line in said if line.startswith("http"))
        first = get(address)
        assert "done" in first
        kept.rename(lost)
        end = time.monotonic() + 200
        while get(address + BUILD[1:]) == "1":
            assert time.monotonic() < end, "the site was not built again"
            time.sleep(0.2)
        assert get(address) != first
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
