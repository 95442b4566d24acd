"""GPUs are found without torch, and an inherited choice of GPUs is respected."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import UserError
from bench.scheduling.device import Device
from bench.scheduling.engines import devices as module
from bench.scheduling.engines.devices import (
    announced,
    cores,
    devices,
    listing,
    parse_listing,
    parse_models,
    visible_gpus,
    visible_models,
)
from bench.scheduling.slots import Slots

TWO = """\
GPU 0: NVIDIA H200 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
GPU 1: NVIDIA H200 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000000)
"""
DIVIDED = """\
GPU 0: NVIDIA A100 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaa1111-0000)
  MIG 3g.20gb     Device  1: (UUID: MIG-bbbb2222-0000)
GPU 1: NVIDIA A100 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000000)
"""


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    listing.cache_clear()
    yield
    listing.cache_clear()


def machine(
    monkeypatch: pytest.MonkeyPatch, folder: Path, script: str | None, *, signs: str = ""
) -> None:
    """Let this be a machine with a driver's command of one's own, and signs of a GPU."""
    monkeypatch.setattr(module, "_DRIVER", folder / "gpus")
    monkeypatch.setattr(module, "_NODES", folder)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    command = folder / "nvidia-smi"
    if script is not None:
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
    found = str(command) if script is not None else None
    monkeypatch.setattr(module, "shutil", SimpleNamespace(which=lambda name: found))
    if signs == "driver":
        (folder / "gpus" / "0000:01:00.0").mkdir(parents=True)
    elif signs == "node":
        (folder / "nvidia0").touch()
    elif signs:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", signs)


BROKEN = ["echo 'NVIDIA-SMI has failed' >&2; exit 9", "echo 'No devices were found'"]


@pytest.mark.parametrize("signs", ["driver", "node", "0", "GPU-11"])
@pytest.mark.parametrize("script", BROKEN)
def test_a_gpu_that_is_announced_and_not_listed_is_an_error(
    script: str, signs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, tmp_path, script, signs=signs)
    for choice in ("auto", "cuda"):
        with pytest.raises(UserError, match=r"announced .* cannot be listed: nvidia-smi -L"):
            devices(choice)  # type: ignore[arg-type]
    assert devices("cpu", workers=2) == (Device("cpu", "", 2),)


@pytest.mark.parametrize("signs", ["", "-1", "none"])
@pytest.mark.parametrize("script", [*BROKEN, None])
def test_without_a_sign_of_a_gpu_there_is_none(
    script: str, signs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, tmp_path, script, signs=signs)
    assert devices(workers=2) == (Device("cpu", "", 2),)


def test_a_driver_that_gives_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, tmp_path, "true", signs="driver")

    def slow(*arguments: object, timeout: float, **more: object) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", timeout)

    monkeypatch.setattr(module.subprocess, "run", slow)
    with pytest.raises(UserError, match="no answer within 30 s"):
        devices()


def test_the_driver_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    machine(monkeypatch, tmp_path, f"echo asked >> {log}; cat <<'END'\n{TWO}END")
    monkeypatch.setattr(module, "cores", lambda: 16)
    found = devices()
    assert log.read_text() == "asked\n"
    assert [device.model for device in found] == ["NVIDIA H200"] * 2
    # A job a core at most, and the cores shared by as many as there may ever be.
    assert {(device.packed, device.slots, device.threads) for device in found} == {(True, 8, 1)}
    assert {device.packed for device in devices(slots_per_gpu=2)} == {False}


def test_what_announces_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, tmp_path, None)
    assert announced({}) == announced({"CUDA_VISIBLE_DEVICES": "-1"}) == ""
    assert announced({"CUDA_VISIBLE_DEVICES": "1,0"}) == "CUDA_VISIBLE_DEVICES=1,0"


def test_names_of_gpus() -> None:
    assert set(parse_models(TWO).values()) == {"NVIDIA H200"}
    assert set(parse_models(DIVIDED)) == {"1", "GPU-22222222-aaaa-bbbb-cccc-000000000000"}


def test_of_several_models_a_number_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = TWO.replace("1: NVIDIA H200", "1: NVIDIA A100")
    monkeypatch.setattr(module, "listing", lambda: mixed)
    assert visible_models(("0", "GPU-2222"), {}) == ("", "NVIDIA A100")
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert visible_models(("0", "1"), order) == ("NVIDIA H200", "NVIDIA A100")
    # The beginning of both.
    assert visible_models(("GPU-",), order) == ("",)


def test_the_listing_of_nvidia_smi() -> None:
    assert parse_listing(TWO) == ("0", "1")
    assert parse_listing(DIVIDED) == ("MIG-aaaa1111-0000", "MIG-bbbb2222-0000", "1")
    assert parse_listing("No devices were found\n") == ()


@pytest.mark.parametrize(
    ("inherited", "expected"),
    [
        (None, ("0", "1")),
        ("1", ("1",)),
        ("1,0", ("1", "0")),
        ("GPU-2222, 0", ("GPU-2222", "0")),
        ("", ()),
        ("-1", ()),
        ("0,-1,1", ("0",)),
    ],
)
def test_inherited_gpus(
    inherited: str | None, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_present_gpus", lambda: parse_listing(TWO))
    environment = {} if inherited is None else {"CUDA_VISIBLE_DEVICES": inherited}
    assert visible_gpus(environment) == expected


def test_gpus_are_taken_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "visible_gpus", lambda environment: ("3", "5"))
    monkeypatch.setattr(module, "cores", lambda: 13)
    found = devices(slots_per_gpu=2)
    # 13 cores for 4 jobs; on the CPU more threads than one a job only get in each other's way.
    assert found == (Device("cuda:0", "3", 2, 3, True), Device("cuda:1", "5", 2, 3, True))
    assert devices("cpu", workers=7) == (Device("cpu", "", 7),)


def test_without_gpus_there_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "visible_gpus", lambda environment: ())
    assert devices() == (Device("cpu", "", cores()),)
    with pytest.raises(UserError, match="--device cpu"):
        devices("cuda")


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_slots_go_to_the_emptiest_device() -> None:
    slots = Slots([Device("a", "0", 2), Device("b", "1", 2)])
    assert [slots.take().name for _ in range(4)] == ["a", "b", "a", "b"]
    assert not slots.room()


def test_a_device_to_be_drained_gets_nothing_new() -> None:
    slots = Slots([Device("a", "0", 2), Device("b", "1", 1)])
    first = slots.take()
    assert first.name == "a"
    assert slots.room(avoid="a")
    assert slots.take(avoid="a").name == "b"
    assert not slots.room(avoid="a")
    assert not slots.idle("a")
    slots.give_back(first)
    assert slots.idle("a")


def test_a_device_taken_alone_is_full() -> None:
    slots = Slots([Device("a", "0", 3)])
    alone = slots.take_alone("a")
    assert not slots.room()
    with pytest.raises(RuntimeError, match="a is not idle"):
        slots.take_alone("a")
    slots.give_back(alone)
    assert slots.room()
