"""`bench plan` and `bench status` of 100,000 cells on an empty store, against 80 cells.

And `bench plan --only` of all of them, and of one seed's, against the plan without.

Processor time: what the cells add to what the command needs anyway. With records: `report.py`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = """
title: Many cells
axes:
  backbone: resnet50.tv_in1k
  weights: timm
  dataset: [stanford-dogs, cub-200-2011, stanford-cars, oxford-iiit-pet, fgvc-aircraft]
  sampling_rate: [0.15, 0.30, 0.50, 1.00]
  method: [l2, l2+bss, l2-sp, l2-sp+bss]
  seed: SEEDS
methods:
  l2: {penalties: {l2: {}}}
  l2+bss: {penalties: {l2: {}, bss: {}}}
  l2-sp: {penalties: {l2-sp: {}}}
  l2-sp+bss: {penalties: {l2-sp: {}, bss: {}}}
profiles: {offline: {}}
"""


# How each ends where no cell is done.
COMMANDS = {"plan": 0, "status": 1}
ONLY = {"every cell": ["--only", "seed=0:1250", "--only", "method=l2,l2+bss,l2-sp,l2-sp+bss"],
        "a seed": ["--only", "seed=0"]}  # fmt: skip


def seconds(code: int, *command: str) -> float:
    """Return the processor time of a command that ends with this exit code."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != code:
        raise subprocess.CalledProcessError(status, command)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the medians of some rounds."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "paper.yaml").write_text("id: many\ntitle: Many cells\n")
        suites = {folder / "many.yaml": "1250", folder / "few.yaml": "1"}
        for suite, seeds in suites.items():
            suite.write_text(SUITE.replace("SEEDS", seeds))
        for verb, code in COMMANDS.items():
            bench = [sys.executable, "-m", "bench", verb, "--store", str(folder / "store")]
            taken = [[seconds(code, *bench, str(s)) for s in suites] for _ in range(rounds)]
            many, few = (statistics.median(column) for column in zip(*taken, strict=True))
            ratio = many / few
            print(f"{verb}: 100,000 cells {many:.2f} s, 80 cells {few:.2f} s; ratio {ratio:.1f}")
        plan = [sys.executable, "-m", "bench", "plan", "--store", str(folder / "store")]
        plan.append(str(folder / "many.yaml"))
        columns = {"all": [], **ONLY}
        taken = [[seconds(0, *plan, *only) for only in columns.values()] for _ in range(rounds)]
        medians = [statistics.median(column) for column in zip(*taken, strict=True)]
        for name, used in zip(columns, medians, strict=True):
            print(f"plan of {name}: {used:.2f} s; ratio {used / medians[0]:.2f}")


if __name__ == "__main__":
    main()
