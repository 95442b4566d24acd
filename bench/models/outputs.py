"""What modules of a network return, as features: a row an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network

Pooling = Literal["flatten", "average"]


class OutputReader:
    """Reads what modules of a network return for a batch.

    A module's features are all that it returns for an example, one after another, in float64; of
    one that runs several times in a pass, the outputs of all its runs. They are copied when the
    module returns them, before an in-place operation that follows can change them.

    Parameters
    ----------
    network
        In evaluation mode. Of several tasks, the first is run.
    modules
        Modules of the network by name.
    pooling
        ``average``: maps ``(b, c, h, w)`` are averaged over their positions; ``flatten``: they
        are not.
    example
        One row of inputs, ``(1, …)``, on which the modules are tried.

    Attributes
    ----------
    widths
        The number of features of each module that returns a tensor with a row an example; a
        module that does not run, or returns something else, has none and is not read.

    Raises
    ------
    UserError
        If the network has modules of a task's own, or maps whose channels stand last are to be
        averaged.
    """

    def __init__(
        self, network: Network, modules: Mapping[str, nn.Module], pooling: Pooling, example: Tensor
    ) -> None:
        if network.private_names:
            raise UserError(
                f"{network.name} has modules of each task's own, and outputs of none are its own",
                field="measure.roles",
                remedy="measure a network that was trained on one task",
            )
        self._network = network
        self._pooling = pooling
        runs = self._run(modules, example)
        self._modules = {
            name: modules[name]
            for name, outputs in runs.items()
            if outputs and all(output is not None and len(output) == 1 for output in outputs)
        }
        self.widths = {name: features.shape[1] for name, features in self(example).items()}

    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return each module's features of inputs ``(b, …)``: ``(b, p)`` float64.

        Raises
        ------
        UserError
            If a module's output has not a row an example after all.
        """
        found = {}
        for name, outputs in self._run(self._modules, inputs).items():
            rows = [output.flatten(1) for output in outputs if output is not None]
            if any(len(each) != len(inputs) for each in rows):
                raise UserError(
                    f"the outputs of {name} of {self._network.name} have not a row an example: "
                    f"{len(rows[0])} of {len(inputs)} examples"
                )
            found[name] = rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)
        return found

    def _run(
        self, modules: Mapping[str, nn.Module], inputs: Tensor
    ) -> dict[str, list[Tensor | None]]:
        """Return what each module returned, a value a run; None for what is no feature."""
        found: dict[str, list[Tensor | None]] = {name: [] for name in modules}
        with self._listening(modules, found), torch.no_grad():
            self._network(inputs, task=self._network.tasks[0])
        return found

    @contextmanager
    def _listening(
        self, modules: Mapping[str, nn.Module], found: Mapping[str, list[Tensor | None]]
    ) -> Iterator[None]:
        def listen(name: str, module: nn.Module, output: object) -> None:
            tensor = output if isinstance(output, Tensor) and output.ndim else None
            found[name].append(None if tensor is None else self._copy(name, module, tensor))

        handles = [
            module.register_forward_hook(lambda m, _args, out, name=name: listen(name, m, out))
            for name, module in modules.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _copy(self, name: str, module: nn.Module, output: Tensor) -> Tensor:
        values = output.to(torch.float64, copy=True)
        if self._pooling == "flatten" or values.ndim != 4:
            return values if values.ndim > 1 else values[:, None]
        if type(module) in (nn.Linear, nn.LayerNorm):
            raise UserError(
                f"{name} of {self._network.name} returns maps whose channels stand last, and "
                "positions to average over are taken to",
                field="pooling",
                remedy="use flatten",
            )
        return values.mean(dim=(2, 3))
