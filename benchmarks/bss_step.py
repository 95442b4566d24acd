"""The BSS term, forward and backward, against svdvals and a float32 Gram: 48 × 2048 features."""

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

    def single(f: torch.Tensor) -> torch.Tensor:
        # The same in float32: it loses the direction of small singular values.
        vectors = torch.linalg.eigh((f @ f.T).detach()).eigenvectors[:, :1]
        return 1e-3 * (vectors.T @ f).square().sum()

    terms = {"ours": identity, "svdvals": decomposition, "float32 Gram": single}
    rounds = [[seconds(term, features) for term in terms.values()] for _ in range(REPEATS)]
    for name, column in zip(terms, zip(*rounds, strict=True), strict=True):
        ratio = statistics.median(row[0] / each for row, each in zip(rounds, column, strict=True))
        print(f"{name}: {1e3 * statistics.median(column):.2f} ms; ours is {ratio:.2f} times that")


if __name__ == "__main__":
    main()
