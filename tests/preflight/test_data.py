"""Whether a dataset can be had, told without reading it."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub.constants
import pytest

from bench.fetched import FORMAT, MANIFEST, Fetched, plain
from bench.preflight.data import data_problem
from bench.spec.catalogue import entry, names
from bench.spec.cell import Resources


def named(kind: str) -> str:
    return next(name for name in names() if entry(name).kind == kind)


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


@pytest.mark.parametrize("name", ["digits", "glyphs", "fractals"])
def test_what_is_made_here_is_there(name, no_cache):
    assert data_problem(name, Resources()) is None


def test_a_folder_and_a_file_that_are_gone_are_named(no_cache):
    folder, file = no_cache / "flowers", no_cache / "points.safetensors"
    of_folder = data_problem("flowers", Resources(folders={"flowers": str(folder)}))
    assert str(folder) in str(of_folder)
    resources = Resources(arrays={"points": (str(file), "vectors")})
    assert str(file) in str(data_problem("points", resources))
    for split in ("train", "test"):
        (folder / split / "rose").mkdir(parents=True)
        (folder / split / "rose" / "1.png").write_bytes(b"")
    assert data_problem("flowers", Resources(folders={"flowers": str(folder)})) is None


def test_a_set_that_has_to_be_brought_says_from_where(no_cache):
    name = named("folder")
    problem = data_problem(name, Resources())
    assert f"{name} cannot be loaded" in str(problem)
    assert str(entry(name).source) in str(problem)


def test_of_the_hub_the_cache_counts_where_the_network_is_switched_off(no_cache, monkeypatch):
    known = entry(named("hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    assert data_problem(known.name, Resources()) is None
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    told = str(data_problem(known.name, Resources()))
    assert "is not in the cache of the Hub, and the network is switched off" in told
    assert "bench fetch" in told
    assert f"hf download --repo-type dataset {known.hub}" in told
    (no_cache / "hub" / f"datasets--{str(known.hub).replace('/', '--')}").mkdir(parents=True)
    assert data_problem(known.name, Resources()) is None


def test_a_fetch_that_has_not_ended_is_told_before_the_run(no_cache, monkeypatch):
    known = entry(named("hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (no_cache / "hub" / f"datasets--{str(known.hub).replace('/', '--')}").mkdir(parents=True)
    pin = known.revision or "c" * 40
    for complete in (False, True):
        one = Fetched("dataset", str(known.hub), known.revision, pin, complete, False, "")
        written = {"format": FORMAT, "repositories": [plain(one)]}
        (no_cache / MANIFEST).write_text(json.dumps(written))
        assert (data_problem(known.name, Resources()) is None) == complete
