"""How large the penalties' gradients are beside the loss's."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from bench.spec.metrics import gradient_of
from bench.training.curves import CurveBook


class PenaltyGradients:
    """Measures ‖∇ penalty‖₂ / ‖∇ loss‖₂ over the body's parameters that train.

    The heads' are left out, the start's own among them: penalties on the features do not reach
    them, or the loss does not. The training sees nothing of it: gradients are computed beside
    those that it steps by.

    Parameters
    ----------
    body
        The parameters that features depend on.
    names
        Of the terms of the loss, in their order.
    losses
        Those that are tasks' losses; the others are penalties.
    """

    def __init__(
        self, body: Collection[nn.Parameter], names: Sequence[str], losses: Collection[str]
    ) -> None:
        self._body = tuple(body)
        self._losses = [i for i, name in enumerate(names) if name in losses]
        self._penalties = {name: i for i, name in enumerate(names) if name not in losses}
        self._found: dict[str, list[float]] = {}

    def measure(self, terms: Tensor, step: int, book: CurveBook) -> None:
        """Add a point to each penalty's curve, of the terms ``(t,)`` and their graph.

        There is none where nothing of the body trains, or the loss has no gradient.
        """
        loss = self._norm(terms[self._losses].sum())
        if loss == 0:
            return
        for name, index in self._penalties.items():
            ratio = self._norm(terms[index]) / loss
            book.add(gradient_of(name), step, ratio)
            self._found.setdefault(name, []).append(ratio)

    def metrics(self) -> dict[str, float]:
        """Return the mean over each curve's points."""
        return {gradient_of(name): sum(all_) / len(all_) for name, all_ in self._found.items()}

    def state(self) -> dict[str, list[float]]:
        """Return every ratio so far, by penalty."""
        return self._found

    def restore(self, state: dict[str, list[float]]) -> None:
        """Put them back."""
        self._found = state

    def _norm(self, term: Tensor) -> float:
        trained = [parameter for parameter in self._body if parameter.requires_grad]
        if not trained or not term.requires_grad:
            return 0.0
        grads = torch.autograd.grad(term, trained, retain_graph=True, allow_unused=True)
        squares = [g.double().square().sum() for g in grads if g is not None]
        return math.sqrt(float(torch.stack(squares).sum())) if squares else 0.0
