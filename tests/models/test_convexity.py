"""What a linear layer cannot tell apart (Mudrakarta et al. 2018, Appendix A)."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.models.head import zero_head


def drawn_head(seed: int, features: int, classes: int) -> tuple[torch.nn.Linear, torch.Tensor]:
    """Return the head that networks have, filled at random, and 200 embeddings; float64."""
    rng = np.random.default_rng(seed)
    head = zero_head(features, classes).double()
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(rng.normal(size=(classes, features))))
        head.bias.copy_(torch.from_numpy(rng.normal(size=classes)))
    return head, torch.from_numpy(3 * rng.normal(size=(200, features)))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 5))
def test_a_linear_layer_keeps_the_class_of_convex_combinations(
    seed: int, features: int, classes: int
) -> None:
    head, embeddings = drawn_head(seed, features, classes)
    between = torch.linspace(0, 1, 21, dtype=torch.float64)[:, None, None]
    with torch.no_grad():
        classes_of = head(embeddings).argmax(dim=1)
        first, second = _pairs_of_one_class(classes_of)
        path = between * embeddings[first] + (1 - between) * embeddings[second]
        logits = head(path)
    kept = logits.gather(2, classes_of[first].expand(len(between), -1)[..., None])[..., 0]
    # The class's output is the largest all along the way, up to rounding.
    assert (kept >= logits.amax(dim=2) - 1e-9).all()


def test_a_layer_that_is_not_linear_does_not() -> None:
    head, embeddings = drawn_head(0, 2, 3)
    with torch.no_grad():
        classes_of = head(embeddings.abs()).argmax(dim=1)
        first, second = _pairs_of_one_class(classes_of)
        middle = head(((embeddings[first] + embeddings[second]) / 2).abs()).argmax(dim=1)
    assert (middle != classes_of[first]).any()


def _pairs_of_one_class(classes_of: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.nonzero(torch.triu(classes_of[:, None] == classes_of, 1), as_tuple=True)
    return first, second
