from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli.main import group
from tests.cli.laid import lay


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    patch.setenv("RETABLE_CACHE", str(folder / "cache"))
    patch.setenv("RETABLE_STORE", "store")


@pytest.fixture
def laid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the suite ``laid/table``, its records in ``store``, an empty cache."""
    enter(tmp_path, monkeypatch)
    lay(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def reported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        lay(folder)
        assert run_bench("report", "laid/table").exit_code == 0
    return folder


@pytest.fixture
def reported(reported_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As ``laid``, with the suite's page in ``leaderboards``."""
    shutil.copytree(reported_once, tmp_path, dirs_exist_ok=True)
    enter(tmp_path, monkeypatch)
    return tmp_path


def run_bench(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.fixture
def bench() -> Callable[..., Result]:
    """Run ``bench`` in this process."""
    return run_bench
