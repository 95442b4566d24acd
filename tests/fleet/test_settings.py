"""What a user says of a cluster is checked where it is written, and found where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.fleet.settings import SlurmSettings, slurm_settings


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "paper" / "table.yaml"


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_without_a_file_a_pilot_has_one_gpu(suite: Path) -> None:
    assert slurm_settings(None, [suite]) == SlurmSettings(gpus=1, max_pilots=4)


def test_the_nearest_file_counts(suite: Path, tmp_path: Path) -> None:
    write(tmp_path / "config" / "retable.yaml", "slurm: {partition: own}\nother: 1\n")
    assert slurm_settings(None, [suite]).partition == "own"
    write(suite.parent / "slurm.yaml", "partition: beside\n")
    assert slurm_settings(None, [suite]).partition == "beside"
    named = write(tmp_path / "mine.yaml", "partition: named\n")
    assert slurm_settings(named, [suite]).partition == "named"


def test_two_suites_with_other_files_need_one_named(suite: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "table.yaml"
    for folder in (suite.parent, other.parent):
        write(folder / "slurm.yaml", "gpus: 2\n")
    with pytest.raises(SpecError, match="--settings"):
        slurm_settings(None, [suite, other])


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("01:30:00", 90), ("0:00:01", 1), ("2-00:00:00", 2880), ("1-12", 2160)],
)
def test_times_are_slurms(tmp_path: Path, text: str, minutes: int) -> None:
    assert slurm_settings(write(tmp_path / "s.yaml", f"time: {text}\n"), []).time == minutes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitoin: gpu\n", "did you mean 'partition'"),
        ("gpus: -1\n", "gpus"),
        # Of minutes and seconds or of hours and minutes: nobody knows.
        ("time: 10:30\n", "HOURS:MINUTES:SECONDS"),
        ("memory: 32\n", "memory"),
        ("memory: lots\n", "32G"),
        ("sbatch: {job-name: mine}\n", "set by the fleet"),
        ("sbatch: {--qos: high}\n", "without the dashes"),
        ("- gpus\n", "must be a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path / "slurm.yaml", text)
    with pytest.raises(SpecError, match=message) as caught:
        slurm_settings(file, [])
    assert caught.value.file == str(file)


def test_settings_are_no_suite(tmp_path: Path) -> None:
    from bench.spec.find import list_suites

    write(tmp_path / "slurm.yaml", "gpus: 1\n")
    assert list_suites(tmp_path) == []
