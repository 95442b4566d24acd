from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from bench.errors import UserError
from bench.models.weights import load_backbone
from bench.records.codec import dump_outcome, load_outcome
from bench.records.record import Outcome, Provenance
from bench.spec.cell import Resources
from bench.spec.recipe import Recipe
from bench.training import execute as execution
from bench.training import numeric_settings
from bench.training.execute import execute
from bench.training.numeric_settings import current, put, told
from bench.training.numerics import autocast, deterministic, float32_of, own_randomness
from tests.training.conftest import RECIPE, Build

matmul = torch.backends.cuda.matmul
convolution = torch.backends.cudnn.conv  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def as_found() -> Iterator[None]:
    before = current()
    yield
    put(before)


def test_inside_everything_is_deterministic_and_full_precision() -> None:
    # What another library wishes for.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        with deterministic(1):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.get_num_threads() == 1
            assert set(current().float32.values()) == {"ieee"}
            assert (matmul.fp32_precision, convolution.fp32_precision) == ("ieee", "ieee")
            assert not torch.backends.cudnn.benchmark
    finally:
        torch.set_float32_matmul_precision("highest")


def test_the_process_gets_its_own_settings_back() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(RuntimeError), deterministic(3):
            raise RuntimeError
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_tf32_is_for_products_and_convolutions_of_a_gpu_alone() -> None:
    with deterministic(1):
        assert (told()["matmul"], told()["convolution"]) == ("ieee", "ieee")
        with float32_of("tf32", "cuda"):
            found = {name for name, value in current().float32.items() if value == "tf32"}
            assert found == {"matmul", "convolution"}
            assert (told()["matmul"], told()["convolution"]) == ("tf32", "tf32")
        assert (told()["matmul"], told()["convolution"]) == ("ieee", "ieee")


def test_tf32_of_an_older_torch_is_said_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import torch\n"
        "from bench.training import numeric_settings as settings\n"
        "settings._BY_OPERATOR = False\n"
        "from bench.training.numerics import deterministic, float32_of\n"
        "with deterministic(1):\n"
        "    with float32_of('tf32', 'cuda'):\n"
        "        print(torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)\n"
        "        print(settings.told()['matmul'], settings.told()['convolution'])\n"
        "    print(torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)\n"
        "    print(settings.told()['matmul'], settings.told()['convolution'])\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert there.split() == ["high", "True", "tf32", "tf32", "highest", "False", "ieee", "ieee"]


def test_tf32_on_a_cpu_is_an_error_that_says_what_to_do(job: Build) -> None:
    recipe = RECIPE.model_copy(update={"precision": "tf32"})
    with pytest.raises(UserError, match="precision tf32 needs a GPU"):
        execute(job(recipe))


def test_tf32_on_a_gpu_without_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    for capability in ((7, 0), (8, 0)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda found=capability: found)
        with float32_of("float32", "cuda"):
            pass
        if capability[0] == 8:
            with float32_of("tf32", "cuda"):
                assert told()["matmul"] == "tf32"
            continue
        with pytest.raises(UserError, match="Tesla V100 is older"), float32_of("tf32", "cuda"):
            pass


@pytest.mark.parametrize(("precision", "value"), [("tf32", "0"), ("float32", "1")])
def test_the_environment_does_not_decide_on_tf32(
    precision: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", value)
    with float32_of("float32", "cpu"):
        pass
    with pytest.raises(UserError, match="OVERRIDE"), float32_of(precision, "cuda"):
        pass
    with float32_of({"0": "float32", "1": "tf32"}[value], "cuda"):
        pass


def test_a_cell_runs_in_the_precision_of_its_recipe(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No GPU is needed to see what is asked of one.
    seen = []
    monkeypatch.setattr("bench.training.train_cell.load_task", lambda *_, **__: seen.append(told()))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share: None)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: torch.no_grad())
    for precision in ("float32", "tf32", "bfloat16"):
        made = job(RECIPE.model_copy(update={"precision": precision}))
        with pytest.raises(AttributeError):
            execute(replace(made, device="cuda"))
    assert [(one["matmul"], one["convolution"]) for one in seen] == [
        ("ieee", "ieee"), ("tf32", "tf32"), ("ieee", "ieee")
    ]  # fmt: skip


def test_precision_is_part_of_the_id_but_for_its_default(job: Build) -> None:
    one = {
        precision: job(RECIPE.model_copy(update={"precision": precision})).cell.id
        for precision in ("float32", "tf32", "bfloat16")
    }
    assert len(set(one.values())) == 3
    assert one["float32"] == job(RECIPE).cell.id
    assert Recipe().precision == "float32"


CHANGES = {
    "threads": lambda: torch.set_num_threads(2),
    "algorithms": lambda: torch.use_deterministic_algorithms(False),
    "warn_only": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "cudnn": lambda: setattr(torch.backends.cudnn, "deterministic", False),
    "matmul": lambda: torch.set_float32_matmul_precision("high"),
    "matmul, by its own name": lambda: setattr(matmul, "fp32_precision", "tf32"),
    "convolution": lambda: setattr(torch.backends.cudnn, "allow_tf32", True),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_cell_during_which_a_setting_was_changed_fails(
    what: str, job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(job: object) -> Outcome:
        CHANGES[what]()
        return Outcome("done")

    monkeypatch.setitem(execution._DOES, "train", changing)
    try:
        with pytest.raises(UserError, match=f"were changed while the cell ran: {what[:6]}"):
            execute(job(RECIPE))
    finally:
        torch.set_float32_matmul_precision("highest")
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_a_cell_failed_of_is_not_hidden_by_changed_settings() -> None:
    def failing() -> None:
        torch.set_num_threads(2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), deterministic(1):
        failing()


def test_bfloat16_runs_on_a_cpu() -> None:
    matrix = torch.ones(2, 2)
    with autocast("bfloat16", torch.device("cpu")):
        assert (matrix @ matrix).dtype == torch.bfloat16
    for whole in ("float32", "tf32"):
        with autocast(whole, torch.device("cpu")):
            assert (matrix @ matrix).dtype == torch.float32


def test_float16_on_a_cpu_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UserError, match="bfloat16"):
        autocast("float16", torch.device("cpu"))


def test_a_record_says_by_which_settings_it_was_made(job: Build) -> None:
    made = execute(job(RECIPE)).provenance
    assert made.numerics == {
        "matmul": "ieee", "convolution": "ieee", "deterministic": "yes", "autotuning": "no"
    }  # fmt: skip
    assert set(made.machine) == {"processor", "device", "threads", "os"}


def test_records_from_before_settings_were_told_keep_their_bytes() -> None:
    before = dump_outcome(Outcome("done", provenance=Provenance(machine={"device": "cpu"})))
    assert "numerics" not in before
    assert dump_outcome(load_outcome(before)) == before
    told = Outcome("done", provenance=Provenance(numerics={"matmul": "tf32"}))
    assert load_outcome(dump_outcome(told)).provenance.numerics == {"matmul": "tf32"}


def test_loading_a_backbone_leaves_a_gpus_generator_on_the_cells_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    with own_randomness(3, "cpu"):
        assert len(seeded) == 1
        load_backbone("test_resnet", "random", seed=3, resources=Resources())
        assert len(seeded) == 1


def test_a_job_takes_no_more_than_its_share_of_a_gpus_memory(
    monkeypatch: pytest.MonkeyPatch, job: Build
) -> None:
    taken: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", taken.append)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: torch.no_grad())
    monkeypatch.setitem(execution._DOES, "train", lambda job: Outcome("done"))
    execute(replace(job(RECIPE), memory_share=0.25))
    assert taken == []
    execute(replace(job(RECIPE), memory_share=0.25, device="cuda"))
    execute(replace(job(RECIPE), device="cuda"))
    assert taken == [0.25, 1.0]


def test_this_torch_has_a_precision_for_each_operator() -> None:
    assert hasattr(matmul, "fp32_precision") == numeric_settings._BY_OPERATOR
