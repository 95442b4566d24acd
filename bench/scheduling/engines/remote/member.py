"""A machine of a cluster as the runner knows it, and the jobs that it has there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bench.scheduling.device import Device
from bench.scheduling.engines.remote.facts import Facts
from bench.scheduling.engines.remote.parcel import Parcel
from bench.scheduling.job import Job


@dataclass
class Out:
    """A job that is on a node, or on its way there or back."""

    job: Job
    parcel: Parcel
    missing: set[str] = field(default_factory=set)


@dataclass
class Member:
    """A machine of the cluster on which we have an actor."""

    name: str
    actor: Any
    facts: Facts | None = None
    has: set[str] = field(default_factory=set)
    out: dict[str, Out] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Its devices as the runner names them."""
        if self.facts is None:
            return ()
        return tuple(
            replace(device, name=f"{self.name}/{device.name}", here=False)
            for device in self.facts.devices
        )
