"""Run by test_execute in a fresh interpreter: what importing costs, and what cells give."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path


def main() -> None:
    import bench.training.execute as target

    heavy = {"datasets", "pandas", "scipy", "sklearn", "pyarrow"} & set(sys.modules)
    preloaded = {"torch", "timm", "numpy"} <= set(sys.modules)
    import torch

    touched = torch.cuda.is_initialized()
    torch.rand(17)  # the global stream is somewhere else than in the other process
    jobs = pickle.loads(Path(sys.argv[1]).read_bytes())
    outcomes = {name: target.execute(jobs[name]) for name in reversed(jobs)}
    found = {name: bits(outcome) for name, outcome in outcomes.items()}
    print(json.dumps({"heavy": sorted(heavy), "preloaded": preloaded, "cuda": touched, **found}))


def bits(outcome: object) -> dict[str, object]:
    """Return all numbers of an outcome, times apart, without losing a bit."""
    return {
        "metrics": {n: v.hex() for n, v in outcome.metrics.items()},  # type: ignore[attr-defined]
        "curves": {
            n: [v.hex() for v in c.value]
            for n, c in outcome.curves.items()  # type: ignore[attr-defined]
        },
        "artifacts": {n: a.sha256 for n, a in outcome.artifacts.items()},  # type: ignore[attr-defined]
    }


if __name__ == "__main__":
    main()
