"""Features of two networks on the same examples, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from bench.errors import UserError, did_you_mean
from bench.models.network import Network
from bench.models.outputs import OutputReader, Pooling
from bench.models.sections import submodule, units
from bench.parts.kinds import Line, Measured, Measuring

ROLES = ("first", "second")
# A feature whose values differ by less, relative to the largest, is rounding: float32 has 1e-7.
_CONSTANT = 1e-6
Features = list[Tensor]


class FeaturePairs:
    """Two networks' features, layer by layer, of the test split in an order of the stream's.

    Layers are the units of the networks, and the modules that were named.

    Parameters
    ----------
    modules
        Shown name to path in the network.
    examples
        How many of the test split at most.

    Attributes
    ----------
    device
        Where the features are.
    layers
        Paths of the layers.
    widths
        Each network's number of features by layer.

    Raises
    ------
    UserError
        If the networks have not the same units, or a named module is not there or gives no
        features.
    """

    def __init__(
        self, measuring: Measuring, modules: Mapping[str, str], examples: int, pooling: Pooling
    ) -> None:
        self.device = measuring.device
        self._measuring = measuring
        self._named = modules
        self._examples = examples
        networks = [measuring.network(role) for role in ROLES]
        own = [list(units(network)) for network in networks]
        if own[0] != own[1]:
            differing = next(iter(sorted(set(own[0]) ^ set(own[1]))), own[0][0])
            raise UserError(
                f"the two networks do not have the same modules: {differing} is not in both, or "
                "stands elsewhere",
                field="measure.roles",
                remedy="give both roles one backbone",
            )
        example, _ = next(iter(measuring.batches("test", 1, limit=1)))
        self._readers = [
            OutputReader(network, self._wanted(network), pooling, example) for network in networks
        ]
        first, second = (reader.widths for reader in self._readers)
        self.layers = [path for path in first if path in second]
        self._units = {path: n for n, path in enumerate(own[0], 1) if path in self.layers}
        self._check_named()
        self.widths = [[reader.widths[p] for p in self.layers] for reader in self._readers]

    def _wanted(self, network: Network) -> dict[str, nn.Module]:
        named = {path: submodule(network, path) for path in self._named.values()}
        return {**units(network), **named}

    def _check_named(self) -> None:
        for shown, path in self._named.items():
            if path not in self.layers:
                raise UserError(
                    f"{path} does not return a tensor with a row an example, or does not run",
                    field=f"modules.{shown}",
                    remedy=did_you_mean(path, self.layers),
                )

    def features(
        self, batch_size: int, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Features, Features]]:
        """Yield both networks' features of each batch, a tensor ``(b, p)`` a layer, float64.

        Parameters
        ----------
        start, stop
            Of the batches, by number. The networks do not see the others.
        """
        batches = self._measuring.batches(
            "test",
            batch_size,
            shuffle=self._measuring.stream("examples"),
            limit=self._examples,
        )
        for inputs, _ in islice(batches, start, stop):
            found = [reader(inputs) for reader in self._readers]
            first, second = ([each[path] for path in self.layers] for each in found)
            yield first, second

    def check_vary(self, spreads: Iterable[Spread]) -> None:
        """Refuse layers whose features are the same for all examples: there is no CKA of them.

        Parameters
        ----------
        spreads
            Of each network's features.

        Raises
        ------
        UserError
            If there is one.
        """
        for role, each in zip(ROLES, spreads, strict=True):
            constant = [p for p, still in zip(self.layers, each.constant(), strict=True) if still]
            if constant:
                raise UserError(
                    f"what {', '.join(constant)} of {role} returns is the same for all examples, "
                    "so that its similarity to anything is 0/0",
                    field=f"measure.roles.{role}",
                    remedy="measure a state after some training, or other test data",
                )

    def measured(self, name: str, table: Tensor) -> Measured:
        """Return a table of similarities ``(layers, layers)`` as metrics, a curve and an array."""
        table = table.cpu()
        at = {path: number for number, path in enumerate(self.layers)}
        rows = [at[path] for path in self._units]
        same = table.diagonal().tolist()
        return Measured(
            {f"{name}/{shown}": same[at[path]] for shown, path in self._named.items()},
            {f"{name}/module": Line([*self._units.values()], [same[row] for row in rows])},
            {name: table[rows][:, rows].clone()},
        )


class Spread:
    """Means and extremes of the features of a network's layers, over batches."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: Features = []
        self._low: Features = []
        self._high: Features = []

    def add(self, features: Features) -> None:
        """Take a batch's features ``(b, p)`` into account, a tensor a layer."""
        total = [x.sum(dim=0) for x in features]
        low, high = [x.amin(dim=0) for x in features], [x.amax(dim=0) for x in features]
        if self._count:
            total = [torch.add(*each) for each in zip(self._sum, total, strict=True)]
            low = [torch.minimum(*each) for each in zip(self._low, low, strict=True)]
            high = [torch.maximum(*each) for each in zip(self._high, high, strict=True)]
        self._count += len(features[0])
        self._sum, self._low, self._high = total, low, high

    def means(self) -> Features:
        """Return the mean of each feature, ``(p,)`` a layer."""
        return [total / self._count for total in self._sum]

    def constant(self) -> list[bool]:
        """Return for each layer whether no feature of it varies by more than rounding."""
        return [
            bool((high - low <= _CONSTANT * torch.maximum(low.abs(), high.abs())).all())
            for low, high in zip(self._low, self._high, strict=True)
        ]
