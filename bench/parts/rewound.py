"""Parts of a network's state that are put elsewhere for a while, and what it scores then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from bench.errors import UserError, did_you_mean
from bench.models.network import Network
from bench.models.sections import HEAD, own_state, sections, submodule, units

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Section:
    """The tensors of a module, by name: what is copied into them changes the network."""

    parameters: State
    statistics: State

    def state(self, *, statistics: bool) -> State:
        """Return the parameters and, if asked for, the running statistics."""
        return {**self.parameters, **(self.statistics if statistics else {})}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor."""
        return {name: tuple(v.shape) for name, v in self.state(statistics=True).items()}


def shared_sections(
    networks: Mapping[str, Network], modules: Mapping[str, str], *, part: str
) -> dict[str, dict[str, Section]]:
    """Return sections that networks have in common, by name, then by the network's role.

    Parameters
    ----------
    networks
        By role; one at least.
    modules
        Shown name to path. Without any, each unit is a section, what lies in it left out, and so
        is the head, which comes last; their names are their paths.
    part
        The measurement that has the parameter ``modules``.

    Raises
    ------
    UserError
        If a network has no such module, or a module's names or shapes differ between networks.
    """
    found = {role: _sections(network, modules, part) for role, network in networks.items()}
    first, *others = found
    for role in others:
        if found[role].keys() != found[first].keys():
            raise UserError(
                f"the networks {first} and {role} do not have the same modules",
                field=f"measure.roles.{role}",
                remedy="give both roles one backbone",
            )
        for name, section in found[role].items():
            if section.shapes() != found[first][name].shapes():
                raise UserError(
                    f"the module {name!r} is not the same one in the networks {first} and {role}: "
                    "their parameters have other names or shapes",
                    field=f"measure.roles.{role}",
                    remedy="use states of one training, such as its own start (checkpoint: "
                    "start), or name modules that the networks have in common",
                )
    return {name: {role: own[name] for role, own in found.items()} for name in found[first]}


def _sections(network: Network, modules: Mapping[str, str], part: str) -> dict[str, Section]:
    if modules:
        named = sections(network, modules, part=part)
        return {name: _section(module) for name, module in named.items()}
    every = {path: _section(unit, below=False) for path, unit in units(network).items()}
    return {**every, HEAD: _section(submodule(network, HEAD, part=part))}


def _section(module: nn.Module, *, below: bool = True) -> Section:
    state = own_state(module, below=below)
    names = [name for name, _ in module.named_parameters(recurse=below)]
    statistics = {name: value for name, value in state.items() if name not in names}
    return Section({name: state[name] for name in names}, statistics)


def put(own: State, values: State) -> None:
    """Copy values into tensors of their names, in place."""
    for name, value in values.items():
        own[name].copy_(value)


@contextmanager
def unchanged_after(own: State) -> Iterator[None]:
    """Give tensors their values of before back at the end, bit for bit."""
    before = {name: value.clone() for name, value in own.items()}
    try:
        yield
    finally:
        put(own, before)


def score_of(scores: Mapping[str, float], name: str, *, part: str) -> float:
    """Return one of an objective's metrics.

    Raises
    ------
    UserError
        If the objective has no such metric.
    """
    if name not in scores:
        raise UserError(
            f"the objective has no metric {name!r}",
            field=f"measure.part.{part}.score",
            remedy=did_you_mean(name, scores),
        )
    return scores[name]
