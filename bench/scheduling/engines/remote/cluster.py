"""A Ray cluster: connecting to it, the machines that are in it, an actor on each."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.scheduling.engines.devices import cores
from bench.scheduling.engines.engine import EngineOptions
from bench.scheduling.engines.remote.access import (
    can_ask,
    check_access,
    give_token,
    is_loopback,
)
from bench.scheduling.engines.remote.node import Node

# Of an actor: questions that wait, beside those that are answered at once.
_THREADS = 8
_INSTALL = "uv pip install 'retable[ray]'"


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster, with what Ray has of it to give."""

    id: str
    host: str
    cpus: float
    gpus: float


class Cluster:
    """A cluster that this process is connected to.

    Parameters
    ----------
    ray
        The module, or what stands in for it.
    asks_for_token
        Whether every machine must ask for one.
    cuda
        Use the machines that have a GPU, and no others; None: if there are any now.
    own
        A folder of ours, removed with the cluster that we started; None of somebody else's.
    """

    def __init__(
        self,
        ray: Any,
        *,
        asks_for_token: bool = False,
        cuda: bool | None = None,
        own: Path | None = None,
    ) -> None:
        self.ray = ray
        self.asks_for_token = asks_for_token
        self._own = own
        # A table of cells of which some ran on a processor by chance is nobody's wish.
        self._cuda = any(machine.gpus for machine in self._all()) if cuda is None else cuda

    def machines(self) -> dict[str, Machine]:
        """Return the machines that can be used now, by Ray's number for them.

        Raises
        ------
        UserError
            If the cluster does not answer.
        """
        return {each.id: each for each in self._all() if each.gpus or not self._cuda}

    def spawn(self, machine: Machine, options: EngineOptions, target: str) -> Any:
        """Return a new actor on a machine; it begins when Ray has all of the machine to give."""
        asked = replace(options, device="cuda" if self._cuda else "cpu")
        affinity = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        actor = self.ray.remote(Node).options(
            num_cpus=machine.cpus,
            num_gpus=machine.gpus if self._cuda else 0,
            max_restarts=0,
            max_concurrency=_THREADS,
            scheduling_strategy=affinity(machine.id, soft=False),
        )
        return actor.remote(asked, target)

    def leave(self) -> None:
        """Disconnect; a cluster of our own ends."""
        with contextlib.suppress(Exception):
            self.ray.shutdown()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)

    def _all(self) -> list[Machine]:
        try:
            nodes = self.ray.nodes()
        except Exception as error:
            raise UserError(
                f"the Ray cluster does not answer: {_last_line(error)}",
                remedy="run again when it does: what is done stays done",
            ) from error
        return [
            Machine(
                node["NodeID"],
                str(node.get("NodeManagerHostname") or node["NodeManagerAddress"]),
                _count(node, "CPU"),
                _count(node, "GPU"),
            )
            for node in nodes
            if node["Alive"]
        ]


def _count(node: Mapping[str, Any], resource: str) -> float:
    return float(node.get("Resources", {}).get(resource, 0.0))


def connect(options: EngineOptions) -> Cluster:
    """Return the cluster of ``--ray-address`` or ``RAY_ADDRESS``; else a new one of this machine.

    Raises
    ------
    UserError
        If Ray is not installed, the cluster cannot be reached, or must not be used so.
    """
    try:
        version = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError("Ray is not installed", remedy=_INSTALL) from error
    address = options.address or os.environ.get("RAY_ADDRESS", "")
    if address in ("", "local"):
        return _own(options, version)
    if "://" in address:
        raise UserError(
            f"Ray's client cannot be used: {address}",
            remedy="run this on a machine of the cluster, with --ray-address HOST:PORT",
        )
    check_access(address, version, os.environ)
    ray = _import()
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise UserError(
            f"the Ray at {address} cannot be reached from here: {_last_line(error)}",
            remedy="this machine must be in the cluster: ray start --address=…",
        ) from error
    return Cluster(ray, asks_for_token=not is_loopback(address), cuda=_cuda(options))


def _own(options: EngineOptions, version: str) -> Cluster:
    """Start a Ray of this machine alone; it ends with this process, and nobody else may use it."""
    folder = Path(tempfile.mkdtemp(prefix="retable-ray-"))
    if can_ask(version):
        give_token(folder, os.environ)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = _import()
    try:
        ray.init(
            address="local",
            num_cpus=options.workers or cores(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(
            f"Ray cannot be started: {_last_line(error)}", remedy="or use --engine local"
        ) from error
    return Cluster(ray, cuda=_cuda(options), own=folder)


def _import() -> Any:
    """Return Ray, which reads its settings from the environment now."""
    importlib.import_module("ray.util.scheduling_strategies")
    return importlib.import_module("ray")


def _cuda(options: EngineOptions) -> bool | None:
    return None if options.device == "auto" else options.device == "cuda"


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
