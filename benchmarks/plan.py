"""`bench plan` of 100,000 cells on an empty store, against starting Python."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITE = """
title: Many cells
axes:
  backbone: resnet50.tv_in1k
  weights: timm
  dataset: [stanford-dogs, cub-200-2011, stanford-cars, oxford-iiit-pet, fgvc-aircraft]
  sampling_rate: [0.15, 0.30, 0.50, 1.00]
  method: [l2, l2+bss, l2-sp, l2-sp+bss]
  seed: 1250
methods:
  l2: {penalties: {l2: {}}}
  l2+bss: {penalties: {l2: {}, bss: {}}}
  l2-sp: {penalties: {l2-sp: {}}}
  l2-sp+bss: {penalties: {l2-sp: {}, bss: {}}}
profiles: {offline: {}}
"""


def seconds(*command: str) -> float:
    """Return the wall time of a command."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print the medians of five rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "paper.yaml").write_text("id: many\ntitle: Many cells\n")
        (folder / "table.yaml").write_text(SUITE)
        plan = [sys.executable, "-m", "bench.cli.main", "plan", str(folder / "table.yaml")]
        plan += ["--store", str(folder / "store")]
        rounds = [(seconds(*plan), seconds(sys.executable, "-c", "")) for _ in range(5)]
    ours, empty = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"plan of 100,000 cells {ours:.2f} s, an empty Python {empty:.3f} s")


if __name__ == "__main__":
    main()
