from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from .conftest import SUITE

pytestmark = pytest.mark.e2e
CELLS = 2 * 2 * 3


def wait_until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_run_status_show_report_from_yaml_to_leaderboard(bench):
    suite = bench.suite()
    assert "12" in bench("plan", suite)
    assert "missing" in bench("status", suite, code=1)
    output = bench.apart("run", suite, "--workers", "2")
    assert f"{CELLS} done now" in output
    assert "Every cell is done" in bench.apart("status", suite)
    (first, *_) = bench.done()
    shown = bench("show", first[:10])
    assert "test/top1" in shown
    assert "training loss" in shown
    assert "weight: " in shown or '"weight"' in shown
    bench("report", suite)
    page = (bench.folder / "leaderboards" / "small" / "table.offline.md").read_text()
    assert "L2" in page or "l2" in page
    rows = (bench.folder / "leaderboards" / "small" / "table.offline.csv").read_text().splitlines()
    assert len(rows) == 1 + CELLS


def test_a_second_run_has_nothing_to_do_and_the_report_keeps_its_bytes(bench):
    suite = bench.suite()
    bench("run", suite, "--workers", "2")
    bench("report", suite)
    before = {f: f.read_bytes() for f in (bench.folder / "leaderboards").rglob("*") if f.is_file()}
    stamps = {f: f.stat().st_mtime_ns for f in bench.store.glob("cells/*/*/*")}
    assert f"0 done now, {CELLS} before" in bench("run", suite)
    bench("report", suite)
    assert {
        f: f.read_bytes() for f in (bench.folder / "leaderboards").rglob("*") if f.is_file()
    } == before
    assert {f: f.stat().st_mtime_ns for f in bench.store.glob("cells/*/*/*")} == stamps


def test_both_engines_give_the_same_bits(bench):
    suite = bench.suite()
    bench("run", suite, "--engine", "local", "--workers", "2")
    bench("run", suite, "--engine", "inline", "--store", bench.folder / "other")
    metrics = {r["cell"]["id"]: r["outcome"]["metrics"] for r in bench.records()}
    others = [
        json.loads(f.read_text())["record"] for f in bench.folder.glob("other/cells/*/*/*.json")
    ]
    assert {r["cell"]["id"]: r["outcome"]["metrics"] for r in others} == metrics
    assert len(metrics) == CELLS


@pytest.mark.parametrize("moment", [0.0, 0.5])
def test_kill_9_of_the_runner_then_again_does_every_cell_once(bench, moment):
    suite = bench.suite(SUITE.replace("steps: 8", "steps: 25"))
    process = bench.start("run", suite, "--workers", "2")
    # From the first lease on, at a chosen fraction of the work.
    wait_until(lambda: list(bench.store.glob("cells/*/*/*.lease")))
    wait_until(lambda: len(bench.done()) >= moment * CELLS)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    bench.wait_for_silence()
    before = bench.done()
    assert len(before) < CELLS, "killed too late to show anything"
    bench("run", suite, "--workers", "2")
    after = bench.done()
    assert len(after) == CELLS
    assert set(after.values()) == {1}
    assert not list(bench.store.rglob("*.tmp"))
    assert "Every cell is done" in bench("status", suite)


def test_kill_9_of_a_worker_fails_its_cell_alone_and_it_is_tried_again(bench):
    suite = bench.suite(SUITE.replace("steps: 8", "steps: 150").replace("seed: 3", "seed: 1"))
    process = bench.start("run", suite, "--workers", "1")
    wait_until(lambda: list(bench.store.glob("cells/*/*/*.log")))
    time.sleep(0.3)
    children = [pid for pid in bench.processes() if pid != process.pid]
    # The youngest is the worker; the fork server and the resource tracker are older.
    worker = max(children)
    os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "SIGKILL" in output
    assert set(bench.done().values()) == {1}
    assert len(bench.done()) == 4
    failed = [r for r in bench.records() if r["outcome"]["status"] == "failed"]
    assert [r["outcome"]["failure"]["kind"] for r in failed] == ["signal"]
    bench.wait_for_silence()


def test_ctrl_c_leaves_no_orphan_and_a_store_that_resumes(bench):
    suite = bench.suite(SUITE.replace("steps: 8", "steps: 100"))
    process = bench.start("run", suite, "--workers", "2")
    wait_until(lambda: len(bench.done()) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "go on with: bench run" in output
    bench.wait_for_silence()
    statuses = {r["outcome"]["status"] for r in bench.records()}
    assert statuses <= {"done", "cancelled"}
    bench("run", suite, "--workers", "2")
    assert len(bench.done()) == CELLS
    assert set(bench.done().values()) == {1}


def test_two_runners_on_one_store_share_the_work(bench):
    suite = bench.suite(SUITE.replace("steps: 8", "steps: 20"))
    runners = [bench.start("run", suite, "--workers", "1") for _ in range(2)]
    outputs = [runner.communicate(timeout=300)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], outputs
    assert len(bench.done()) == CELLS
    assert set(bench.done().values()) == {1}


def test_a_nan_ends_its_own_cell_with_the_step_and_the_term(bench):
    text = SUITE.replace("seed: 3", "seed: 1").replace(
        "profiles:",
        "when:\n  - {method: l2+bss, recipe: {optimizer: {sgd: {lr: 1e30}}}}\nprofiles:",
    )
    suite = bench.suite(text)
    output = bench("run", suite, "--workers", "2", code=1)
    assert "not-a-number" in output
    assert "step" in output
    assert len(bench.done()) == 2
    failed = [r for r in bench.records() if r["outcome"]["status"] == "failed"]
    # It would come again the same way: one attempt a cell.
    assert len(failed) == 2
    assert "not-a-number" in bench("status", suite, code=1)


def test_a_time_limit_ends_the_cell(bench):
    suite = bench.suite(
        SUITE.replace("steps: 8", "steps: 100000").replace("seed: 3", "seed: 1")
        .replace("[0.03, 0.05]", "0.03").replace("[l2, l2+bss]", "l2")
    )  # fmt: skip
    output = bench.apart("run", suite, "--time-limit", "2", code=1)
    assert "time-limit" in output
    assert [r["outcome"]["status"] for r in bench.records()] == ["timed-out"]
    bench.wait_for_silence()


def test_a_changed_recipe_makes_new_cells_and_other_code_makes_stale_ones(bench):
    plugin = bench.folder / "mine.py"
    plugin.write_text(PLUGIN)
    text = SUITE.replace("axes:", "plugins: [../mine.py]\naxes:", 1).replace(
        "  l2+bss: {penalties: {l2: {weight: 5e-4}, bss: {eta: 1e-3, k: 1}}}",
        "  l2+bss: {penalties: {mine: {}}}",
    )
    suite = bench.suite(text)
    bench("run", suite, "--workers", "2")
    plugin.write_text(PLUGIN.replace("# why", "# why, in other words"))
    # A process reads a part once: the edited one is seen by the next.
    assert "Every cell is done" in bench.apart("status", suite)
    plugin.write_text(PLUGIN.replace("0.5 *", "0.25 *"))
    output = bench.apart("status", suite, code=1)
    assert "code: penalty:mine" in output
    output = bench.apart("run", suite, "--workers", "2")
    assert f"{CELLS // 2} done now, {CELLS // 2} before" in output


PLUGIN = '''
from bench.parts import Penalty, penalty

@penalty("mine")
class Mine(Penalty):
    """Half the mean square of the features."""

    def __call__(self, step):
        # why
        return 0.5 * step.features.square().mean()
'''


def test_a_stage_runs_once_for_all_its_children(bench):
    text = SUITE.replace("weights: random", "weights: 'stage:source'") + (
        "stages:\n  source: {sampling_rate: 0.1, method: l2, seed: 0, recipe: {steps: 4}}\n"
    )
    suite = bench.suite(text)
    bench("run", suite, "--workers", "2")
    done = bench.records()
    stage = [r for r in done if not r["cell"]["parents"]]
    assert len(stage) == 1
    assert len(done) == CELLS + 1
    sources = {
        r["outcome"]["provenance"]["parents"]["start"]["sha256"] for r in done if r not in stage
    }
    assert sources == {stage[0]["outcome"]["artifacts"]["checkpoint"]["sha256"]}
    # Without its checkpoint a stage is made again when a new child needs it.
    (checkpoint,) = bench.store.rglob("0001.checkpoint.safetensors")
    checkpoint.unlink()
    bench.suite(text.replace("seed: 3", "seed: 4"))
    bench("run", suite, "--workers", "2")
    assert len(bench.done()) == 1 + 2 * 2 * 4
    # An attempt's files are never replaced: the second attempt left its own.
    (again,) = bench.store.rglob("*.checkpoint.safetensors")
    assert again == checkpoint.with_name("0002.checkpoint.safetensors")


def test_a_cell_done_without_its_checkpoint_is_done_again_to_keep_it(bench):
    text = SUITE.replace("seed: 3", "seed: 1").replace("[0.03, 0.05]", "0.03")
    suite = bench.suite(text.replace("[l2, l2+bss]", "l2"))
    bench("run", suite)
    exported = bench.folder / "exported"
    assert "--keep" in bench("export", suite, "--to", exported, code=2)
    assert "1 done now" in bench("run", suite, "--keep")
    assert "0 done now, 1 before" in bench("run", suite, "--keep")
    bench("export", suite, "--to", exported)
    assert sorted(f.name for f in exported.iterdir()) == ["digits.json", "digits.safetensors"]
    # The two attempts agree to the bit.
    first, second = (record["outcome"]["metrics"] for record in bench.records())
    assert first == second


def test_pairing_all_methods_see_the_same_first_batch(bench):
    bench("run", bench.suite(), "--workers", "2")
    first: dict[tuple, set] = {}
    for record in bench.records():
        cell, curve = record["cell"], record["outcome"]["curves"]["train/cross_entropy"]
        rate = cell["settings"]["tasks"][""]["sampling_rate"]
        first.setdefault((rate, cell["seed"]), set()).add(curve["value"][0])
    # Before any update the methods are the same network on the same images.
    assert len(first) == 6
    assert all(len(values) == 1 for values in first.values())
    assert len({next(iter(v)) for v in first.values()}) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing.yaml"], "there is no such file"),
        (["run", "{suite}", "--profile", "papr"], "there is no profile 'papr'"),
        (["rum", "{suite}"], "did you mean 'run'"),
        (["show", "ffff"], "no cell's id begins with 'ffff'"),
        (["report", "{suite}"], "no cell is done|no record"),
        (["test-method", "nothing.py"], "cannot be read"),
        (["run", "{suite}", "--device", "cuda"], "no GPU"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_input_gets_one_message_and_no_traceback(bench, arguments, message):
    import re

    suite = bench.suite()
    given = [a.format(suite=suite) for a in arguments]
    output = bench(*given, code=None)
    if "no GPU" in message and Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU")
    assert re.search(message, output), output
    assert "Traceback" not in output
