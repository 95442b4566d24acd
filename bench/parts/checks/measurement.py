"""The checks of a measurement, on small networks and random data."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.models.checkpoint import read_tensors, write_tensors
from bench.models.network import Network
from bench.parts.checks.common import (
    Checks,
    Subject,
    bound,
    expect,
    first_that_takes,
    same,
    twice,
    undrawn,
)
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import NETWORKS, Inputs
from bench.parts.checks.trial import Trial
from bench.parts.kinds import Measured, Measurement

_DATA = ("task", "source", "none")


def checks(subject: Subject) -> Checks:
    """Return the checks of a measurement."""
    return bound(
        subject,
        {
            "declared": _declared,
            "metrics": _metrics,
            "curves": _curves,
            "arrays": _arrays,
            "networks": _networks,
            "determinism": _determinism,
            "pairing": _pairing,
        },
    )


class _Case:
    """A measurement with networks for its roles, of the first kind that it takes."""

    def __init__(self, subject: Subject) -> None:
        self.part: Measurement = subject.part()
        self.inputs = first_that_takes(NETWORKS, self._of)
        self.networks = self._build(self.inputs)

    def __call__(self) -> Measured:
        """Return what is measured on the networks as they are."""
        return self._of(self.inputs, self.networks)

    def _of(self, inputs: Inputs, networks: Mapping[str, Network] | None = None) -> Measured:
        given = self._build(inputs) if networks is None else networks
        data = None if self.part.data == "none" else inputs
        found: Any = self.part(RandomMeasuring(given, data))
        expect(isinstance(found, Measured), f"gives a {type(found).__name__}, not a Measured")
        measured: Measured = found
        return measured

    def _build(self, inputs: Inputs) -> dict[str, Network]:
        # Networks of one kind and of several seeds: of equal ones much would be zero.
        return {
            role: Trial(inputs, seed=seed).build().eval()
            for seed, role in enumerate(self.part.roles)
        }


def _declared(subject: Subject) -> str:
    part: Measurement = subject.part()
    expect(bool(part.roles), "declares no roles: it looks at no network")
    expect(len(set(part.roles)) == len(part.roles), f"declares a role twice: {part.roles}")
    expect(part.data in _DATA, f"data is {part.data!r}, not of {', '.join(_DATA)}")
    axes = {name: axis for name, axis in part.curves.items() if not isinstance(axis, str)}
    expect(not axes, f"the axis of a curve is no name: {axes}")
    return f"looks at {', '.join(part.roles)}"


def _metrics(subject: Subject) -> str:
    case = _Case(subject)
    found, declared = case().metrics, case.part.metrics
    given, said = sorted(found), sorted(declared)
    expect(given == said, f"gives {given}, and declares {said}")
    for name, value in found.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        expect(number, f"{name} is a {type(value).__name__}, not a number")
        expect(math.isfinite(value), f"{name} is {value}")
        expect(
            declared[name][0] != "%" or 0 <= value <= 1,
            f"{name} is recorded as a fraction, and shown times 100: it is {value}",
        )
    return f"measured on {case.inputs.name}"


def _curves(subject: Subject) -> None:
    case = _Case(subject)
    found = case().curves
    given, said = sorted(found), sorted(case.part.curves)
    expect(given == said, f"gives {given}, and declares {said}")
    for name, line in found.items():
        at, value = list(map(float, line.at)), list(map(float, line.value))
        expect(len(at) == len(value), f"{name} has {len(at)} places and {len(value)} values")
        expect(bool(at), f"{name} has no point")
        expect(all(map(math.isfinite, [*at, *value])), f"{name} is not finite")


def _arrays(subject: Subject) -> str:
    found = _Case(subject)().arrays
    for name, value in found.items():
        given: Any = value
        expect(isinstance(given, Tensor), f"{name} is a {type(given).__name__}, not a tensor")
        finite = not value.is_floating_point() or bool(torch.isfinite(value).all())
        expect(finite, f"{name} is not finite")
    if not found:
        return "none"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.safetensors"
        plain = {name: value.detach().cpu().contiguous() for name, value in found.items()}
        write_tensors(file, plain)
        expect(same(plain, read_tensors(file)[0]), "a file does not hold the arrays as they are")
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in found.items())


def _networks(subject: Subject) -> None:
    """Each call of ``network`` gives a copy, and all of them must be the measurement's own."""
    case = _Case(subject)
    before = {role: _state(network) for role, network in case.networks.items()}
    case()
    after = {role: _state(network) for role, network in case.networks.items()}
    expect(same(before, after), "changes what the copies that it is given share")
    expect(torch.is_grad_enabled(), "leaves gradients switched off")


def _state(network: Network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _plain(found: Measured) -> tuple[object, ...]:
    lines = {name: (list(c.at), list(c.value)) for name, c in found.curves.items()}
    return dict(found.metrics), lines, dict(found.arrays)


def _determinism(subject: Subject) -> None:
    case = _Case(subject)
    twice(lambda: _plain(case()), "two measurements of the same differ")


def _pairing(subject: Subject) -> None:
    case = _Case(subject)
    undrawn(lambda: _plain(case()))
