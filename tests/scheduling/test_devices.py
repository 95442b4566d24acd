"""GPUs are found without torch, and an inherited choice of GPUs is respected."""

from __future__ import annotations

import os

import pytest

from bench.errors import UserError
from bench.scheduling.device import Device
from bench.scheduling.engines import devices as module
from bench.scheduling.engines.devices import cores, devices, parse_listing, visible_gpus
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
