"""The checks of a measurement, on small networks and random data."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.models.checkpoint import read_tensors, write_tensors
from bench.models.network import Network
from bench.parts.checks.common import (
    Checks,
    Subject,
    expect,
    first_that_takes,
    same,
    signature,
    undrawn,
)
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import NETWORKS, Inputs
from bench.parts.checks.trial import Trial
from bench.parts.kinds import Measured, Measurement
from bench.spec.metrics import of_machine
from bench.spec.roles import described, numbered

# Smaller images than a training's: some measurements are slow.
_NETWORKS = (Inputs("test_resnet", (3, 32, 32)), *NETWORKS[1:])
# How many networks an open role has.
_OPEN = 2


def checks(subject: Subject) -> Checks:
    """Return the checks of a measurement."""
    case = _Case(subject)
    own = {
        "roles": case.roles,
        "metrics": case.metrics,
        "curves": case.curves,
        "arrays": case.arrays,
        "networks": case.networks_kept,
        "determinism": case.determinism,
        "pairing": case.pairing,
    }
    return {"signature": lambda: signature(subject), **own}


class _Case:
    """A measurement with networks for its roles, of the first kind that it takes."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    @cached_property
    def part(self) -> Measurement:
        part: Measurement = self._subject.part()
        return part

    @cached_property
    def inputs(self) -> Inputs:
        # What looks at any number of networks puts them into many states: the smallest ones first.
        many = any(role.endswith("*") for role in self.part.roles)
        return first_that_takes(NETWORKS[::-1] if many else _NETWORKS, self._of)

    @cached_property
    def networks(self) -> dict[str, Network]:
        return self._build(self.inputs)

    @cached_property
    def found(self) -> Measured:
        """What is measured once, to be looked at from several sides."""
        return self._of(self.inputs, self.networks)

    def again(self) -> Measured:
        """Return what is measured on the same networks anew."""
        return self._of(self.inputs, self.networks)

    def _of(self, inputs: Inputs, networks: Mapping[str, Network] | None = None) -> Measured:
        given = self._build(inputs) if networks is None else networks
        # What is asked of trained networks alone is asked of the last one that is declared.
        single = [role for role in self.part.roles if not role.endswith("*")]
        measuring = RandomMeasuring(
            given,
            inputs,
            data=self.part.data != "none",
            learnt=single[-1] if single else "",
        )
        found: Any = self.part(measuring)
        expect(isinstance(found, Measured), f"gives a {type(found).__name__}, not a Measured")
        measured: Measured = found
        return measured

    def _build(self, inputs: Inputs) -> dict[str, Network]:
        # Networks of one kind and of several seeds: of equal ones much would be zero.
        return {
            role: Trial(inputs, seed=seed).build().eval()
            for seed, role in enumerate(numbered(self.part.roles, _OPEN))
        }

    def roles(self) -> str:
        part = self.part
        # Without either it computes, from its own parameters.
        looks = bool(part.roles) or part.data != "none" or bool(type(part).model_fields)
        expect(looks, "looks at no network and at no data, and has no parameter")
        expect(len(set(part.roles)) == len(part.roles), f"declares a role twice: {part.roles}")
        return f"looks at {described(part.roles)}"

    def metrics(self) -> str:
        found, declared = self.found.metrics, self.part.metric_names()
        given, said = sorted(found), sorted(declared)
        expect(given == said, f"gives {given}, and declares {said}")
        for name, value in found.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            expect(number, f"{name} is a {type(value).__name__}, not a number")
            expect(math.isfinite(value), f"{name} is {value}")
            unit, best = declared[name]
            # A difference of two fractions is one whose lower side is better: it may be negative.
            lowest = 0 if best == "highest" else -1
            expect(
                unit != "%" or lowest <= value <= 1,
                f"{name} is recorded as a fraction, and shown times 100: it is {value}",
            )
        return f"measured on {self.inputs.name}"

    def curves(self) -> None:
        found = self.found.curves
        given, said = sorted(found), sorted(self.part.curve_names())
        expect(given == said, f"gives {given}, and declares {said}")
        for name, line in found.items():
            at, value = list(map(float, line.at)), list(map(float, line.value))
            expect(len(at) == len(value), f"{name} has {len(at)} places and {len(value)} values")
            expect(bool(at), f"{name} has no point")
            expect(all(map(math.isfinite, [*at, *value])), f"{name} is not finite")

    def arrays(self) -> str:
        found = self.found.arrays
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
            kept = same(plain, read_tensors(file)[0])
        expect(kept, "a file does not hold the arrays as they are")
        return ", ".join(f"{name} {tuple(value.shape)}" for name, value in found.items())

    def networks_kept(self) -> None:
        """Each call of ``network`` gives a copy: nothing else of a network may change."""
        networks = self._build(self.inputs)
        before = {role: _state(network) for role, network in networks.items()}
        self._of(self.inputs, networks)
        after = {role: _state(network) for role, network in networks.items()}
        expect(same(before, after), "changes what the copies that it is given share")
        expect(torch.is_grad_enabled(), "leaves gradients switched off")

    def determinism(self) -> None:
        alike = same(_plain(self.found), _plain(self.again()))
        expect(alike, "two measurements of the same differ")

    def pairing(self) -> None:
        undrawn(lambda: _plain(self.again()))


def _state(network: Network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _plain(found: Measured) -> tuple[object, ...]:
    """Return what another run gives too: all but what tells of the machine."""
    metrics = {name: value for name, value in found.metrics.items() if not of_machine(name)}
    lines = {
        name: (list(c.at), list(c.value))
        for name, c in found.curves.items()
        if not of_machine(name)
    }
    return metrics, lines, dict(found.arrays)
