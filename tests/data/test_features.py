"""A table of features is computed once, and never read where it is not what was asked for."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.data import features
from bench.data.features import FeatureTable, feature_table, verify_features

CPU = torch.device("cpu")
ROWS = np.array([1, 4, 5, 9, 12])
VALUES = torch.arange(15, dtype=torch.float32).reshape(5, 3) / 7


def blocks(values: Tensor = VALUES) -> Iterator[Tensor]:
    """Yield rows two at a time, and more of them than are asked for."""
    yield from torch.cat([values, values[:1]]).split(2)


def table(cache: Path, weights: str = "ours", values: Tensor = VALUES) -> FeatureTable:
    return feature_table({"weights": weights}, ROWS, lambda: blocks(values), cache)


def never() -> Iterator[Tensor]:
    raise AssertionError("computed again")


def only(cache: Path, name: str) -> Path:
    (found,) = (cache / "features").glob(f"*/{name}")
    return found


def test_features_come_in_the_order_asked_for_and_are_computed_once(tmp_path: Path) -> None:
    table(tmp_path)
    again = feature_table({"weights": "ours"}, ROWS, never, tmp_path)
    asked = np.array([9, 1, 9, 12])
    assert torch.equal(again.of(asked, CPU), VALUES[[3, 0, 3, 4]])
    with pytest.raises(ValueError, match="not computed"):
        again.of(np.array([1, 2]), CPU)
    with pytest.raises(ValueError, match="not computed"):
        again.of(np.array([13]), CPU)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_no_bit_is_lost_in_any_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    values = VALUES.to(dtype)
    table(tmp_path, values=values)
    found = feature_table({"weights": "ours"}, ROWS, never, tmp_path).of(ROWS, CPU)
    assert found.dtype == dtype
    assert torch.equal(found, values)


def test_other_weights_have_another_table(tmp_path: Path) -> None:
    table(tmp_path)
    theirs = table(tmp_path, "theirs", VALUES + 1)
    assert torch.equal(theirs.of(ROWS, CPU), VALUES + 1)
    assert theirs.sha256 != table(tmp_path).sha256


def test_a_table_under_the_name_of_another_is_not_read(tmp_path: Path) -> None:
    table(tmp_path)
    ours = only(tmp_path, "manifest.json").parent
    table(tmp_path, "theirs", VALUES + 1)
    (theirs,) = {p.parent for p in (tmp_path / "features").glob("*/manifest.json")} - {ours}
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)
    assert torch.equal(table(tmp_path).of(ROWS, CPU), VALUES)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["features.npy", "manifest.json"]),
    place=st.integers(0, 10_000),
    mask=st.integers(1, 255),
)
def test_whatever_byte_changes_the_features_do_not(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: int, mask: int
) -> None:
    cache = tmp_path_factory.mktemp("flipped")
    table(cache)
    file = only(cache, name)
    data = bytearray(file.read_bytes())
    place %= len(data)
    # One white space for another says the same.
    assume(not (chr(data[place]).isspace() and chr(data[place] ^ mask).isspace()))
    data[place] ^= mask
    file.write_bytes(data)
    assert [found.damaged is not None for found in verify_features(cache)] == [True]
    assert torch.equal(table(cache).of(ROWS, CPU), VALUES)
    assert [found.damaged for found in verify_features(cache)] == [None]


@pytest.mark.parametrize("name", ["features.npy", "manifest.json"])
def test_a_file_that_is_gone_is_made_again(tmp_path: Path, name: str) -> None:
    table(tmp_path)
    only(tmp_path, name).unlink()
    assert torch.equal(table(tmp_path).of(ROWS, CPU), VALUES)


def test_what_was_not_finished_does_not_count(tmp_path: Path) -> None:
    def stopped() -> Iterator[Tensor]:
        yield VALUES[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feature_table({"weights": "ours"}, ROWS, stopped, tmp_path)
    with pytest.raises(ValueError, match="2 came"):
        feature_table({"weights": "ours"}, ROWS, lambda: [VALUES[:2]], tmp_path)
    assert torch.equal(table(tmp_path).of(ROWS, CPU), VALUES)


def _at_once(cache: Path, start: Any, own: int) -> None:
    def slowly() -> Iterator[Tensor]:
        (cache / f"computed-{own}").touch()
        for block in blocks():
            time.sleep(0.05)
            yield block

    start.wait()
    found = feature_table({"weights": "ours"}, ROWS, slowly, cache)
    assert torch.equal(found.of(ROWS, CPU), VALUES)


def test_of_processes_that_ask_at_once_one_computes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    workers = [
        context.Process(target=_at_once, args=(tmp_path, start, own), daemon=True)
        for own in range(3)
    ]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(list(tmp_path.glob("computed-*"))) == 1


def test_tables_not_used_for_longest_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = VALUES.nbytes
    for age, weights in enumerate(["today", "days", "weeks"]):
        folder = set((tmp_path / "features").glob("*/"))
        table(tmp_path, weights)
        (new,) = set((tmp_path / "features").glob("*/")) - folder
        then = time.time() - (0, 3, 20)[age] * 86_400
        os.utime(new / "manifest.json", (then, then))
    # The new one and two of the three fit: each file has a header of 128 bytes.
    monkeypatch.setattr(features, "LIMIT", 3 * (size + 128))
    table(tmp_path, "new")
    for weights in ("today", "days", "new"):
        feature_table({"weights": weights}, ROWS, never, tmp_path)
    with pytest.raises(AssertionError, match="again"):
        feature_table({"weights": "weeks"}, ROWS, never, tmp_path)
    # What was used within a day stays, whatever the limit.
    monkeypatch.setattr(features, "LIMIT", 0)
    table(tmp_path, "newer")
    for weights in ("today", "days", "new", "newer"):
        feature_table({"weights": weights}, ROWS, never, tmp_path)
