"""Retable as others have it: a wheel, in an environment and a folder with nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.terminal import COLUMNS, Terminal, watch

from .browser import WIDTHS, check_pages

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
# Of what lies here, what a wheel is made of, and a folder of Python files that is not in it.
SOURCES = (
    "bench", "suites", "leaderboards", "pyproject.toml", "setup.py", "README.md", "LICENSE",
    "benchmarks",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel of what lies here, which was never built here before."""
    copy, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    subprocess.run([sys.executable, "-c", BUILD, folder], cwd=copy, check=True, capture_output=True)
    (file,) = folder.glob("retable-*.whl")
    return file


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and an empty folder to work in."""

    environment: Path
    folder: Path
    cache: Path

    def __call__(self, *arguments: object, code: int | None = 0) -> str:
        """Return what a command of the environment prints."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.variables, "COLUMNS": "80"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert code is None or done.returncode == code, done.stdout
        return done.stdout

    def command(self, *arguments: object) -> list[str]:
        """Return a command as a shell takes it."""
        return [str(self.environment / "bin" / "bench"), *map(str, arguments)]

    @property
    def variables(self) -> dict[str, str]:
        """The environment, in which neither this checkout nor a store of ours is named."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("RETABLE", "PYTHON"))}
        return {**ours, "RETABLE_CACHE": str(self.cache)}


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, which sees the libraries of this one, and no Retable of it."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    own = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    # Python reads no .pth file of a folder that one names: an editable Retable stays unknown.
    libraries = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (own / "libraries.pth").write_text("\n".join(libraries))
    python = folder / "bin" / "python"
    install = ["pip", "install", "--quiet", "--offline", "--no-index", "--no-deps"]
    subprocess.run([sys.executable, "-m", "uv", *install, "--python", python, wheel], check=True)
    return folder


@pytest.fixture
def installed(environment, tmp_path, data_cache) -> Installed:
    folder = tmp_path / "empty"
    folder.mkdir()
    return Installed(environment, folder, data_cache)


def test_the_wheel_has_every_suite_and_every_published_bundle(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in (("suites", "*/*.yaml"), ("leaderboards", "*/*.zip")):
        files = {f"bench/{file.relative_to(ROOT)}" for file in ROOT.glob(f"{folder}/{pattern}")}
        assert files
        assert {n for n in names if n.startswith(f"bench/{folder}/")} == files
    assert "bench/models/shipped/fractals.safetensors" in names
    # No page, no picture, and no package but ours.
    assert not [n for n in names if n.endswith((".md", ".svg"))]
    assert {n.partition("/")[0].partition("-")[0] for n in names} == {"bench", "retable"}


def test_a_smoke_suite_goes_to_its_page_in_an_empty_folder(installed):
    suite = "transferred/shuffled-images"
    assert f"bench report {suite}" in installed("run", suite, "--profile", "smoke", "--workers", 1)
    installed("report", suite, "--profile", "smoke")
    page = installed.folder / "leaderboards" / f"{suite}.smoke.md"
    assert "These numbers mean nothing" in page.read_text()
    # All that was made lies here.
    assert {path.name for path in installed.folder.iterdir()} == {"results", "leaderboards"}


def test_published_records_make_their_page_without_training(installed, bench):
    """The page that this checkout makes of them, which is another than the published one only
    where code was edited since."""
    suite = "bss/strength"
    assert str(installed.environment) in installed("import", suite)
    installed("report", suite, code=None)
    bench("import", ROOT / "leaderboards" / f"{suite}.offline.zip")
    bench("report", suite, code=None)
    for ending in ("md", "json", "csv"):
        page = f"leaderboards/{suite}.offline.{ending}"
        assert (installed.folder / page).read_text() == (bench.folder / page).read_text()
    assert json.loads((installed.folder / page).with_suffix(".json").read_text())["planned"] > 0


def test_suites_of_ones_own_stand_beside_those_that_come_along(installed):
    own = installed.folder / "suites" / "mine"
    shutil.copytree(ROOT / "suites" / "sources", own)
    paper = (own / "paper.yaml").read_text()
    (own / "paper.yaml").write_text(paper.replace("id: sources", "id: mine"))
    assert "mine/pretrain offline" in installed("validate")
    assert "bss/table2 smoke: 34 cells" in installed("validate", "bss/table2")
    output = installed("plan", "sources/pretain", code=2)
    assert "did you mean 'sources/pretrain'?" in output


WALK = (
    "--help",
    "list suites",
    "list datasets",
    "list parts",
    "new suite mine",
    "validate mine",
    "plan mine --only seed=0",
    "run mine --only seed=0 --workers 2",
    "status mine --only seed=0",
    "report mine --only seed=0",
    "claims mine",
    "site",
    "status mine",
)


@pytest.fixture(scope="module")
def walked(environment, tmp_path_factory, data_cache) -> tuple[Path, dict[str, Terminal]]:
    """A folder in which a newcomer went from nothing to a site, with nothing edited, and what the
    terminal showed at each command."""
    folder = tmp_path_factory.mktemp("walk")
    installed, shown = Installed(environment, folder, data_cache), {}
    for words in WALK:
        command = installed.command(*words.split())
        code, _, shown[words] = watch(command, folder, installed.variables, seconds=400)
        # Of the whole suite, cells are still to be run.
        assert code == int(words == "status mine"), shown[words].scrolled
    return folder, shown


def test_a_newcomers_walk_from_nothing_to_a_site(walked):
    folder, shown = walked
    assert "bss/table2" in shown["list suites"].scrolled
    assert "suites/mine" in shown["new suite mine"].screen
    assert "mine/table offline: 20 cells" in shown["validate mine"].screen
    # While it runs, a table is drawn.
    run = shown["run mine --only seed=0 --workers 2"]
    assert any("of 4 cells ended" in line for line in run.lines)
    assert "cells: 4 done now" in run.scrolled
    assert "Every cell is done." in shown["status mine --only seed=0"].screen
    (page,) = (folder / "excerpts" / "mine").glob("*.md")
    assert "seed" in page.read_text()
    index = (folder / "site" / "index.html").read_text()
    assert 'href="papers/mine.offline.html"' in index


def test_no_line_of_a_newcomers_screens_is_wider_than_the_terminal(walked):
    folder, shown = walked
    # A line to be copied is whole, however long, and a path is as long as it is.
    whole = ("bench ", str(folder))
    wide = {
        words: [
            line
            for line in terminal.lines
            if len(line) > COLUMNS and not any(word in line for word in whole)
        ]
        for words, terminal in shown.items()
    }
    assert wide == {words: [] for words in WALK}


@pytest.mark.parametrize("width", WIDTHS)
def test_each_page_of_a_newcomers_site_fits_a_laptop_and_a_phone(walked, browser, width):
    files = sorted((walked[0] / "site").rglob("*.html"))
    # The front page, the paper's, the suite's, and a cell's for each that was run.
    assert len(files) == 7
    check_pages(browser, files, width)
