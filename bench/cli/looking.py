"""What ``bench run`` looks at before its first cell: what is not done, and where that lies."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from bench.preflight.check import LOOK, Run, problems
from bench.scheduling.engines.devices import devices
from bench.scheduling.engines.engine import Engine, EngineOptions
from bench.spec.cell import CHECKPOINT

if TYPE_CHECKING:
    from bench.cli.joint import Joint

# Large networks are loaded, and each takes memory.
_AT_ONCE = 4


def problems_of(
    joint: Joint, engine: str, asked: EngineOptions, kept: Collection[str]
) -> list[str]:
    """Return what would fail of a run of suites, each as a message.

    Parameters
    ----------
    kept
        Names of the artifacts that are kept of every cell.
    """
    suites = []
    for session in joint.sessions:
        cells = session.plan.unique().values()
        left = [cell for cell in cells if not session.states[cell.id].done]
        suites.append((left, session.plan.resources))
    left_cells = [cell for cells, _ in suites for cell in cells]
    if not left_cells:
        return []
    starts = frozenset(
        cell_id for cell_id, names in joint.artifacts.items() if _has_checkpoint(names)
    )
    leaving = frozenset(c.id for c in left_cells) if CHECKPOINT in kept else starts
    # Elsewhere there may be other devices, other packages and another cache.
    here = engine in ("local", "inline")
    slots = asked.slots_per_gpu
    where = devices(asked.device, workers=asked.workers, slots_per_gpu=slots) if here else ()
    run = Run(suites, leaving, joint.sessions[0].store.root, where)
    return problems(run, _engine(engine, asked) if here else None)


def _has_checkpoint(artifacts: Collection[str]) -> bool:
    return any(name.partition("@")[0] == CHECKPOINT for name in artifacts)


def _engine(name: str, asked: EngineOptions) -> Callable[[], Engine]:
    from bench.scheduling.engines.engine import TARGET
    from bench.scheduling.engines.inline import InlineEngine
    from bench.scheduling.engines.local import LocalEngine

    def local() -> Engine:
        where = devices("cpu", workers=min(asked.workers or _AT_ONCE, _AT_ONCE))
        # The server that cells are forked from as well.
        return LocalEngine(where, target=LOOK, preloaded=[TARGET.partition(":")[0]])

    return local if name == "local" else lambda: InlineEngine(target=LOOK)
