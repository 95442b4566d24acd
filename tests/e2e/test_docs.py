"""The documentation works as written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def test_a_wrong_penalty_is_caught_by_the_conformance_checks(bench):
    files = files_of("add-a-penalty.md")
    wrong = files["l1_sp.py"].replace("(w - step.start", "(w.detach() - step.start")
    assert wrong != files["l1_sp.py"]
    (bench.folder / "wrong.py").write_text(wrong)
    assert "FAILED" in bench("test-method", "wrong.py", code=1)


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
    write_flowers(bench.folder / "images")
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


def test_three_trainings_in_a_row_work_as_described(bench):
    write(bench.folder, files_of("stages.md"))
    write_flowers(bench.folder / "flowers", train=12)
    plan = bench("plan", "forgetting/table.yaml")
    assert "level 0: 1, level 1: 1, level 2: 9" in plan
    bench("run", "forgetting/table.yaml", "--profile", "smoke", "--workers", "2")
    last = [r for r in bench.records() if r["cell"]["dataset"] == "digits"]
    assert {r["cell"]["weights"] for r in last} == {"stage"}
    assert all(0 <= r["outcome"]["metrics"]["source/top1"] <= 1 for r in last)
    bench("report", "forgetting/table.yaml", "--profile", "smoke")
    page = (bench.folder / "leaderboards" / "forgetting" / "table.smoke.md").read_text()
    assert "flowers (%)" in page
    assert "![Digits above" in page


def test_every_link_in_the_docs_resolves():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readmes_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text(), re.M):
            assert target in targets, f"{page.name} names make {target}"
