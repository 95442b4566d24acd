"""The state of a training on its way: saved now and then, and gone on from after it was killed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from torch import Tensor

from bench.errors import UserError, WeightsError
from bench.models.checkpoint import read_tensors, state_sha256, write_tensors
from bench.training.finite import NotANumber
from bench.training.stopping import Stopping
from bench.training.tree import CannotSaveError, pack, unpack

_FORMAT = 1
_SAID = ("format", "bound", "step", "tree")


class CannotResumeError(RuntimeError):
    """A saved state that fits by its digests and cannot be put back: the cell starts over."""


@runtime_checkable
class Kept(Protocol):
    """What keeps something from one step to the next."""

    def state(self) -> Any:
        """Return all of it, as plain data and tensors."""

    def restore(self, state: Any) -> None:
        """Put it back into what was made the same way."""


class Progress:
    """Saves the whole state of a training, and puts it back in a later attempt.

    A saved state counts only for the very same training: cell, code, data, weights, versions and
    kind of machine are those that it was saved under. Any other, or one of which a byte has
    changed, is not used. Use it as a context while steps are made: SIGTERM then lets the step
    end, saves, and ends the process.

    Parameters
    ----------
    path
        The file; the same for all attempts at the cell.
    every
        Seconds between two saves; 0 does nothing at all.
    bound
        What the state depends on, as JSON.
    device
        Of the training.
    elapsed
        The seconds that it has taken, in attempts before too.

    Attributes
    ----------
    resumed_at
        The step that this attempt went on from; 0 if it began at the start.
    """

    def __init__(
        self,
        path: Path,
        every: float,
        bound: Mapping[str, Any],
        device: torch.device,
        elapsed: Elapsed,
    ) -> None:
        self.resumed_at = 0
        self._path = path
        self._every = every
        self._bound: dict[str, Any] = json.loads(json.dumps(bound, sort_keys=True))
        self._device = device
        self._elapsed = elapsed
        self._kept: dict[str, Kept] = {"elapsed": elapsed}
        self._last = time.monotonic()
        self._saves = 0
        self._stopping = Stopping()

    def keep(self, name: str, kept: Kept) -> None:
        """Count something among what is saved, and put back in this order."""
        self._kept[name] = kept

    def begin(self, kept: Mapping[str, object]) -> int:
        """Put back what was saved, if anything was; return after how many steps.

        Everything must be as it is before the first step.

        Raises
        ------
        CannotResumeError
            If what fits cannot be put back; some of it may have been.
        """
        if not self._every:
            return 0
        for name, each in kept.items():
            if not isinstance(each, Kept):
                print(f"not resumable: the {name} has no state() and restore(state)")
                self._every = 0
                return 0
            self.keep(name, each)
        saved = self._read()
        if saved is None:
            return 0
        step, tree = saved
        self._restore(tree)
        self.resumed_at = step
        self._elapsed.went_on(step)
        print(f"goes on after step {step}")
        self._last = time.monotonic()
        return step

    def after(self, step: int) -> None:
        """Save after a step if it is time, or if the process has been asked to end."""
        if not self._every:
            return
        if self._stopping.asked:
            self._save(step)
            self._stopping.end_process()
        elif time.monotonic() - self._last >= self._every:
            self._save(step)

    def failed(self, error: Exception) -> None:
        """Forget the saved state if it may be why an attempt fails that went on from it.

        An attempt that has saved since has shown that it can go on; one without enough memory
        says nothing of the state.
        """
        told = _short_of_memory(error) or isinstance(error, UserError | NotANumber)
        if self.resumed_at and not self._saves and not told:
            print(f"the state saved after step {self.resumed_at} is given up")
            self.forget()

    def forget(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Progress:
        if self._every:
            self._stopping.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.end()

    def _save(self, step: int) -> None:
        tensors: dict[str, Tensor] = {}
        try:
            tree = pack({name: kept.state() for name, kept in self._kept.items()}, tensors)
            said = {"format": _FORMAT, "bound": self._bound, "step": step, "tree": tree}
            write_tensors(self._path, tensors, {**said, "sha256": _digest(said, tensors)})
        except CannotSaveError as error:
            print(f"not resumable: {error}")
            self._every = 0
            return
        except (OSError, SafetensorError) as error:
            # A cell needs no saved state to be right.
            print(f"the state after step {step} cannot be saved: {error}")
        else:
            self._saves += 1
        self._last = time.monotonic()

    def _read(self) -> tuple[int, Any] | None:
        """Return step and state of the file, if it is whole and of this very training."""
        if not self._path.exists():
            return None
        try:
            tensors, facts = read_tensors(self._path)
            said = {name: facts[name] for name in _SAID}
            whole = facts["sha256"] == _digest(said, tensors) and said["format"] == _FORMAT
        except (WeightsError, KeyError) as error:
            return self._unused(str(error))
        if not whole:
            return self._unused("its digest is not that of what is in it")
        theirs = said["bound"]
        assert isinstance(theirs, dict)
        other = sorted(n for n in theirs | self._bound if theirs.get(n) != self._bound.get(n))
        if other:
            return self._unused(f"other {', '.join(other)}")
        step = said["step"]
        assert isinstance(step, int)
        return step, unpack(said["tree"], tensors, self._device)

    def _restore(self, tree: Mapping[str, Any]) -> None:
        if tree.keys() != self._kept.keys():
            raise CannotResumeError(f"other state: {sorted(tree.keys() ^ self._kept.keys())}")
        try:
            for name, kept in self._kept.items():
                kept.restore(tree[name])
        except Exception as error:
            # Says nothing of the state: the next attempt may have more.
            if _short_of_memory(error):
                raise
            raise CannotResumeError(f"{name}: {type(error).__name__}: {error}") from error

    @staticmethod
    def _unused(why: str) -> None:
        print(f"the saved state is not used, and the cell starts over: {why}")


class Elapsed:
    """Seconds of a training over all its attempts; what a resumed one's record says of it.

    Parameters
    ----------
    clock
        The times at which data and building ended; the last is when training began.
    """

    def __init__(self, clock: list[float]) -> None:
        self._begun, self._building_ended = clock[0], clock[-1]
        self._train = self._all = 0.0
        self._resumed: dict[str, float] = {}

    def state(self) -> dict[str, Any]:
        """Return the seconds so far, and where attempts went on."""
        now = time.perf_counter()
        return {
            "train": self._train + now - self._building_ended,
            "all": self._all + now - self._begun,
            "resumed": self._resumed,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Count what attempts before took until they saved."""
        self._train, self._all = state["train"], state["all"]
        self._resumed = dict(state["resumed"])

    def went_on(self, step: int) -> None:
        """Note that an attempt goes on after a step."""
        self._resumed[f"resumed at step {step}"] = self._all

    def timings(self, phases: Mapping[str, float]) -> dict[str, float]:
        """Return an attempt's seconds by phase with those before; unchanged where none were.

        ``earlier_s`` are the seconds of attempts before, as far as they were saved;
        ``resumed at step N`` those before an attempt went on from there, of each that did.
        """
        if not self._resumed:
            return dict(phases)
        return {
            **phases,
            "train_s": phases["train_s"] + self._train,
            "total_s": phases["total_s"] + self._all,
            "earlier_s": self._all,
            **self._resumed,
        }


def _short_of_memory(error: Exception) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"OutOfMemoryError", "MemoryError"}) or "memory" in str(error).lower()


def _digest(said: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    text = json.dumps({name: said[name] for name in _SAID}, sort_keys=True)
    return hashlib.sha256(f"{text}\x1e{state_sha256(tensors)}".encode()).hexdigest()
