"""The GPUs of the machine: announced by the system, listed by the driver, and their memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.doctor.finding import Asked, Finding, gigabytes, not_here
from bench.scheduling.engines.devices import parse_listing
from bench.scheduling.gpus import Gpu, parse_readings

KEYS = ("listed", "announced", "names", "driver", "cuda", "visible", "error")
KEYS_MEMORY = ("free", "total", "used")
PATIENCE = 30.0
_FIELDS = "index,uuid,name,memory.used,memory.total,utilization.gpu"
_CPU = "--device cpu leaves them alone"


@dataclass(frozen=True)
class Seen:
    """What system and driver say.

    Attributes
    ----------
    announced
        GPUs whose device files this process may open.
    on_bus
        NVIDIA's display and compute devices on the PCI bus, ours or not.
    listing
        What ``nvidia-smi -L`` printed; None where there is no ``nvidia-smi``, or it failed.
    error
        Why it failed; empty where it did not.
    """

    announced: int
    on_bus: int
    listing: str | None
    error: str
    driver: str = ""
    cuda: str = ""
    visible: str | None = None


def gpus(asked: Asked) -> Finding:
    """Look for GPUs that are announced but not listed."""
    if asked.device == "cpu":
        return not_here(_CPU)
    return judge(see(os.environ), wanted=asked.device == "cuda")


def judge(seen: Seen, *, wanted: bool) -> Finding:
    """Return whether all GPUs that are ours are listed; ``wanted``: there must be one."""
    rows = re.findall(r"^GPU \d+: (.*?)(?: \(UUID.*)?$", seen.listing or "", re.M)
    measured = {
        "listed": len(rows),
        "announced": seen.announced,
        "names": rows,
        "driver": seen.driver or None,
        "cuda": seen.cuda or None,
        "visible": seen.visible,
        "error": seen.error or None,
    }
    if seen.error and (seen.announced or seen.on_bus or wanted or "not answer" in seen.error):
        remedy = "see `dmesg | grep -i nvrm`; load or reinstall the driver, or reboot the node"
        return Finding("fails", f"a GPU is announced, but {seen.error}", remedy, measured)
    if len(rows) < seen.announced:
        fact = f"{seen.announced} announced by the system, {len(rows)} listed by nvidia-smi"
        remedy = "a GPU has fallen off, or nvidia-smi is not on the PATH: see `dmesg`; reset it"
        return Finding("fails", fact, remedy, measured)
    hidden = _hidden(seen)
    if hidden:
        remedy = "name GPUs that `nvidia-smi -L` lists"
        return Finding("fails", f"CUDA_VISIBLE_DEVICES names {hidden}: none such", remedy, measured)
    if rows and seen.visible != "":
        return Finding("ok", _told(rows, seen), measured=measured)
    return _without(seen, len(rows), wanted, measured)


def _without(seen: Seen, listed: int, wanted: bool, measured: Mapping[str, object]) -> Finding:
    """Return what it means that no GPU may be used."""
    if wanted:
        remedy = "unset CUDA_VISIBLE_DEVICES" if listed else "take a machine with a GPU"
        return Finding("fails", "--device cuda, and no GPU is to be seen", remedy, measured)
    if listed:
        fact = f"{listed} listed, all hidden by an empty CUDA_VISIBLE_DEVICES"
        return Finding("look", fact, "unset CUDA_VISIBLE_DEVICES, or keep to the CPU", measured)
    if seen.on_bus:
        fact = f"{seen.on_bus} on the PCI bus, no driver's files here"
        return Finding("look", fact, "start the container with its GPUs (--gpus all)", measured)
    if seen.error:
        return Finding("look", seen.error, "nothing, if this machine has no GPU", measured)
    return Finding("not here", "no GPU; cells run on the CPU", measured=measured)


def _told(rows: list[str], seen: Seen) -> str:
    kinds = " and ".join(f"{rows.count(name)} × {name}" for name in dict.fromkeys(rows))
    return kinds + (f", driver {seen.driver}" if seen.driver else "")


def _hidden(seen: Seen) -> str:
    """Return the entries of CUDA_VISIBLE_DEVICES that no listed GPU is."""
    if not seen.visible or seen.listing is None:
        return ""
    known = parse_listing(seen.listing)
    whole = re.findall(r"^GPU (\d+):", seen.listing, re.M)
    uuids = re.findall(r"UUID: ((?:GPU|MIG)-[^)\s]+)", seen.listing)
    entries = [entry.strip() for entry in seen.visible.split(",")]
    return ",".join(
        entry
        for entry in entries
        if entry not in known and entry not in whole and not _abbreviates(entry, uuids)
    )


def _abbreviates(entry: str, uuids: list[str]) -> bool:
    return entry.startswith(("GPU-", "MIG-")) and any(uuid.startswith(entry) for uuid in uuids)


def see(environment: Mapping[str, str], system: Path = Path("/")) -> Seen:
    """Ask the system and the driver."""
    files = [f for f in (system / "dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", f.name)]
    announced = sum(_may_open(file) for file in files)
    listing, error = ask("-L")
    versions = "" if listing is None else ask()[0] or ""
    driver = re.search(r"Driver Version:\s*([\d.]+)", versions)
    cuda = re.search(r"CUDA (?:UMD )?Version:\s*([\d.]+)", versions)
    return Seen(
        announced,
        sum(map(_is_nvidia, (system / "sys/bus/pci/devices").glob("*"))),
        listing,
        error,
        driver[1] if driver else "",
        cuda[1] if cuda else "",
        environment.get("CUDA_VISIBLE_DEVICES"),
    )


def ask(*arguments: str, patience: float = PATIENCE) -> tuple[str | None, str]:
    """Return what ``nvidia-smi`` prints, or None and why; neither where there is none."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None, ""
    try:
        done = subprocess.run(
            [command, *arguments], capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"nvidia-smi does not answer within {patience:.0f} s"
    except OSError as error:
        return None, f"nvidia-smi cannot be started: {error.strerror}"
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        return None, f"nvidia-smi fails: {said[0][:120]}"
    return done.stdout, ""


def _may_open(file: Path) -> bool:
    """Whether a device is ours: of a job's cgroup the others are there, but may not be opened."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        return False
    except OSError:
        # A dead device is one that is announced.
        pass
    return True


def _is_nvidia(device: Path) -> bool:
    try:
        vendor, kind = (device / "vendor").read_text(), (device / "class").read_text()
    except OSError:
        return False
    return vendor.strip() == "0x10de" and kind.strip()[:6] in ("0x0300", "0x0302")


def memory(asked: Asked) -> Finding:
    """Look at how much of each GPU's memory is free."""
    if asked.device == "cpu":
        return not_here(_CPU)
    listing, _ = ask(f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits")
    return judge_memory(parse_readings(listing or ""))


def judge_memory(known: tuple[Gpu, ...]) -> Finding:
    """Return whether others have taken of the memory."""
    told = [(gpu.used, gpu.total) for gpu in known if gpu.used is not None and gpu.total]
    if not told:
        return not_here("no GPU tells its memory")
    used, total = [u for u, _ in told], [t or 0 for _, t in told]
    free = [t - u for u, t in zip(used, total, strict=True)]
    measured = {"free": free, "total": total, "used": used}
    fact = f"{gigabytes(min(free))} free of {gigabytes(max(total))} on the fullest"
    if any(u > t / 10 for u, t in zip(used, total, strict=True)):
        remedy = (
            "another's process is on it (nvidia-smi): its load changes times, and which kernels run"
        )
        return Finding("look", fact, remedy, measured)
    return Finding("ok", fact, measured=measured)
