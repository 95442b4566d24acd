"""What a job took of its GPU: asked of torch only where it is there, of the driver by process."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.records.record import Outcome
from bench.scheduling.device import Device
from bench.scheduling.engines import memory as module
from bench.scheduling.engines.child import Report
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.engines.memory import (
    Memory,
    Processes,
    allocator_peak,
    forget_peak,
    parse_processes,
)
from bench.scheduling.job import Job
from tests.records.built import cell
from tests.scheduling import fake_cells

MIB = 1024**2


class FakeCuda:
    """torch.cuda as far as it is asked."""

    def __init__(self, begun: bool) -> None:
        self.begun = begun
        self.forgotten = 0

    def is_initialized(self) -> bool:
        return self.begun

    def get_device_properties(self, device: int) -> SimpleNamespace:
        assert self.begun, "asking begins CUDA"
        return SimpleNamespace(name="NVIDIA H200", total_memory=139 * MIB)

    def max_memory_reserved(self, device: int) -> int:
        return 7 * MIB

    def max_memory_allocated(self, device: int) -> int:
        return 5 * MIB

    def reset_peak_memory_stats(self, device: int) -> None:
        assert self.begun, "asking begins CUDA"
        self.forgotten += 1


def with_torch(monkeypatch: pytest.MonkeyPatch, begun: bool) -> FakeCuda:
    cuda = FakeCuda(begun)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    return cuda


def test_torch_is_asked_where_it_has_begun_with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = with_torch(monkeypatch, True)
    assert allocator_peak() == Memory("NVIDIA H200", 139 * MIB, 7 * MIB, 5 * MIB)
    forget_peak()
    assert cuda.forgotten == 1


def test_torch_that_has_not_begun_took_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = with_torch(monkeypatch, False)
    assert allocator_peak() == Memory(reserved=0, allocated=0)
    forget_peak()
    assert cuda.forgotten == 0


def test_a_device_that_answers_no_more_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(device: int) -> int:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(with_torch(monkeypatch, True), "max_memory_reserved", lost)
    assert allocator_peak() is None


def test_without_torch_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert allocator_peak() is None
    forget_peak()


def test_the_list_of_processes() -> None:
    text = "12, GPU-aa, 300\n13, GPU-aa, [N/A]\n12, GPU-bb, 4\n[Not Found], GPU-aa, 5\nnonsense\n"
    assert parse_processes(text) == {12: 304 * MIB}


@pytest.mark.parametrize("memory", [None, Memory("H200", 9, 3, 2, None)])
def test_a_report_carries_it(memory: Memory | None) -> None:
    sent = Report(Outcome("done"), 1.25, memory)
    assert Report.load(sent.dump()) == sent


@pytest.mark.parametrize("head", [b'[1.0, {"colour": 3}]', b"1.0", b'["x", null]', b"[1, null"])
def test_what_is_no_report_is_none(head: bytes) -> None:
    whole = Report(Outcome("done"), 1.0).dump()
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, it is caught as such
        Report.load(head + whole[whole.index(b"\n") :])


def driver(folder: Path, line: str) -> list[str]:
    """Return a command that answers as nvidia-smi would."""
    script = folder / "smi"
    script.write_text(f"#!/bin/sh\necho '{line}'\n")
    script.chmod(0o755)
    return [str(script)]


def test_the_peak_of_a_process_is_kept_until_it_ends(tmp_path: Path) -> None:
    processes = Processes(every=0.0, command=driver(tmp_path, "7, GPU-aa, 30"))
    deadline = time.monotonic() + 20
    while (found := processes.end(7)) is None and time.monotonic() < deadline:
        processes.look()
        time.sleep(0.01)
    processes.close()
    assert found == 30 * MIB
    assert processes.end(7) is None


def test_without_a_driver_nothing_is_asked(tmp_path: Path) -> None:
    processes = Processes(command=[str(tmp_path / "none")])
    processes.look()
    assert processes.end(7) is None


def test_the_local_engine_tells_the_drivers_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Known(Processes):
        def end(self, pid: int) -> int | None:
            return 99

    monkeypatch.setattr(module, "shutil", SimpleNamespace(which=lambda name: None))
    monkeypatch.setattr("bench.scheduling.engines.local.Processes", Known)
    for here, expected in ((True, Memory(process=99)), (False, None)):
        device = Device("cuda:0", "0", 1, here=here)
        engine = LocalEngine([device], target=f"{fake_cells.__name__}:noop")
        engine.start(Job(cell(), 1, tmp_path / "cells" / "ab" / "abc"), device)
        while not (ended := engine.poll(5)):
            pass
        engine.close()
        assert [one.memory for one in ended] == [expected]
