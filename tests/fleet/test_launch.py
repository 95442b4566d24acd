"""The commands of a fleet, on a Slurm of scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from bench.fleet.fleet import Fleets
from bench.records.layout import Layout
from tests.cli.conftest import run_bench
from tests.e2e.conftest import SUITE

from .conftest import FakeSlurm

pytest.importorskip("submitit")


@pytest.fixture
def site(tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a suite of 12 cells, and settings beside it."""
    folder = tmp_path / "my papers"
    (folder / "small").mkdir(parents=True)
    (folder / "small" / "table.yaml").write_text(SUITE)
    (folder / "small" / "paper.yaml").write_text("id: small\ntitle: Small cells\n")
    (folder / "small" / "slurm.yaml").write_text(
        "partition: gpu\ngpus: 1\ncpus: 8\nmemory: 32G\ntime: 2:00:00\nmax_pilots: 3\n"
        "setup: [module load cuda]\nsbatch: {qos: high, nice: true}\n"
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RETABLE_STORE", str(folder / "results"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def run(*arguments: object) -> Result:
    return run_bench("run", "small/table.yaml", "--engine", "slurm", "--no-check", *arguments)


def fleets(site: Path) -> Fleets:
    return Fleets(Layout(site / "results"))


def test_a_fleet_is_one_array_of_pilots(site: Path, slurm: FakeSlurm) -> None:
    ended = run("--detach", "--only", "seed=0:2", "--keep")
    assert ended.exit_code == 0, ended.output
    (fleet,) = fleets(site).found()
    assert [(each.job, each.pilots) for each in fleet.submitted] == [("17", 3)]
    for line in (
        f"--job-name={fleet.name}", "--array=0-2%3", "--partition=gpu", "--gpus-per-node=1",
        "--cpus-per-task=8", "--mem=32G", "--time=120", "--signal=USR2@120", "--requeue",
        "--ntasks-per-node=1", "--qos=high", "--nice", "--nodes=1",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in slurm.script
    assert "\nmodule load cuda\n" in slurm.script
    assert "srun --unbuffered" in slurm.script
    assert "--ntasks=1 --cpus-per-task=8" in slurm.script
    command = list(fleet.command)
    assert command[0] == "small/table.yaml"
    for option in ("--leave-when-idle", "--keep", "--no-check"):
        assert option in command
    for name, value in {
        "--store": str(site / "results"), "--engine": "local", "--device": "cuda",
        "--slots-per-gpu": "auto", "--only": "seed=0:2",
    }.items():  # fmt: skip
        assert command[command.index(name) + 1] == value
    assert fleet.settings["partition"] == "gpu"


def test_no_more_pilots_than_cells_can_be_begun(site: Path, slurm: FakeSlurm) -> None:
    assert (
        run("--detach", "--only", "seed=0", "--only", "method=l2", "--pilots", "9").exit_code == 0
    )
    (first,) = fleets(site).found()
    assert first.submitted[0].pilots == 2
    # Several cells at a time at one pilot.
    assert run("--detach", "--pilots", "9", "--slots-per-gpu", "4").exit_code == 0
    (second,) = (fleet for fleet in fleets(site).found() if fleet.id != first.id)
    assert second.submitted[0].pilots == 3


def test_a_done_cell_that_has_not_kept_what_is_asked_for_is_submitted(
    site: Path, slurm: FakeSlurm
) -> None:
    one = ("--only", "seed=0", "--only", "method=l2", "--only", "sampling_rate=0.03")
    here = ("--engine", "inline", "--device", "cpu", "--no-check")
    ended = run_bench("run", "small/table.yaml", *one, *here)
    assert ended.exit_code == 0, ended.output
    ended = run("--detach", *one)
    assert (ended.exit_code, fleets(site).found()) == (0, [])
    assert "every cell is done" in ended.output
    assert run("--detach", *one, "--keep").exit_code == 0
    (fleet,) = fleets(site).found()
    assert sum(each.pilots for each in fleet.submitted) == 1


def test_a_fleet_that_is_cancelled_amid_its_submission_leaves_no_pilot(
    site: Path, slurm: FakeSlurm
) -> None:
    slurm.amid('for f in "$RETABLE_STORE"/fleets/*.json; do touch "${f%.json}.cancelled"; done')
    run("--detach")
    (fleet,) = fleets(site).found()
    assert slurm.told == ["submitted", f"scancel --name={fleet.name}"]


def test_cancelling_finds_jobs_whose_ids_were_never_written(site: Path, slurm: FakeSlurm) -> None:
    assert run("--detach").exit_code == 0
    (fleet,) = fleets(site).found()
    slurm.queue("99_0|NAME|PENDING||Priority")
    ended = run_bench("cancel", fleet.id)
    assert ended.exit_code == 0, ended.output
    assert "1 pilot ended" in ended.output
    assert slurm.told[-1] == f"scancel --name={fleet.name}"
    assert fleets(site).cancelled(fleet.id)
    assert run_bench("cancel", "nosuch").exit_code == 1


def test_status_tells_of_each_pilot(site: Path, slurm: FakeSlurm) -> None:
    run("--detach")
    (fleet,) = fleets(site).found()
    reports = fleets(site).reports(fleet.id)
    reports.mkdir(parents=True)
    report = {"job": "17_0", "restart": 0, "host": "a", "pid": 1, "node": "n7", "done": 4}
    (reports / "17_0.0.json").write_text(json.dumps({**report, "ended": True}))
    (reports / "17_0.1.json").write_text(json.dumps({**report, "restart": 1, "done": 2}))
    slurm.queue("17_0|NAME|RUNNING|n7|None", "17_1|NAME|PENDING||Resources")
    told = run_bench("status", "small/table.yaml").output
    assert "pilot 17_0: running on n7, 6 cells done, requeued once" in told
    assert "pilot 17_1: pending (Resources), 0 cells done" in told
    assert "pilot 17_2: ended, 0 cells done" in told
    slurm.down()
    told = run_bench("status", "small/table.yaml").output
    assert "squeue does not work here" in told
    assert "pilot 17_1: unknown" in told


def test_clean_removes_a_fleet_only_when_it_is_known_to_be_over(
    site: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--detach")
    (site / "results" / "cells").mkdir(exist_ok=True)
    assert "removed nothing" in run_bench("clean").output
    # Its submitting process is gone, but a pilot waits.
    monkeypatch.setattr("bench.records.owner.Owner.lives", lambda self: False)
    slurm.queue("17_0|NAME|PENDING||Priority")
    assert "removed nothing" in run_bench("clean").output
    slurm.queue()
    slurm.down()
    assert "removed nothing" in run_bench("clean").output
    (slurm.folder / "down").unlink()
    assert "1 fleet" in run_bench("clean").output
    assert not (site / "results" / "fleets").exists()


def test_a_second_command_goes_on_with_the_fleet_that_is_there(
    site: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--detach")
    monkeypatch.setattr("bench.records.owner.Owner.lives", lambda self: False)
    slurm.queue(*(f"17_{n}|NAME|PENDING||Priority" for n in range(3)))
    ended = run("--detach")
    assert "0 new pilots" in ended.output, ended.output
    assert len(fleets(site).found()) == 1
    assert slurm.told == ["submitted"]


def test_pilots_that_come_to_nothing_are_not_submitted_for_ever(
    site: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.amid(
        'for f in "$RETABLE_STORE"/fleets/*.json; do'
        ' echo "no such file: cuda" > "${f%.json}/17_0_log.out"; done'
    )
    monkeypatch.setattr("bench.fleet.watch.time.sleep", lambda seconds: None)
    ended = run()
    assert ended.exit_code == 1
    assert slurm.told == ["submitted"]
    assert "nothing came of them" in str(ended.exception)
    assert "no such file: cuda" in str(ended.exception)


def test_a_pilot_with_other_code_refuses_and_says_so(
    site: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    run("--detach")
    (fleet,) = fleets(site).found()
    file = site / "results" / "fleets" / f"{fleet.id}.json"
    told = json.loads(file.read_text())
    told["work"]["code"]["train"] = "another"
    file.write_text(json.dumps(told))
    ended = run_bench(
        "run", "small/table.yaml", "--engine", "local", "--no-check", "--pilot-of", fleet.id
    )
    assert "this pilot computes nothing" in str(ended.exception)
    assert "the code of train" in str(ended.exception)
    slurm.queue()
    assert (
        "pilot 17_2: ended, 0 cells done; refused: the code of train"
        in run_bench("status", "small/table.yaml").output
    )
    assert not list(site.glob("results/cells/*/*/*.json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "small/table.yaml", "--pilots", "2"),
        ("run", "small/table.yaml", "--detach"),
        ("run", "small/table.yaml", "--engine", "slurm", "--until-decided"),
        ("run", "small/table.yaml", "--engine", "slurm", "--tensorboard", "events"),
    ],
)
def test_options_that_do_not_go_together_are_refused(site: Path, arguments) -> None:
    ended = run_bench(*arguments)
    assert ended.exit_code == 2
    assert "slurm" in ended.output


def test_without_a_slurm_the_remedy_is_told(
    site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert "there is no" in str(run("--detach").exception) or "does not work here" in str(
        run("--detach").exception
    )
