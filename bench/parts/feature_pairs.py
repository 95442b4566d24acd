"""Features of two networks on the same examples, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.models.outputs import OutputReader, Pooling
from bench.models.sections import sections, units
from bench.parts.array_names import names_array
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
    part
        The measurement; errors say it.

    Attributes
    ----------
    device
        Where the features are.
    layers
        Names of the layers: of units their paths.
    widths
        Each network's number of features by layer.

    Raises
    ------
    UserError
        If the networks have not the same units, or a module is named that is not there or has no
        features.
    """

    def __init__(
        self,
        measuring: Measuring,
        modules: Mapping[str, str],
        *,
        examples: int,
        pooling: Pooling,
        part: str,
    ) -> None:
        self.device = measuring.device
        self._measuring = measuring
        self._examples = examples
        networks = [measuring.network(role) for role in ROLES]
        own = [list(units(network)) for network in networks]
        if own[0] != own[1]:
            differing = min(set(own[0]) ^ set(own[1]), default="their order")
            raise UserError(
                f"the two networks do not have the same modules: {differing} differs",
                field="measure.roles",
                remedy="give both roles one backbone",
            )
        example, _ = next(iter(measuring.batches("test", 1, limit=1)))
        layers = [_layers(network, modules, part) for network in networks]
        self._named = layers[0].named
        self._readers = [
            OutputReader(network, each.modules, pooling, example)
            for network, each in zip(networks, layers, strict=True)
        ]
        first, second = (reader.widths for reader in self._readers)
        self.layers = [name for name in first if name in second]
        self._numbers = {path: n for n, path in enumerate(own[0], 1) if path in self.layers}
        for shown, name in self._named.items():
            if name not in self.layers:
                raise UserError(
                    f"{modules[shown]} does not run, or does not return a tensor with a row an "
                    "example",
                    field=f"measure.part.{part}.modules.{shown}",
                    remedy="name the module that holds it",
                )
        self.widths = [[reader.widths[n] for n in self.layers] for reader in self._readers]

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
            first, second = ([each[name] for name in self.layers] for each in found)
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
            still = zip(self.layers, each.constant(), strict=True)
            constant = [name or "the backbone" for name, is_still in still if is_still]
            if constant:
                raise UserError(
                    f"what {', '.join(constant)} of {role} returns is the same for all examples, "
                    "so that its similarity to anything is 0/0",
                    field=f"measure.roles.{role}",
                    remedy="measure a state after some training, or other test data",
                )

    def measured(self, name: str, table: Tensor) -> Measured:
        """Return similarities ``(layers, layers)`` as metrics, a curve and an array with names."""
        table = table.cpu()
        at = {layer: number for number, layer in enumerate(self.layers)}
        rows = [at[path] for path in self._numbers]
        same = table.diagonal().tolist()
        names = names_array([path or "backbone" for path in self._numbers])
        return Measured(
            {f"{name}/{shown}": same[at[layer]] for shown, layer in self._named.items()},
            {f"{name}/module": Line([*self._numbers.values()], [same[row] for row in rows])},
            {
                name: table[rows][:, rows].clone(),
                f"{name}/rows": names,
                f"{name}/columns": names.clone(),
            },
        )


@dataclass(frozen=True)
class _Layers:
    """A network's layers by name, and the layer's name by the shown name of each that is named."""

    modules: Mapping[str, nn.Module]
    named: Mapping[str, str]


def _layers(network: Network, modules: Mapping[str, str], part: str) -> _Layers:
    found = dict(units(network))
    paths = {module: path for path, module in found.items()}
    named = {}
    for shown, module in sections(network, modules, part=part).items():
        # A unit that is named too is read once.
        named[shown] = paths.get(module, f"modules.{shown}")
        found[named[shown]] = module
    return _Layers(found, named)


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
