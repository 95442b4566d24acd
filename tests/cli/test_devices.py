"""What the command asks of devices: slots or none, and GPUs for a paper's own profile."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.cli.main import group
from bench.cli.options import SlotsPerGpu
from bench.cli.run import device_of
from bench.errors import UserError
from bench.interface import open as open_suite
from bench.scheduling.engines import devices as module


@pytest.mark.parametrize(("text", "slots"), [("auto", None), ("1", 1), ("12", 12)])
def test_slots_are_a_number_or_left_to_the_runner(text: str, slots: int | None) -> None:
    assert SlotsPerGpu().convert(text, None, None) == slots


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "²"])
def test_other_slots_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither auto nor a number"):
        SlotsPerGpu().convert(text, None, None)


def test_the_paper_profile_asks_for_gpus() -> None:
    assert device_of("paper", "auto") == "cuda"
    assert device_of("paper", "cpu") == "cpu"
    assert device_of("offline", "auto") == "auto"


def test_a_papers_own_cells_are_not_run_on_a_cpu_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "visible_gpus", lambda environment: ())
    asked = ["run", "bss/table2", "--profile", "paper", "--store", str(tmp_path), "--no-check"]
    found = CliRunner().invoke(group, asked)
    told = f"{found.output} {found.exception}"
    assert found.exit_code
    assert "no GPU is to be seen" in told
    assert "--device cpu" in told
    with pytest.raises(UserError, match="no GPU"):
        open_suite("bss/table2", profile="paper", store=tmp_path).run()
    assert not list(tmp_path.rglob("*.json"))
