"""What `nvidia-smi` and the system say of GPUs; a fake stands for each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.doctor import gpus
from bench.doctor.finding import Asked
from bench.doctor.gpus import Seen, ask, judge, judge_memory, see
from bench.scheduling.gpus import parse_readings

TWO = """GPU 0: NVIDIA H200 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb-2)
"""
DIVIDED = """GPU 0: NVIDIA A100 (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-3)
"""
HEADER = "| NVIDIA-SMI 550.1  Driver Version: 550.54.15  CUDA Version: 12.4 |"


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A function that puts a `nvidia-smi` of these lines on the path, and no other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(script: str) -> None:
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "nvidia-smi").chmod(0o755)

    return put


@pytest.fixture
def system(tmp_path) -> Path:
    """A root folder with two devices' files."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        file = tmp_path / "root" / "dev" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "root"


def says(listing: str) -> str:
    return f'if [ "$1" = -L ]; then printf "%b" "{listing!r}"; else echo "{HEADER}"; fi'.replace(
        "'", ""
    )


def test_two_gpus_are_listed_with_their_driver(smi, system):
    smi(says(TWO))
    found = judge(see({}, system), wanted=False)
    assert (found.mark, found.fact) == ("ok", "2 × NVIDIA H200, driver 550.54.15")
    assert found.measured["cuda"] == "12.4"
    assert found.measured["announced"] == found.measured["listed"] == 2


def test_a_gpu_that_is_announced_and_not_listed_fails(smi, system):
    smi(says(TWO.splitlines(keepends=True)[0]))
    found = judge(see({}, system), wanted=False)
    assert found.mark == "fails"
    assert found.fact == "2 announced by the system, 1 listed by nvidia-smi"


def test_announced_gpus_without_nvidia_smi_fail(monkeypatch, tmp_path, system):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert judge(see({}, system), wanted=False).mark == "fails"


def test_gpus_that_a_jobs_cgroup_refuses_are_not_announced(smi, system, monkeypatch):
    smi(says(TWO.splitlines(keepends=True)[0]))
    opened = os.open

    def refusing(path, *arguments):
        if str(path).endswith("nvidia1"):
            raise PermissionError(1, "not permitted")
        return opened(path, *arguments)

    monkeypatch.setattr(gpus.os, "open", refusing)
    assert judge(see({}, system), wanted=False).mark == "ok"


def test_a_driver_that_fails_is_no_machine_without_gpus(smi, system):
    smi('echo "NVIDIA-SMI has failed because it could not talk to the driver"; exit 9')
    found = judge(see({}, system), wanted=False)
    assert found.mark == "fails"
    assert "could not talk to the driver" in found.fact


def test_a_driver_that_does_not_answer_fails_though_nothing_else_announces_a_gpu(smi, tmp_path):
    smi("exec /bin/sleep 20")
    listing, error = ask("-L", patience=0.2)
    assert listing is None
    assert judge(Seen(0, 0, None, error), wanted=False).mark == "fails"


def test_without_any_gpu_there_is_nothing_to_look_at_unless_one_is_wanted(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = see({}, tmp_path)
    assert judge(seen, wanted=False).mark == "not here"
    assert judge(seen, wanted=True).mark == "fails"


def test_a_gpu_on_the_bus_that_no_driver_shows_is_worth_a_look():
    assert judge(Seen(0, 1, None, ""), wanted=False).mark == "look"


def test_a_display_of_nvidias_is_counted_on_the_bus_and_its_sound_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for number, kind in enumerate(("0x030200", "0x040300")):
        device = tmp_path / "sys/bus/pci/devices" / str(number)
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n")
        (device / "class").write_text(f"{kind}\n")
    assert see({}, tmp_path).on_bus == 1


@pytest.mark.parametrize("visible", ["0", "1,0", "GPU-bb", None])
def test_gpus_may_be_named_by_number_and_by_the_beginning_of_their_id(visible):
    assert judge(Seen(2, 2, TWO, "", visible=visible), wanted=True).mark == "ok"


@pytest.mark.parametrize("visible", ["2", "GPU-cc", "0,7"])
def test_a_name_that_no_gpu_has_fails(visible):
    found = judge(Seen(2, 2, TWO, "", visible=visible), wanted=False)
    assert found.mark == "fails"
    assert "CUDA_VISIBLE_DEVICES" in found.fact


def test_all_gpus_hidden_is_said_and_fails_where_one_is_wanted():
    assert judge(Seen(2, 2, TWO, "", visible=""), wanted=False).mark == "look"
    assert judge(Seen(2, 2, TWO, "", visible=""), wanted=True).mark == "fails"


def test_a_part_of_a_divided_gpu_may_be_named():
    assert judge(Seen(1, 1, DIVIDED, "", visible="MIG-cccc-3"), wanted=True).mark == "ok"


def test_the_cpu_alone_asks_nothing_of_the_driver(smi, tmp_path):
    smi("exit 9")
    assert gpus.gpus(Asked(tmp_path, "cpu")).mark == "not here"


def test_memory_that_another_has_taken_is_worth_a_look():
    empty = "0, GPU-a, H200, 500, 140000, 0\n"
    assert judge_memory(parse_readings(empty)).mark == "ok"
    found = judge_memory(parse_readings(empty + "1, GPU-b, H200, 70000, 140000, 90\n"))
    assert found.mark == "look"
    assert found.measured["free"] == [139500 * 2**20, 70000 * 2**20]
