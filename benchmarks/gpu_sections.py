"""What `gpu.py` measures, a function each: ``(tiny) -> plain data``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu_steps import PRECISIONS, TINY, Case, Trainer, both_orders, cases_of_papers, computing, take

from bench.import_path import with_package
from bench.records.record import Outcome, Record, same_numbers
from bench.scheduling.job import Job

Told = dict[str, Any]
SMOKE = ("bss/table2", "smoke")
RESNEXT = Case("resnext101_32x8d.tv_in1k", 148, 256)
BENCH = (sys.executable, "-P", "-m", "bench")
SUITE = """
title: One cell
axes:
  {{backbone: {network}, weights: random, dataset: glyphs, sampling_rate: 0.5, method: delta,
   seed: 1}}
recipe:
  steps: 3
  batch_size: {batch}
  image: {{resize: {size}, size: {size}}}
  optimizer: {{sgd: {{lr: 0.001, momentum: 0.9}}}}
  evaluation: {{crops: 1, batch_size: 64}}{measurements}
methods: {{delta: {{penalties: {{delta: {{maps: 0.01, head: 0.01}}, bss: {{eta: 1e-3, k: 1}}}}}}}}
profiles: {{offline: {{}}}}
"""
SMALL = "\n  measurements: {channel-attention: {head_epochs: 1, batches: 1, batch_size: 16}}"


class NotHere(Exception):
    """What a section needs is not on this machine."""


def device(tiny: bool, *, gpu: str = "") -> torch.device:
    """Return the GPU, or in the tiny mode the CPU; ``gpu`` says why only a GPU will do."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if gpu or not tiny:
        raise NotHere(gpu or "no GPU: only --tiny runs on the CPU")
    return torch.device("cpu")


def driver(tiny: bool) -> Told:
    """1. What torch computes on, by the checks of `bench doctor`; zeros on the device."""
    from bench.doctor.finding import Asked
    from bench.doctor.kernels import kernels, wheel

    where = device(tiny)
    asked = Asked(Path("results"), "auto" if where.type == "cuda" else "cpu")
    began = time.perf_counter()
    torch.zeros(1).to(where)
    seconds = time.perf_counter() - began
    found = {"wheel": wheel(asked), "kernels": kernels(asked)}
    if any(finding.mark == "fails" for finding in found.values()):
        raise RuntimeError("; ".join(f"{n}: {f.fact}" for n, f in found.items()))
    return {"zeros_seconds": seconds} | {name: each.fact for name, each in found.items()}


def smoke(tiny: bool) -> Told:
    """2. bss/table2's smoke profile twice, and with four cells at once: the same bits?"""
    where = device(tiny)
    only = ["--only", "dataset=digits", "--only", "sampling_rate=0.03", "--only", "method=l2"]
    slots = ["--slots-per-gpu", "4"] if where.type == "cuda" else ["--workers", "2"]
    told: Told = {}
    with tempfile.TemporaryDirectory() as name:
        names = ("first", "slots") if tiny else ("first", "second", "slots")
        stores = [Path(name) / each for each in names]
        for store in stores:
            more = slots if store.name == "slots" else []
            began = time.perf_counter()
            run_suite(SMOKE[0], store, ["-p", SMOKE[1], *(only if tiny else []), *more])
            told[f"{store.name}_seconds"] = time.perf_counter() - began
        for store in stores[1:]:
            told[store.name] = compared(stores[0], store)
    if unequal := [n for n in names[1:] if told[n]["unequal"]]:
        raise RuntimeError(f"other bits in {' and '.join(unequal)}: {json.dumps(told)}")
    return told


def compared(one: Path, other: Path) -> Told:
    """Return how many cells of two stores are equal bit for bit, curves included.

    Raises
    ------
    RuntimeError
        If a store lacks a cell of the other, or has none: nothing is equal to nothing.
    """
    ours, theirs = done(one), done(other)
    if not ours or ours.keys() != theirs.keys():
        raise RuntimeError(f"{len(ours)} cells are done in one store, {len(theirs)} in the other")
    unequal = [i for i in ours if not same_numbers(ours[i].outcome, theirs[i].outcome)]
    command = [*BENCH, "diff", str(one), str(other), "--suite", SMOKE[0], "-p", SMOKE[1]]
    said = subprocess.run(
        [*command, "--fail-on", "different"], env=with_package(), capture_output=True, check=False
    )
    return {"cells": len(ours), "unequal": unequal, "bench_diff": said.returncode}


def done(store: Path, suite: str = SMOKE[0], profile: str = SMOKE[1]) -> dict[str, Record]:
    """Return the records that count of a suite."""
    from bench.cli.session import session_of
    from bench.spec.find import find_suite
    from bench.spec.plan import load_plan

    return session_of(load_plan(find_suite(suite), profile), store).done()


def run_suite(suite: str, store: Path, more: Sequence[str] = ()) -> str:
    """Run a suite in a store of its own, and return what was said.

    Raises
    ------
    RuntimeError
        If it does not end well.
    """
    command = [*BENCH, "run", suite, "--store", str(store), "--engine", "local", *more]
    ended = subprocess.run(
        command,
        env=with_package(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"bench run ends with {ended.returncode}: {ended.stdout[-600:]}")
    return ended.stdout


def deterministic_steps(tiny: bool) -> Told:
    """3. Three deterministic steps of each paper's network, twice, either memory format."""
    where, told = device(tiny), {}
    for case in [TINY] if tiny else cases_of_papers():
        for ordered in both_orders(case):
            told[ordered.name] = _twice(ordered, where)
    if unequal := [name for name, each in told.items() if each.get("equal") is False]:
        raise RuntimeError(f"other bits: {', '.join(unequal)}")
    return told


def _twice(case: Case, where: torch.device) -> Told:
    try:
        one, other = take(case, where, steps=3), take(case, where, steps=3)
    except Exception as error:
        # One network that fails keeps no other from being tried.
        return {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    return {"equal": one.digest == other.digest, "peak": one.peak}


def timing(tiny: bool) -> Told:
    """4. Milliseconds a step: {NCHW, NHWC} × {IEEE, TF32, bfloat16}."""
    where, told = device(tiny), {}
    for case in both_orders(TINY if tiny else Case()):
        for precision in PRECISIONS:
            ready = replace(case, precision=precision)
            taken = take(ready, where, steps=2 if tiny else 40, warm=1 if tiny else 10)
            told[ready.name] = {"ms": 1e3 * taken.seconds_a_step, "peak": taken.peak}
    return told


def profile(tiny: bool) -> Told:
    """5. Five steps of l2+bss under the profiler: gaps, synchronisations, eigh."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    where = device(tiny)
    case = replace(TINY if tiny else Case(), penalties=("bss", "l2"))
    on_gpu = where.type == "cuda"
    watched = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if on_gpu else [])
    with computing(case.precision):
        trainer = Trainer(case, where)
        trainer.steps(3)
        began = time.perf_counter()
        with profiled(activities=watched) as seen:
            trainer.steps(5)
        wall = time.perf_counter() - began
    rows = seen.key_averages()
    kernels = [row for row in rows if "CUDA" in str(row.device_type)]
    busy = sum(row.self_device_time_total for row in kernels) / 1e6
    eigh = [row for row in rows if row.key == "aten::linalg_eigh"]
    syncs = {row.key: row.count / 5 for row in rows if "Synchronize" in row.key}
    copies = {row.key: row.count / 5 for row in rows if "Memcpy" in row.key}
    return {
        "wall_ms_a_step": 200 * wall,
        "gpu_busy": busy / wall if on_gpu else None,
        "synchronisations_a_step": syncs,
        "copies_a_step": copies,
        "eigh_a_step": sum(row.count for row in eigh) / 5,
        "eigh_cpu_ms_a_step": sum(row.cpu_time_total for row in eigh) / 5e3,
    }


@contextmanager
def own_suite(tiny: bool) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder, and the arguments that name a suite of one cell with its attention."""
    case = TINY if tiny else Case()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paper = folder / "suites" / "one"
        paper.mkdir(parents=True)
        (paper / "paper.yaml").write_text("id: one\ntitle: One\n")
        text = SUITE.format(
            network=case.network,
            batch=case.batch,
            size=case.size,
            measurements=SMALL if tiny else "",
        )
        (paper / "cell.yaml").write_text(text)
        yield folder, ["--suites", str(folder / "suites")]


def attention(tiny: bool) -> Told:
    """6. One attention cell at 224 pixels: seconds, and the most memory of the GPU."""
    device(tiny)
    with own_suite(tiny) as (folder, named), most_memory() as memory:
        run_suite("one/cell", folder / "store", named)
        records = _records(folder / "store", folder / "suites")
    measured = [each for each in records if "measure" in each.cell["work"]]
    if not measured:
        raise RuntimeError("no attention was measured")
    return {"seconds": measured[0].seconds, "peak": max(memory, default=None)}


def _records(store: Path, suites: Path) -> list[Record]:
    from bench.spec.find import looking_in

    with looking_in([suites]):
        return list(done(store, "one/cell", "offline").values())


@contextmanager
def most_memory(every: float = 0.25) -> Iterator[list[int]]:
    """Yield a list that fills with the memory in use on the first GPU, in bytes."""
    from bench.doctor.gpus import ask

    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(every):
            answer, _ = ask("--query-gpu=memory.used", "--format=csv,noheader,nounits")
            seen.extend(2**20 * int(line) for line in (answer or "").split()[:1] if line.isdigit())

    looking = threading.Thread(target=look, daemon=True)
    if shutil.which("nvidia-smi"):
        looking.start()
    try:
        yield seen
    finally:
        ended.set()
        if looking.is_alive():
            looking.join()


def peaks(tiny: bool) -> Told:
    """7. Peak memory: ResNeXt at batch 256 of 148 pixels, and delta+bss."""
    where = device(tiny)
    cases = {
        "resnext": TINY if tiny else RESNEXT,
        "delta+bss": replace(TINY if tiny else Case(), penalties=("delta", "bss")),
    }
    return {name: {"peak": take(case, where, steps=3).peak} for name, case in cases.items()}


def sharing(tiny: bool) -> Told:
    """8. Images a second of 1, 2 and 4 processes on a GPU, with and without MPS."""
    where = device(tiny)
    told = {f"{n} plain": _together(n, tiny) for n in ((2,) if tiny else (1, 2, 4))}
    if where.type == "cpu" or shutil.which("nvidia-cuda-mps-control") is None:
        return {**told, "mps": "not here"}
    with served() as environment:
        for n in (1, 2, 4):
            told[f"{n} mps"] = _together(n, tiny, environment)
    return told


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """Yield the environment of processes that share the GPU by an MPS server of our own."""
    with tempfile.TemporaryDirectory() as name:
        folders = {
            "CUDA_MPS_PIPE_DIRECTORY": f"{name}/pipe",
            "CUDA_MPS_LOG_DIRECTORY": f"{name}/log",
        }
        for folder in folders.values():
            os.mkdir(folder)
        environment = {**os.environ, **folders}
        control = "nvidia-cuda-mps-control"
        subprocess.run([control, "-d"], env=environment, check=True, timeout=30)
        try:
            yield folders
        finally:
            subprocess.run(
                [control], input="quit\n", text=True, env=environment, check=False, timeout=60
            )


def _together(count: int, tiny: bool, environment: dict[str, str] | None = None) -> float:
    """Return the images a second of so many processes that begin at once."""
    command = [sys.executable, str(Path(__file__).with_name("gpu.py")), "--process"]
    processes = [
        subprocess.Popen(
            [*command, *(["--tiny"] if tiny else [])],
            env={**with_package(), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        # Each says when it has taken its first steps, and waits for the others.
        for process in processes:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError("a process has ended before its first step")
        answers = [json.loads(_go(process)) for process in _released(processes)]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    began, ended = min(a["began"] for a in answers), max(a["ended"] for a in answers)
    return sum(answer["images"] for answer in answers) / (ended - began)


def _released(processes: Sequence[subprocess.Popen[str]]) -> Sequence[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def _go(process: subprocess.Popen[str]) -> str:
    answer, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a process ended with {process.returncode}")
    return answer


def one_process(tiny: bool) -> None:
    """Be one of the processes that share a GPU."""
    case, steps = (TINY, 2) if tiny else (Case(), 40)
    with computing(case.precision):
        trainer = Trainer(case, device(tiny))
        trainer.steps(1 if tiny else 5)
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.time()
        trainer.steps(steps)
    print(json.dumps({"began": began, "ended": time.time(), "images": steps * case.batch}))


def full_memory(tiny: bool) -> Told:
    """9. A cell on a GPU whose memory is nearly taken: the kind of its failure, or its bits."""
    device(tiny, gpu="there is no memory of a GPU to fill")
    told: Told = {}
    with own_suite(tiny) as (folder, named):
        run_suite("one/cell", folder / "free", named)
        free = _records(folder / "free", folder / "suites")
        for left in (1.0, 4.0, 8.0, 16.0):
            hog = _all_but(left)
            try:
                told[f"{left:.0f} GB left"] = _under_pressure(folder, named, free, left)
            finally:
                del hog
                torch.cuda.empty_cache()
    return told


def _all_but(gigabytes: float) -> torch.Tensor:
    free, _ = torch.cuda.mem_get_info()
    return torch.empty(max(0, int(free - gigabytes * 1e9)), dtype=torch.uint8, device="cuda")


def _under_pressure(folder: Path, named: list[str], free: list[Record], left: float) -> Told:
    store = folder / f"left-{left:.0f}"
    with suppress(RuntimeError):
        run_suite("one/cell", store, [*named, "--retries", "0", "--no-check"])
    ended = _records(store, folder / "suites")
    theirs = {record.id: record.outcome for record in ended}
    equal = [same_numbers(each.outcome, theirs[each.id]) for each in free if each.id in theirs]
    if len(equal) == len(free):
        return {"done": len(equal), "same_bits": all(equal)}
    return {"done": len(equal), "failures": _failures(store)}


def _failures(store: Path) -> list[str]:
    from bench.records.store import Store

    opened = Store(store)
    ids = sorted(each.name for each in (store / "cells").glob("??/*"))
    attempts = [record for cell_id in ids for record in opened.attempts(cell_id)]
    failures = [record.outcome.failure for record in attempts]
    return [f"{each.kind}: {each.message[:160]}" for each in failures if each is not None]


def first_step(job: Job) -> Outcome:
    """In a worker: take one step, and say when it was done."""
    case = TINY if job.device == "cpu" else Case()
    with computing(case.precision):
        Trainer(case, torch.device(job.device)).steps(1)
    return Outcome("done", metrics={"ended": time.time()})


def forking(tiny: bool) -> Told:
    """10. From a cell's start to its first step, in a fork of the warm server."""
    from bench.scheduling.engines.devices import devices
    from bench.scheduling.engines.local import LocalEngine
    from bench.spec.find import find_suite
    from bench.spec.plan import load_plan

    where = device(tiny)
    cell = next(iter(load_plan(find_suite(SMOKE[0]), SMOKE[1]).unique().values()))
    place = devices("cuda" if where.type == "cuda" else "cpu", workers=1)[0]
    preloaded = ["bench.training.execute", "gpu_sections"]
    engine = LocalEngine([place], target="gpu_sections:first_step", preloaded=preloaded)
    seconds = []
    try:
        for number in range(2 if tiny else 5):
            with tempfile.TemporaryDirectory() as folder:
                began = time.time()
                engine.start(Job(cell, number + 1, Path(folder), device=place.kind), place)
                while not (ended := engine.poll(1.0)):
                    pass
            if ended[0].outcome.failure is not None:
                raise RuntimeError(ended[0].outcome.failure.message)
            seconds.append(ended[0].outcome.metrics["ended"] - began)
    finally:
        engine.close()
    return {"first_with_server": seconds[0], "warm": min(seconds[1:])}
