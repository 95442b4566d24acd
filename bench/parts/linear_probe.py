"""A linear probe: a head fitted to the features that a network has of the training rows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.kinds import Measuring

_BATCH = 200
# Times half the squared norm of the weights of standardised features, beside the mean loss.
_DECAY = 1e-3
_ITERATIONS = 200


def probe(measuring: Measuring, network: Network) -> None:
    """Give a network the head that fits its features of all training rows, without augmentation.

    Raises
    ------
    UserError
        If targets are no classes.
    """
    head = measuring.new_head(network)
    features, labels = [], []
    with torch.no_grad():
        for inputs, targets in measuring.batches("train", _BATCH):
            features.append(network(inputs).features.double())
            labels.append(targets)
    rows, classes = torch.cat(features), torch.cat(labels)
    if classes.is_floating_point() or classes.ndim != 1:
        raise UserError(
            "a linear probe tells classes apart, and these targets are none",
            field="measure.part.linear-path.head",
            remedy="use head: interpolated, first or second",
        )
    weight, bias = logistic_regression(rows, classes, head.out_features)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)


def logistic_regression(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the weights ``(classes, d)`` and biases of multinomial logistic regression, float64.

    The mean cross-entropy plus 0.0005 ‖W‖², of features ``(n, d)`` that are standardised first
    (one that does not vary is left out); biases are not decayed. The minimum is unique up to a
    constant in the biases, so that nothing is drawn at random.
    """
    centre, spread = features.mean(dim=0), features.std(dim=0, correction=0)
    scale = torch.where(spread > 0, 1.0 / spread, torch.zeros_like(spread))
    rows = (features - centre) * scale
    weight = torch.zeros(classes, rows.shape[1], dtype=rows.dtype, device=rows.device)
    bias = torch.zeros(classes, dtype=rows.dtype, device=rows.device)
    fitted = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(
        fitted, max_iter=_ITERATIONS, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(rows @ weight.T + bias, labels) + _DECAY / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    own = weight.detach() * scale
    return own, bias.detach() - own @ centre
