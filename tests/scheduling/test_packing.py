"""How many cells share a device: what fits by known peaks, as long as one more brings something."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scheduling.device import Device
from bench.scheduling.packing import Packing, kind_of
from bench.scheduling.slots import Slots
from bench.spec.cell import Cell
from bench.spec.recipe import Recipe
from bench.spec.work import Choose
from tests.records.built import cell, measurement, task

GIB = 1024**3
H200 = "NVIDIA H200"


def gpu(number: int = 0, slots: int = 8) -> Device:
    return Device(f"cuda:{number}", str(number), slots, here=True, model=H200, packed=True)


def taught(memory: int = 100, **peaks: int) -> Packing:
    packing = Packing()
    packing.has_memory(H200, memory)
    for kind, peak in peaks.items():
        packing.took(H200, kind, peak)
    return packing


def test_a_kind_is_all_of_the_work_but_rows_and_seed() -> None:
    one = cell(1)

    def on(**rows: object) -> Cell:
        return Cell(replace(one.work, tasks={"": task(**rows)}), 0)  # type: ignore[type-var]

    same = [
        cell(2),
        on(sampling_rate=0.15),
        on(train_classes=(0, 3)),
        cell(recipe=Recipe(validation_seed=4)),
    ]
    others = [
        cell(dataset="digits"), cell(penalties={"l2": {}}), measurement(),
        cell(recipe=Recipe(batch_size=7)), cell(recipe=Recipe(precision="bfloat16")),
        cell(recipe=Recipe(steps=5)), Cell(replace(one.work, network="resnet50"), 1),  # type: ignore[type-var]
    ]  # fmt: skip
    assert {kind_of(each) for each in same} == {kind_of(one)}
    assert len({kind_of(each) for each in [one, *others]}) == len(others) + 1


def test_a_choice_has_a_kind() -> None:
    choose = Choose("score", "highest", 0.0, ({},), ({},), (0,))
    assert kind_of(Cell(choose, 0))


def test_an_unknown_kind_is_alone_until_it_is_known() -> None:
    packing = taught(b=10)
    assert packing.joins(H200, "a", [])
    assert not packing.joins(H200, "a", ["b"])
    assert not packing.joins(H200, "b", ["a"])
    packing.took(H200, "a", 20)
    assert packing.joins(H200, "a", ["b"])
    # What is known of one model says nothing of another.
    assert not packing.joins("NVIDIA A100", "a", ["b"])


def test_of_a_device_whose_memory_nobody_told_nothing_is_shared() -> None:
    packing = Packing()
    packing.took(H200, "a", 1)
    assert not packing.joins(H200, "a", ["a"])


def test_peaks_and_their_headroom_fit() -> None:
    packing = taught(111, a=50, b=51)
    assert packing.joins(H200, "a", ["a"])
    assert not packing.joins(H200, "a", ["b"])
    # The most that was seen of a kind, and the least memory that was told.
    packing.took(H200, "a", 49)
    assert packing.peak(H200, "a") == 50
    packing.has_memory(H200, 109)
    assert not packing.joins(H200, "a", ["a"])


def run_at(packing: Packing, tenants: int, seconds: float, kind: str = "a") -> None:
    for _ in range(tenants):
        packing.lasted(H200, kind, seconds, seconds / tenants)


def test_one_more_is_opened_while_the_last_one_helped() -> None:
    packing = taught(a=1)
    assert packing.most(H200, "a") == 2
    run_at(packing, 1, 100.0)
    assert packing.most(H200, "a") == 2
    # Two in 120 seconds are two thirds more than one in 100.
    run_at(packing, 2, 120.0)
    assert packing.most(H200, "a") == 3
    assert packing.joins(H200, "a", ["a", "a"])
    assert not packing.joins(H200, "a", ["a"] * 3)
    # Three in 175 seconds are 3% more: not worth it.
    run_at(packing, 3, 175.0)
    assert packing.most(H200, "a") == 2
    assert not packing.joins(H200, "a", ["a", "a"])
    # That is remembered, and it binds whoever would come beside.
    run_at(packing, 3, 1.0)
    packing.took(H200, "b", 1)
    assert packing.most(H200, "a") == 2
    assert not packing.joins(H200, "b", ["a", "a"])


@pytest.mark.parametrize(("seconds", "most"), [(191.0, 1), (190.0, 3)])
def test_a_rise_of_a_twentieth_is_asked_for(seconds: float, most: int) -> None:
    packing = taught(a=1)
    run_at(packing, 1, 100.0)
    run_at(packing, 2, seconds)
    assert packing.most(H200, "a") == most


def test_a_rate_is_judged_when_all_that_ran_at_once_have_ended() -> None:
    packing = taught(a=1)
    run_at(packing, 1, 100.0)
    packing.lasted(H200, "a", 300.0, 150.0)
    assert packing.most(H200, "a") == 2
    packing.lasted(H200, "a", 300.0, 150.0)
    assert packing.most(H200, "a") == 1


def test_a_cell_with_a_neighbour_for_half_its_time_tells_nothing() -> None:
    packing = taught(a=1)
    run_at(packing, 1, 100.0)
    for _ in range(5):
        packing.lasted(H200, "a", 300.0, 200.0)
        packing.lasted(H200, "a", 0.0, 0.0)
    assert packing.most(H200, "a") == 2


def test_a_kind_that_ran_out_of_memory_in_company_has_none() -> None:
    packing = taught(a=1)
    packing.crowded(H200, "a")
    assert not packing.joins(H200, "a", ["a"])
    assert packing.joins(H200, "a", [])


def test_on_a_packed_device_a_slot_is_open_by_kind() -> None:
    slots = Slots([gpu()], taught(100, a=30, b=80))
    slots.take(kind="a")
    assert slots.room()
    assert slots.place("b") is slots.place("unknown") is None
    assert slots.place("a") is not None
    assert slots.drained_soonest() == "cuda:0"
    with pytest.raises(RuntimeError, match="no slot is free"):
        slots.take(kind="b")


def test_slots_of_a_packed_device_are_those_that_were_taken_at_once() -> None:
    slots = Slots([gpu(0), gpu(1)], taught(100, a=1))
    assert slots.total == 2
    taken = [slots.take(kind="a") for _ in range(3)]
    for device in taken:
        slots.give_back(device, kind="a")
    assert slots.total == 3


def test_a_benched_device_gets_nothing() -> None:
    slots = Slots([gpu(0), gpu(1)], taught())
    slots.bench("cuda:0")
    assert slots.usable == ("cuda:1",)
    assert slots.take(kind="a").name == "cuda:1"
    assert not slots.room() or slots.place("a") is None
    assert slots.drained_soonest() == "cuda:1"


KINDS = {"a": 10, "b": 25, "c": 60, "d": 95, "new": 15, "newer": 70}


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=25),
    st.integers(1, 3),
    st.integers(0, 10**6),
)
def test_whatever_comes_fits_and_ends(kinds: list[str], devices: int, seed: int) -> None:
    """Jobs in order on few devices, ending in any order: every promise is kept at every moment."""
    chance = random.Random(seed)
    packing = taught(100, **{k: KINDS[k] for k in ("a", "b", "c", "d")})
    slots = Slots([gpu(n) for n in range(devices)], packing)
    waiting = list(enumerate(kinds))
    # One of them has to be alone, as after running out of memory.
    alone = waiting.pop(chance.randrange(len(waiting)))
    on, alone_on = f"cuda:{chance.randrange(devices)}", "none"
    running: dict[int, tuple[str, Device]] = {}
    ended: list[int] = []
    passed: dict[int, int] = {}
    while waiting or running or alone_on == "none":
        if alone_on == "none" and slots.idle(on):
            slots.take_alone(on, kind=alone[1])
            running[alone[0]], alone_on = (alone[1], slots.devices[on]), on
        kept = {on} if alone_on == "none" else set()
        for number, kind in list(waiting):
            device = slots.place(kind, kept)
            if device is None:
                if number == waiting[0][0]:
                    kept |= {slots.drained_soonest(kept) or ""}
                continue
            slots.take(kind=kind, on=device.name)
            passed[waiting[0][0]] = passed.get(waiting[0][0], 0) + 1
            waiting.remove((number, kind))
            running[number] = (kind, device)
        for name in slots.devices:
            there = [(n, kind) for n, (kind, device) in running.items() if device.name == name]
            if len(there) > 1:
                peaks = [packing.peak(H200, kind) for _, kind in there]
                assert None not in peaks, "an unknown kind has a neighbour"
                assert sum(peak or 0 for peak in peaks) * 1.1 <= 100
                assert alone[0] not in [n for n, _ in there]
        assert running, "nothing runs and nothing can start"
        number = chance.choice(sorted(running))
        kind, device = running.pop(number)
        slots.give_back(device, kind=kind)
        packing.took(H200, kind, KINDS[kind])
        ended.append(number)
    assert sorted(ended) == list(range(len(kinds)))
    assert [used for _, used in slots.used] == [0] * devices
    assert all(slots.idle(name) for name in slots.devices)
