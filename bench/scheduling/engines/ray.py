"""The engine on the machines of a Ray cluster, which need share no file system.

On each machine one actor takes all of its GPUs, or cores, of Ray, and holds a local engine: what
that promises of a cell's process is so on each machine. Ray carries what is said, and files; which
job goes where is the runner's.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from bench.errors import UserError
from bench.records.record import Failure, Outcome
from bench.scheduling.device import Device
from bench.scheduling.engines.call import failed
from bench.scheduling.engines.engine import TARGET, Ended, EngineOptions
from bench.scheduling.engines.failures import kind_of
from bench.scheduling.engines.remote.cluster import Cluster, connect
from bench.scheduling.engines.remote.facts import Facts, differences, facts_here
from bench.scheduling.engines.remote.homecoming import (
    checked,
    forget_progress,
    place_file,
    wanted,
)
from bench.scheduling.engines.remote.kept import Kept
from bench.scheduling.engines.remote.member import Member, Out
from bench.scheduling.engines.remote.node import Left, key_of
from bench.scheduling.engines.remote.parcel import Packer
from bench.scheduling.engines.remote.pending import Pending
from bench.scheduling.job import Job

log = logging.getLogger(__name__)

# Seconds: of one question to a node whether something has ended; between looks at the cluster.
_LOOK, _LOOK_AT_CLUSTER = 1.0, 2.0
# Seconds for the nodes to tell what they are, and to end what runs on them.
_JOIN, _STOP = 120.0, 60.0
# A cell that takes its machine along is not to take all of them.
_LOSSES = 3


class RayEngine:
    """Executes jobs on the machines of a cluster.

    A job whose machine is lost is told of as lost, and is for the runner to start again; at the
    third time it is a failure of the job.

    Parameters
    ----------
    cluster
        Left when the engine is closed.
    target
        ``package.module:function``, from a job to an outcome.
    join
        Seconds for the machines to tell what they are.

    Raises
    ------
    UserError
        If no machine can be used.
    """

    blocking = False

    def __init__(
        self,
        cluster: Cluster,
        options: EngineOptions,
        *,
        target: str = TARGET,
        join: float = _JOIN,
    ) -> None:
        self._cluster = cluster
        self._options = options
        self._target = target
        self._here = facts_here(EngineOptions("cpu"))
        self._members: dict[str, Member] = {}
        self._refused: Counter[str] = Counter()
        self._why: dict[str, str] = {}
        self._losses: Counter[str] = Counter()
        self._pending = Pending(cluster.ray)
        self._packer = Packer()
        self._kept = Kept(cluster.ray, self._packer.content)
        self._ended: list[Ended] = []
        self._next_look = 0.0
        self._join = join
        self._empty_since = 0.0
        self._stopping = False
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def devices(self) -> tuple[Device, ...]:
        """Devices of all machines that are there now."""
        return tuple(device for member in self._members.values() for device in member.devices)

    def start(self, job: Job, device: Device) -> None:
        """Send a job to its machine; what keeps it from starting is told of later."""
        name, _, there = device.name.rpartition("/")
        found = [(key, m) for key, m in self._members.items() if m.name == name and m.facts]
        if not found:
            self._ended.append(self._lost(job, name))
            return
        ((node, member),) = found
        try:
            parcel = self._packer.pack(job, there)
            sent = [tree for key, tree in parcel.trees.items() if key not in member.has]
            refs = [self._kept.ref(tree) for tree in sent]
        except UserError as error:
            self._ended.append(Ended(job, failed(kind_of(error), str(error)), 0.0))
            return
        member.out[key_of(job)] = Out(job, parcel)
        self._ask(node, member.actor.start.remote(parcel, sent, *refs), member.has.update)

    def poll(self, timeout: float) -> list[Ended]:
        """Return what has ended, waiting up to ``timeout`` seconds for the first."""
        end = time.monotonic() + timeout
        while True:
            self._look_at_cluster()
            left = end - time.monotonic()
            self._pending.answer(0 if self._ended else max(0.0, left))
            if self._ended or left <= 0:
                ended, self._ended = self._ended, []
                return ended
            self._check_that_some_are_left()

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        """End all jobs on all machines, at once if ``hurry()``."""
        self._stopping = True
        ended: list[Ended] = []
        self._tell_to_stop(hurry())
        told_hurry, end = hurry(), time.monotonic() + _STOP
        while any(member.out for member in self._members.values()):
            ended += self.poll(0.1)
            if hurry() and not told_hurry:
                told_hurry = True
                self._tell_to_stop(True)
            if time.monotonic() > end:
                for node in list(self._members):
                    self._lose(node)
        return ended + self.poll(0)

    def close(self) -> None:
        """End what still runs, and leave the cluster; one of our own ends."""
        self._stopping = True
        refs = []
        for member in self._members.values():
            with contextlib.suppress(Exception):
                refs.append(member.actor.close.remote())
        with contextlib.suppress(Exception):
            self._cluster.ray.wait(refs, num_returns=len(refs), timeout=5.0) if refs else None
        for node in list(self._members):
            self._drop(node)
        self._cluster.leave()

    def _begin(self) -> None:
        end = time.monotonic() + self._join
        self._look_at_cluster()
        while time.monotonic() < end and any(m.facts is None for m in self._members.values()):
            self._pending.answer(0.5)
            self._look_at_cluster()
        if not self.devices:
            reasons = "; ".join(f"{name}: {why}" for name, why in self._why.items())
            raise UserError(
                f"no machine of the Ray cluster can be used: {reasons or 'none has answered'}",
                remedy="install the same versions on all; `ray status` tells of other jobs on it",
            )

    def _check_that_some_are_left(self) -> None:
        """Give up where all machines are lost for as long as the first ones are waited for."""
        if self.devices or self._stopping:
            self._empty_since = 0.0
            return
        self._empty_since = self._empty_since or time.monotonic()
        if time.monotonic() - self._empty_since > self._join:
            raise UserError(
                "all machines of the Ray cluster are lost",
                remedy="run again when some are back: what is done stays done",
            )

    def _look_at_cluster(self) -> None:
        if self._stopping or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_AT_CLUSTER
        there = self._cluster.machines()
        for node in [node for node in self._members if node not in there]:
            self._lose(node)
        for node, machine in there.items():
            if node in self._members or self._refused[node] >= _LOSSES:
                continue
            actor = self._cluster.spawn(machine, self._options, self._target)
            member = self._members[node] = Member(self._name(machine.host), actor)
            then = partial(self._joined, node)
            self._ask(node, member.actor.facts.remote(), then)

    def _name(self, host: str) -> str:
        taken = {member.name for member in self._members.values()}
        names = (host if count == 1 else f"{host}-{count}" for count in range(1, len(taken) + 2))
        return next(name for name in names if name not in taken)

    def _joined(self, node: str, facts: Facts) -> None:
        member = self._members[node]
        wrong = differences(facts, self._here)
        if self._cluster.asks_for_token and not facts.protected:
            wrong.append("its Ray was started without RAY_AUTH_MODE=token")
        if not facts.devices:
            wrong.append(facts.problem or "it has no device")
        if wrong:
            self._refuse(node, "; ".join(wrong), finally_so=True)
            return
        member.facts = facts
        self._ask_what_ended(node)

    def _ask_what_ended(self, node: str) -> None:
        self._ask(node, self._members[node].actor.look.remote(_LOOK), partial(self._take_in, node))

    def _take_in(self, node: str, left: list[Left]) -> None:
        for each in left:
            self._bring_home(node, each)
        self._ask_what_ended(node)

    def _bring_home(self, node: str, left: Left) -> None:
        member = self._members[node]
        out = member.out.get(left.key)
        if out is None:
            return
        names = wanted(out.job, left.files)
        out.missing = set(names)
        if not names:
            self._arrived(node, left)
        for name in names:
            self._ask(
                node,
                member.actor.fetch.remote(left.key, name),
                partial(self._came, node, left, name),
            )

    def _came(self, node: str, left: Left, name: str, content: bytes) -> None:
        out = self._members[node].out.get(left.key)
        if out is None:
            # Another file of it could not be placed.
            return
        try:
            place_file(out.job, name, left.files.files[name], content)
        except UserError as error:
            self._arrived(node, left, failed(kind_of(error), str(error)))
            return
        out.missing.discard(name)
        if not out.missing:
            self._arrived(node, left)

    def _arrived(self, node: str, left: Left, outcome: Outcome | None = None) -> None:
        member = self._members[node]
        out = member.out.pop(left.key)
        member.actor.discard.remote(left.key)
        if outcome is None:
            outcome = checked(out.job, left.ended.outcome, left.files)
            forget_progress(out.job, out.parcel.progress.files, left.files)
        self._ended.append(replace(left.ended, job=out.job, outcome=outcome))

    def _ask(self, node: str, ref: Any, then: Callable[[Any], None]) -> None:
        self._pending.add(node, ref, then, partial(self._failed, node))

    def _failed(self, node: str, error: Exception) -> None:
        """Give up a machine that does not answer, or not what it should."""
        if self._members[node].facts is None:
            self._refuse(node, str(error).strip().splitlines()[-1])
        else:
            self._lose(node)

    def _refuse(self, node: str, why: str, finally_so: bool = False) -> None:
        name = self._members[node].name
        self._refused[node] += _LOSSES if finally_so else 1
        self._why[name] = why
        log.warning("%s is not used: %s", name, why)
        self._drop(node)

    def _lose(self, node: str) -> None:
        """Tell of a machine's jobs as lost; what may still run of them there is ended."""
        member = self._drop(node)
        if member.facts is None:
            return
        self._refused[node] += 1
        if not self._stopping:
            log.warning("%s is lost", member.name)
        for out in member.out.values():
            self._ended.append(self._lost(out.job, member.name))

    def _drop(self, node: str) -> Member:
        self._pending.forget(node)
        member = self._members.pop(node)
        with contextlib.suppress(Exception):
            self._cluster.ray.kill(member.actor, no_restart=True)
        return member

    def _lost(self, job: Job, name: str) -> Ended:
        self._losses[job.cell.id] += 1
        if self._losses[job.cell.id] >= _LOSSES:
            told = f"its machine was lost {_LOSSES} times while it ran, the last time {name}"
            return Ended(job, failed("exit", told), 0.0)
        outcome = Outcome("cancelled", failure=Failure("interrupt", f"{name} was lost"))
        return Ended(job, outcome, 0.0, lost=True)

    def _tell_to_stop(self, hurry: bool) -> None:
        for node, member in list(self._members.items()):
            self._ask(node, member.actor.stop.remote(hurry), lambda _: None)


def ray_engine(options: EngineOptions) -> RayEngine:
    """Return the engine on a Ray cluster, or on a Ray of this machine that it starts and ends.

    Raises
    ------
    UserError
        If Ray is not installed, the cluster cannot be had, or must not be used so.
    """
    return RayEngine(connect(options), options)
