"""The fork server is waited for only as long as the run goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from bench.scheduling.engines.engine import NoRoom
from bench.scheduling.engines.forking import ForkServer
from bench.scheduling.interrupts import Interrupts, interrupted


def test_ctrl_c_does_not_wait_for_the_end_of_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_slowly.py").write_text("import time; time.sleep(300)\n")
    monkeypatch.syspath_prepend(tmp_path)
    server = ForkServer(("imported_slowly",))
    life, other = os.pipe()
    begun = time.monotonic()
    try:
        with Interrupts():
            threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(NoRoom, match="interrupted"):
                server.fork(b"", life)
    finally:
        server.bury()
        os.close(life)
        os.close(other)
    assert 1.0 <= time.monotonic() - begun < 60
    assert server.news == []
    assert not interrupted()
