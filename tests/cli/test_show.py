"""``bench show`` draws curves, and says how large an artifact is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from safetensors.numpy import save_file

from bench.cli.show import file_with_size


def test_an_artifact_is_shown_with_its_bytes_and_numbers(tmp_path: Path) -> None:
    file = tmp_path / "0001.patch.safetensors"
    tensors = {
        "backbone.norm.weight": np.ones(400, dtype=np.float32),
        "head.weight": np.zeros((20, 40), dtype=np.float32),
        "backbone.norm.num_batches_tracked": np.array(3),
    }
    save_file(tensors, file)
    size = file.stat().st_size
    assert size > 4 * 1200
    expected = f"0001.patch.safetensors ({size:,} bytes, 1,201 numbers)"
    assert file_with_size(file) == expected


def test_what_is_gone_or_broken_is_said(tmp_path: Path) -> None:
    file = tmp_path / "0001.patch.safetensors"
    assert file_with_size(file) == "0001.patch.safetensors, which is gone"
    file.write_bytes(b"nonsense")
    assert "0001.patch.safetensors, which cannot be read: " in file_with_size(file)


def test_curves_are_drawn_as_wide_as_the_terminal(
    laid: Path, bench: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = next(path for path in (laid / "store" / "cells").glob("*/*"))
    monkeypatch.setenv("COLUMNS", "80")
    told = bench("show", folder.name[:8]).output
    drawn = told.partition("\ncurves\n")[2].partition("\n\nseconds")[0]
    lines = drawn.splitlines()
    assert max(map(len, lines)) == 80
    assert sum("┤" in line for line in lines) == 8 * sum("└" in line for line in lines) > 0
    assert f"bench show {folder.name[:8]} --to FOLDER" in drawn


def test_pictures_are_written_where_asked_and_named(
    laid: Path, bench: Callable[..., Result]
) -> None:
    folder = next(path for path in (laid / "store" / "cells").glob("*/*"))
    result = bench("show", folder.name, "--to", "pictures/of it")
    named = [line for line in result.output.splitlines() if line.endswith(".svg")]
    written = sorted(map(str, Path("pictures/of it").iterdir()))
    assert sorted(named) == written != []
    assert all(Path(file).read_text().startswith("<?xml") for file in named)
    Path("file").touch()
    assert "pictures cannot be written" in str(
        bench("show", folder.name, "--to", "file/x").exception
    )
