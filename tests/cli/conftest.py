from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli.main import group
from tests.cli.laid import lay


@pytest.fixture
def laid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the suite ``laid/table``, its records in ``store``, an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RETABLE_STORE", "store")
    lay(tmp_path)
    return tmp_path


@pytest.fixture
def bench() -> Callable[..., Any]:
    """Run ``bench`` in this process."""
    return lambda *arguments: CliRunner().invoke(group, [str(a) for a in arguments])
