"""``bench.open``: one suite from Python, by what the commands themselves are made of."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from bench.cli.joint import Joint, Row
    from bench.cli.session import Session
    from bench.report.claims.verdict import Verdict
    from bench.scheduling.progress import Progress
    from bench.scheduling.summary import RunSummary


@dataclass(frozen=True)
class Opened:
    """A suite under a profile, on a store; every method looks at both as they are then.

    Attributes
    ----------
    suite
        A path, or a name such as ``bss/table2``.
    only
        What is taken of it, as the command's ``--only`` has it; all where there is nothing.
    """

    suite: str
    profile: str
    store: Path
    only: tuple[str, ...] = ()

    def plan(self) -> list[Row]:
        """Return every cell with its state, parents before children: ``bench plan --json``."""
        return list(self._look().rows())

    def run(
        self,
        *,
        workers: int | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        slots_per_gpu: int | None = None,
        time_limit: float | None = None,
        retries: int = 1,
        keep: Collection[str] = (),
        engine: str = "local",
        progress: Progress | None = None,
    ) -> RunSummary:
        """Run what is missing or stale: ``bench run``, whose options these are.

        Parameters
        ----------
        device
            ``auto`` is of the profile ``paper`` GPUs alone, as of the command.
        slots_per_gpu
            Cells at a time on each GPU; None is the command's ``auto``.
        keep
            Names of the artifacts to keep of every cell that can leave them: ``checkpoint``,
            ``patch``.
        progress
            What is told of the run while it goes on; nothing is printed where it is None.

        Returns
        -------
        RunSummary
            ``exit_code`` is 0 only when every cell is done; ``failures`` says which are not.

        Raises
        ------
        UserError
            If the suite or the engine cannot be used; what ends a cell alone is in ``failures``.
        """
        from bench.scheduling.engines.engine import EngineOptions
        from bench.scheduling.engines.registry import make_engine
        from bench.scheduling.options import RunOptions

        joint = self._look()
        if self.profile == "paper" and device == "auto":
            device = "cuda"
        made = make_engine(engine, EngineOptions(device, workers, slots_per_gpu, time_limit))
        options = RunOptions(retries=retries, keep=frozenset(keep))
        return joint.execute(joint.cells, made, options, progress)

    def frame(self) -> pd.DataFrame:
        """Return one row for each cell of the table: axes, id, state, metrics as recorded.

        Fractions stay fractions; what a cell has no record of is NaN. It is the CSV that
        ``bench report`` writes beside the page.
        """
        from bench.report.frame import cell_frame

        return cell_frame(self._session().results())

    def claims(self) -> list[Verdict]:
        """Return the verdict on each of the paper's claims about the suite, in its order.

        ``outcome`` says it in a word; ``reason`` why it was not judged; ``estimates`` are of the
        comparisons, ``p`` of the verdict.
        """
        return self._session().verdicts()

    def _look(self) -> Joint:
        from bench.cli.joint import open_joint

        return open_joint([self.suite], self.profile, self.store, only=self.only)

    def _session(self) -> Session:
        from bench.errors import SpecError

        sessions = self._look().sessions
        if len(sessions) > 1:
            names = ", ".join(session.name for session in sessions)
            raise SpecError(
                f"{self.suite!r} is a paper of several suites, which have no table in common",
                remedy=f"open one of them: {names}",
            )
        return sessions[0]


def open(
    suite: str | Path,
    profile: str = "offline",
    *,
    store: str | Path | None = None,
    only: str | Sequence[str] = (),
) -> Opened:
    """Open a suite; nothing is read before a method is called.

    Parameters
    ----------
    suite
        A path, or a name such as ``bss/table2``.
    profile
        Which overlay of it.
    store
        Folder of records; ``RETABLE_STORE``, or else ``results``, by default.
    only
        Which of its cells, as ``--only`` has it: ``["method=l2,l2+bss", "seed=0:3"]``.
    """
    folder = store if store is not None else os.environ.get("RETABLE_STORE") or "results"
    words = (only,) if isinstance(only, str) else tuple(only)
    return Opened(str(suite), profile, Path(folder), words)
