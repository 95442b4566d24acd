"""``bench show`` says how large an artifact is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
