from __future__ import annotations

import pytest
import torch

from bench.errors import UserError
from bench.training.numerics import autocast, deterministic


def test_inside_everything_is_deterministic_and_full_precision() -> None:
    torch.backends.cudnn.allow_tf32 = True
    with deterministic(1):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cudnn.benchmark


def test_the_process_gets_its_own_settings_back() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(RuntimeError), deterministic(3):
            raise RuntimeError
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_bfloat16_runs_on_a_cpu() -> None:
    matrix = torch.ones(2, 2)
    with autocast("bfloat16", torch.device("cpu")):
        assert (matrix @ matrix).dtype == torch.bfloat16
    with autocast("float32", torch.device("cpu")):
        assert (matrix @ matrix).dtype == torch.float32


def test_float16_on_a_cpu_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UserError, match="bfloat16"):
        autocast("float16", torch.device("cpu"))
