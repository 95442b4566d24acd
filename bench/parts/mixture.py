"""Networks between and beyond others: one network whose state is a weighted sum of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.kinds import Measuring
from bench.training.statistics import running

Statistics = Literal["interpolated", "averaged-anew"]
Floats = NDArray[np.float64]
INTERPOLATED = "interpolated"
# A head that is made anew at each place.
NEW = "new"


class Mixture:
    """Puts weighted sums of several networks' states into one network.

    All float parameters and float buffers are summed, in float64; integer buffers are those of
    the first network. Weights that are 1 and 0 give a network's own state, bit for bit, and so do
    any weights that sum to 1 of networks that are equal.

    Parameters
    ----------
    roles
        At least two, of one architecture.
    head
        ``interpolated`` as the rest is; or the role whose head is kept everywhere; or ``new``, of
        zeros, where one is made at each place.
    statistics
        Running statistics of batch normalisations, ``interpolated`` as the rest is, or
        ``averaged-anew`` at each place over the task's training rows, which come shuffled
        (`bench.training.statistics`).
    batch_size
        Of the rows that they are averaged over.
    part
        Name of the measurement, for what is said.

    Attributes
    ----------
    network
        What the last call of `put` made, in evaluation mode.

    Raises
    ------
    UserError
        If the networks have not the same parameters, a head that counts was never trained, or
        statistics cannot be averaged anew.
    """

    def __init__(
        self,
        measuring: Measuring,
        roles: Sequence[str],
        *,
        head: str = INTERPOLATED,
        statistics: Statistics = "interpolated",
        batch_size: int,
        part: str,
    ) -> None:
        self._measuring = measuring
        self._statistics = statistics
        self._batch_size = batch_size
        self._part = part
        networks = {role: measuring.network(role) for role in roles}
        for role in roles if head == INTERPOLATED else [head] if head != NEW else []:
            _check_head(networks[role], role)
        if statistics == "averaged-anew":
            for role, network in networks.items():
                self._check_moved(network, role)
        self._states = [self._state(network, networks, head) for network in networks.values()]
        self.network = networks[roles[0]]
        self._check_alike(roles)
        # A tied parameter is there under each of its names.
        named = self.network.named_parameters(remove_duplicate=False)
        self._parameters = {name for name, _ in named}

    @property
    def parameters(self) -> int:
        """The number n of parameters, the head's included: the sums lie in ℝⁿ."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def products(self) -> Floats:
        """Return ⟨θᵢ − θ₁, θⱼ − θ₁⟩ over parameters, ``(k, k)``: buffers are none."""
        names = [name for name, _ in self.network.named_parameters()]
        found = np.zeros((len(self._states),) * 2)
        for name in names:
            own = torch.stack([s[name].double().flatten() for s in self._states])
            apart = own - own[0]
            found += (apart @ apart.T).cpu().numpy()
        return found

    def put(
        self,
        weights: Sequence[float],
        *,
        statistics: Sequence[float] | None = None,
        noise: Tensor | None = None,
    ) -> Network:
        """Return `network` with the weighted sum of the states.

        Parameters
        ----------
        weights
            One a role. They sum to 1; beyond the networks some are negative.
        statistics
            Weights of buffers, if other ones.
        noise
            ``(n,)``, added to the parameters in the network's order.

        Raises
        ------
        UserError
            If an interpolated running variance is negative: the place is too far beyond.
        """
        of_buffers = weights if statistics is None else statistics
        mixed = {}
        for name, first in self._states[0].items():
            by = weights if name in self._parameters else of_buffers
            mixed[name] = self._sum(name, by) if first.is_floating_point() else first
        self.network.load_state_dict(mixed)
        if noise is not None:
            self._add(noise)
        if self._statistics == "averaged-anew":
            self._measuring.average_anew(self.network, self._batch_size)
        else:
            self._check_variances(of_buffers)
        return self.network

    def _sum(self, name: str, weights: Sequence[float]) -> Tensor:
        values = [state[name] for state in self._states]
        whole = sum(w * v.double() for w, v in zip(weights, values, strict=True) if w)
        assert isinstance(whole, Tensor)
        return whole.to(values[0].dtype)

    def _add(self, noise: Tensor) -> None:
        parameters = list(self.network.parameters())
        parts = torch.split(noise, [parameter.numel() for parameter in parameters])
        with torch.no_grad():
            for parameter, part in zip(parameters, parts, strict=True):
                parameter.add_(part.reshape(parameter.shape).to(parameter))

    def _state(
        self, network: Network, networks: dict[str, Network], head: str
    ) -> dict[str, Tensor]:
        if head == NEW:
            self._measuring.new_head(network)
        state = {name: value.detach().clone() for name, value in network.state_dict().items()}
        if head in networks:
            kept = networks[head].state_dict()
            state = {n: v for n, v in state.items() if not n.startswith("head.")}
            state |= {n: v.detach().clone() for n, v in kept.items() if n.startswith("head.")}
        return state

    def _check_alike(self, roles: Sequence[str]) -> None:
        shapes = [{n: v.shape for n, v in state.items()} for state in self._states]
        for role, other in zip(roles, shapes, strict=True):
            if other != shapes[0]:
                names = sorted(
                    n for n in shapes[0].keys() | other if shapes[0].get(n) != other.get(n)
                )
                raise UserError(
                    f"{roles[0]} and {role} do not have the same parameters: {names[0]} differs",
                    field="measure.roles",
                    remedy="give all roles one backbone and, unless one network's head is kept "
                    "everywhere, heads of one width",
                )

    def _check_moved(self, network: Network, role: str) -> None:
        """Refuse to average statistics that the training did not normalise by."""
        norms = running(network)
        problem = None
        if not norms:
            problem = "has no batch normalisation with running statistics"
        elif _trained_frozen(self._measuring, role):
            problem = "was trained with frozen statistics"
        elif any(m.num_batches_tracked == 0 for m in norms):
            problem = "has statistics that no training has moved"
        if problem is not None:
            raise UserError(
                f"statistics cannot be averaged anew: the network in the role {role} {problem}",
                field=f"measure.part.{self._part}.statistics",
                remedy="use statistics: interpolated",
            )

    def _check_variances(self, weights: Sequence[float]) -> None:
        for name, module in self.network.named_modules():
            if isinstance(module, _BatchNorm) and module.running_var is not None:
                lowest = float(module.running_var.min())
                if lowest < 0:
                    said = ", ".join(f"{weight:.3g}" for weight in weights)
                    raise UserError(
                        f"with the weights {said} the interpolated running variance of {name} is "
                        f"{lowest:.3g}: no network has such a one",
                        field=f"measure.part.{self._part}.statistics",
                        remedy="use statistics: averaged-anew, or stay nearer to the networks",
                    )


def _check_head(network: Network, role: str) -> None:
    """Refuse a head of zeros: that of a network which came without one."""
    if not any(bool(head.weight.any()) for head in network.heads.values()):
        raise UserError(
            f"the head of the network in the role {role} is zero: it came without one, or has "
            "not trained",
            field=f"measure.roles.{role}",
            remedy="name a network that was trained on the task, or keep another one's head "
            "everywhere",
        )


def _trained_frozen(measuring: Measuring, role: str) -> bool:
    trainable = measuring.settings(role).get("trainable", {})
    return any(of.get("statistics") == "frozen" for of in trainable.values())
