"""The documentation works as written."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from bench.cli.main import group
from bench.models.checkpoint import load_checkpoint
from bench.parts.checks import check_part
from bench.spec.parts import KINDS, read_parts

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.S)


def files_of(page: str) -> dict[str, str]:
    return dict(BLOCK.findall((ROOT / "docs" / page).read_text()))


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_penalty_of_the_how_to_is_short_and_conforms(bench):
    files = files_of("add-a-penalty.md")
    assert len(files["l1_sp.py"].splitlines()) <= 25
    write(bench.folder, files)
    output = bench("test-method", "l1_sp.py")
    assert "all checks passed" in output
    bench("validate", "mine/table.yaml")
    bench("run", "mine/table.yaml", "--profile", "smoke", "--workers", "2")
    bench("report", "mine/table.yaml", "--profile", "smoke")
    assert "l1-sp" in (bench.folder / "leaderboards" / "mine" / "table.smoke.md").read_text()


def test_a_wrong_penalty_is_caught_by_the_conformance_checks(tmp_path):
    files = files_of("add-a-penalty.md")
    wrong = files["l1_sp.py"].replace("(w - step.start", "(w.detach() - step.start")
    assert wrong != files["l1_sp.py"]
    (tmp_path / "wrong.py").write_text(wrong)
    failed = [c.name for c in check_part("penalty", "l1-sp", [str(tmp_path / "wrong.py")])
              if not c.passed]  # fmt: skip
    assert "gradient" in failed


def write_flowers(images: Path, train: int = 8) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", 4)):
        for c, name in enumerate(["rose", "tulip"]):
            folder = images / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)
                pixels[..., c] = 255
                Image.fromarray(pixels).save(folder / f"{i}.jpg")


def test_own_images_work_as_described(bench):
    write(bench.folder, files_of("own-data.md"))
    # The images lie where the page draws them.
    page = (ROOT / "docs" / "own-data.md").read_text()
    folder = re.search(r"```\n(\w+)/\n  train/", page)
    assert folder is not None
    write_flowers(bench.folder / folder[1])
    bench("run", "flowers/table.yaml", "--profile", "smoke", "--workers", "2")
    # One image changes: what was made from the old one is stale, and the status says so.
    shutil.copy(bench.folder / "images/train/rose/0.jpg", bench.folder / "images/train/rose/1.jpg")
    assert "data" in bench("status", "flowers/table.yaml", "--profile", "smoke", code=1)
    output = bench("run", "flowers/table.yaml", "--profile", "smoke", "--workers", "2")
    assert "4 done now" in output


def test_figures_and_tables_of_metrics_work_as_described(bench):
    write(bench.folder, files_of("figures.md"))
    bench("run", "curves/table.yaml", "--profile", "smoke", "--workers", "2")
    bench("report", "curves/table.yaml", "--profile", "smoke")
    page = (bench.folder / "leaderboards" / "curves" / "table.smoke.md").read_text()
    assert "top-1 error (%)" in page
    assert "![Test accuracy" in page
    names = {file.name for file in (bench.folder / "leaderboards" / "curves").iterdir()}
    assert {"table.smoke-1.svg", "table.smoke.curves.csv"} <= names


def test_the_python_interface_works_as_described(bench, monkeypatch, capsys):
    write(bench.folder, files_of("python.md"))
    page = (ROOT / "docs" / "python.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.S | re.M))
    monkeypatch.chdir(bench.folder)
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    found: dict[str, Any] = {}
    exec(compile(code, "python.md", "exec"), found)
    assert "4 cells in" in capsys.readouterr().out
    # What the commands say of the same store.
    bench("report", "few/table.yaml")
    csv = (bench.folder / "leaderboards" / "few" / "table.offline.csv").read_text()
    assert found["frame"].to_csv(index=False, lineterminator="\n") == csv
    (told,) = json.loads(bench("claims", "few", "--json"))["claims"]
    assert told["verdict"] == found["verdict"].outcome
    rows = [json.loads(line) for line in bench("plan", "few/table.yaml", "--json").splitlines()]
    planned = json.loads(json.dumps([vars(row) for row in found["few"].plan()]))
    assert [{"suite": "few/table", **row} for row in rows] == planned
    assert {row["state"] for row in rows} == {"done"}


def test_three_trainings_in_a_row_work_as_described(bench):
    write(bench.folder, files_of("stages.md"))
    write_flowers(bench.folder / "flowers", train=12)
    plan = bench("plan", "forgetting/table.yaml")
    assert "level 0: 1, level 1: 1, level 2: 9" in plan
    bench("run", "forgetting/table.yaml", "--profile", "smoke", "--workers", "2")
    last = [r for r in bench.records() if r["cell"]["settings"]["recipe"]["forgetting"]]
    assert {r["cell"]["settings"]["weights"] for r in last} == {"stage"}
    assert all(0 <= r["outcome"]["metrics"]["source/top1"] <= 1 for r in last)
    bench("report", "forgetting/table.yaml", "--profile", "smoke")
    page = (bench.folder / "leaderboards" / "forgetting" / "table.smoke.md").read_text()
    assert "flowers (%)" in page
    assert "![Digits above" in page


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_that_new_writes_conforms(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(group, ["new", "part", kind, f"new-{kind}"]).exit_code == 0
    checks = check_part(kind, f"new-{kind}", [str(tmp_path / f"new_{kind}.py")])
    assert checks
    assert [(c.name, c.detail) for c in checks if not c.passed] == []


def test_the_suite_that_new_writes_runs_to_its_page(bench):
    bench("new", "suite", "mine")
    bench("run", "mine", "--profile", "smoke", "--only", "seed=0", "--workers", "2")
    assert len(bench.records()) == 4
    bench("run", "mine", "--profile", "smoke", "--workers", "2")
    assert len(bench.records()) == 8
    bench("report", "mine", "--profile", "smoke")
    assert "bss-helps" in (bench.folder / "leaderboards/mine/table.smoke.md").read_text()


@pytest.mark.parametrize(
    ("page", "file"),
    [("add-a-part.md", name) for name in (
        "biases.py", "adapters.py", "averaged_gradients.py", "orthogonal.py",
        "gaussian_noise.py", "label_smoothing.py", "residual_mlp.py",
    )] + [("add-a-penalty.md", "mas.py"), ("measure.md", "barrier.py")],
)  # fmt: skip
def test_every_part_of_the_how_tos_conforms(page, file, tmp_path):
    """In this process: a command for each would import torch nine times."""
    (tmp_path / file).write_text(files_of(page)[file])
    plugin = str(tmp_path / file)
    for part in read_parts(tmp_path / file):
        failed = [check for check in check_part(part.kind, part.name, [plugin]) if not check.passed]
        assert failed == []


def test_states_of_a_stage_and_kept_heads_work_as_described(bench):
    write(bench.folder, files_of("stages.md"))
    bench("run", "longer/table.yaml", "--profile", "smoke", "--engine", "inline")
    bench("report", "longer/table.yaml", "--profile", "smoke")
    (stage,) = [r for r in bench.records() if not r["cell"]["parents"]]
    kept = {"checkpoint", "checkpoint@start", "checkpoint@step 2"}
    assert set(stage["outcome"]["artifacts"]) == kept
    cells = [r["cell"] for r in bench.records() if r["cell"]["parents"]]
    assert {c["parents"]["start"]["artifact"] for c in cells} == kept
    assert {c["settings"]["recipe"]["head"] for c in cells} == {"new", "kept"}
    page = (bench.folder / "leaderboards" / "longer" / "table.smoke.md").read_text()
    assert "300 steps" in page


def test_a_patch_gives_what_the_checkpoint_gives(bench, monkeypatch):
    write(bench.folder, files_of("stages.md"))
    bench("run", "patched/table.yaml", "--profile", "smoke", "--engine", "inline")
    by_id = {r["cell"]["id"]: r for r in bench.records()}
    (stage,) = [r for r in by_id.values() if not r["cell"]["parents"]]
    assert set(stage["outcome"]["artifacts"]) == {"checkpoint", "patch"}
    found = {"checkpoint": {}, "patch": {}}
    for record in by_id.values():
        for parent in record["cell"]["parents"].values():
            outcome = record["outcome"]
            numbers = (outcome["metrics"], outcome["curves"], outcome["provenance"]["weights"])
            found[parent["artifact"]][record["cell"]["seed"]] = numbers
    assert found["checkpoint"] == found["patch"]
    assert sorted(found["patch"]) == [0, 1]
    # The head of test_resnet for 20 classes: weights and biases, in four bytes each.
    shown = bench("show", stage["cell"]["id"])
    size = re.search(r"patch: 0001.patch.safetensors \(([\d,]+) bytes, ([\d,]+) numbers\)", shown)
    assert size is not None
    size, numbers = (int(text.replace(",", "")) for text in size.groups())
    assert numbers == stage["outcome"]["metrics"]["parameters/trained"]
    assert 4 * numbers < size < 4 * numbers + 1000
    # Out of the store it is put together with its body as the page has it.
    bench("export", "patched/table.yaml", "--profile", "smoke", "--patch", "--to", "my-patches")
    page = (ROOT / "docs" / "stages.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "my-p" in block]
    monkeypatch.chdir(bench.folder)
    scope: dict[str, Any] = {}
    exec(code, scope)
    about, taught = scope["about"], scope["taught"]
    (begun, *_) = [weights["start"] for _, _, weights in found["patch"].values()]
    assert taught.sha256 == begun["sha256"]
    (whole,) = bench.store.rglob("*.checkpoint.safetensors")
    heads = load_checkpoint(whole).heads
    assert taught.heads.keys() == heads.keys() == {""}
    assert all(torch.equal(taught.heads[""][name], value) for name, value in heads[""].items())
    assert about["body"]["source"] == "shipped:fractals"
    assert about["body"]["sha256"] == scope["body"].sha256 == taught.sha256


def test_vectors_and_several_tasks_work_as_described(bench, monkeypatch):
    write(bench.folder, files_of("tasks-and-data.md"))
    monkeypatch.chdir(bench.folder)
    runpy.run_path("diabetes.py")
    for suite, shown in (("diabetes", "| wide "), ("several", "glyphs, mean over classes (%)")):
        bench("validate", f"{suite}/table.yaml")
        bench("run", f"{suite}/table.yaml", "--profile", "smoke", "--engine", "inline")
        bench("report", f"{suite}/table.yaml", "--profile", "smoke")
        page = (bench.folder / "leaderboards" / suite / "table.smoke.md").read_text()
        assert shown in page
        assert "(0/2)" not in page
    tasks = [r for r in bench.records() if "digits/test/top1" in r["outcome"]["metrics"]]
    norms = {r["cell"]["seed"]: set() for r in tasks}
    for record in tasks:
        norms[record["cell"]["seed"]].add(record["outcome"]["metrics"]["parameters/private"])
    assert all(len(sizes) == 2 for sizes in norms.values())


def test_a_network_and_an_objective_of_the_how_to_make_a_table(bench):
    write(bench.folder, files_of("add-a-part.md"))
    bench("run", "parts/vectors.yaml", "--profile", "smoke", "--workers", "1")
    bench("report", "parts/vectors.yaml", "--profile", "smoke")
    page = (bench.folder / "leaderboards" / "parts" / "vectors.smoke.md").read_text()
    assert "calibration error (%)" in page
    assert "no smoothing" in page


def test_the_loop_with_profit_runs_as_it_stands(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "profit.md").read_text(), re.S)
    exec(code, {})
    told = capsys.readouterr().out
    assert re.fullmatch(r"cosine of the walk and the gradient: -?[01]\.\d\d\n", told)


def test_every_link_in_the_docs_resolves():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target, section in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
            if target.startswith("http"):
                continue
            file = page.parent / target if target else page
            assert file.exists(), f"{page.name} links to {target}"
            if section:
                assert section in sections_of(file), f"{page.name} links to {target}#{section}"


def sections_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readmes_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text(), re.M):
            assert target in targets, f"{page.name} names make {target}"


def prose_of(page: Path) -> list[str]:
    """Return a page's lines but those of tables and of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return [line for line in text.splitlines() if not line.lstrip().startswith("|")]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda page: page.stem,
)  # fmt: skip
def test_lines_of_prose_are_short_and_none_begins_a_block_of_html(page):
    lines = prose_of(page)
    assert [line for line in lines if len(line) > 150] == []
    # There Markdown is not interpreted up to the line's end.
    assert [line for line in lines if line.lstrip().startswith("<!--=")] == []


def test_the_readmes_verdicts_are_those_of_the_published_pages():
    text = (ROOT / "README.md").read_text()
    (shown,) = re.findall(r"^bss, profile offline: ([^;]+);", text, re.M)
    counts = Counter[str]()
    for file in (ROOT / "leaderboards" / "bss").glob("*.offline.json"):
        counts.update(json.loads(file.read_text()).get("claims", {}))
    told = {outcome: int(n) for n, outcome in re.findall(r"(\d+) ([a-z ]+)", shown)}
    assert told == {outcome: n for outcome, n in counts.items() if n}
