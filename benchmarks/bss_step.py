"""The BSS term, forward and backward, against torch.linalg.svdvals: 48 × 2048 features."""

from __future__ import annotations

import statistics
import time

import torch

from bench.parts import Step
from bench.parts.penalties.bss import BSS

REPEATS, CALLS = 7, 30


def seconds(term, features: torch.Tensor) -> float:
    """Return seconds a call."""
    start = time.thread_time()
    for _ in range(CALLS):
        features.grad = None
        term(features).backward()
    return (time.thread_time() - start) / CALLS


def main() -> None:
    """Print both times and their ratio."""
    torch.set_num_threads(1)
    features = torch.randn(48, 2048, requires_grad=True)
    empty = torch.zeros(48, dtype=torch.long)
    bss = BSS(eta=1e-3, k=1)

    def identity(f: torch.Tensor) -> torch.Tensor:
        return bss(Step(f, f[:, :2], empty, {}, {}, {}))

    def decomposition(f: torch.Tensor) -> torch.Tensor:
        return 1e-3 * torch.linalg.svdvals(f)[-1:].square().sum()

    rounds = [
        (seconds(identity, features), seconds(decomposition, features)) for _ in range(REPEATS)
    ]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(b / a for a, b in rounds)
    print(f"identity {1e3 * ours:.2f} ms, svdvals {1e3 * theirs:.2f} ms: {ratio:.1f} times")


if __name__ == "__main__":
    main()
