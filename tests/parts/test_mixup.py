"""MixUp's loss against its equation in NumPy, and what it draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import beta, kstest

from bench.data.streams import Stream
from bench.errors import DataError
from bench.models.network import NetworkOutput
from bench.parts.kinds import Learning
from bench.parts.objectives.classification import Classification
from bench.parts.objectives.mixup_classification import MixupClassification

ROWS, CLASSES = 6, 4
TARGETS = torch.tensor([0, 0, 1, 2, 3, 0])
BODY = torch.randn(48, CLASSES, generator=torch.Generator().manual_seed(1))


def network(inputs: torch.Tensor) -> NetworkOutput:
    features = inputs.flatten(1)
    # Not linear, so that a mixture's outputs are no mixture of outputs.
    return NetworkOutput(features, torch.tanh(features @ BODY))


def step(draw: int = 3, inputs: torch.Tensor | None = None) -> Learning:
    given = torch.randn(ROWS, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return Learning(
        given if inputs is None else inputs, TARGETS, network, None, Stream(7, jump=draw), 0.5
    )


@pytest.mark.parametrize("alpha", [0.2, 0.7, 3.0])
def test_the_loss_is_that_of_the_mixed_images_and_of_both_labels(alpha):
    stream = Stream(7, jump=3)
    share = beta.ppf(stream.uniform(1)[0], alpha, alpha)
    others = stream.permutation(ROWS)
    rows = step().inputs.double().numpy().reshape(ROWS, -1)
    mixture = share * rows + (1 - share) * rows[others]
    logs = log_softmax(np.tanh(mixture @ BODY.double().numpy()), axis=1)
    one_hot = np.eye(CLASSES)[TARGETS]
    wanted = share * one_hot + (1 - share) * one_hot[others]
    expected = -(wanted * logs).sum(axis=1).mean()
    assert MixupClassification(alpha=alpha).learn(step()).item() == pytest.approx(expected, 1e-5)


def test_shares_are_of_the_beta_distribution_and_new_at_every_step():
    # Rows of the image are the row's number: of the mixture of 0 and 1 the share can be read.
    shares = []

    def seen(inputs):
        shares.append(float(inputs[0]))
        return NetworkOutput(inputs, torch.zeros(2, CLASSES))

    numbers = torch.tensor([[1.0], [0.0]])
    for draw in range(400):
        stream = Stream(2, jump=draw)
        learning = Learning(numbers, TARGETS[:2], seen, None, stream, 0.0)
        MixupClassification(alpha=0.7).learn(learning)
    mixed = np.array([share for share in shares if share != 1.0])
    # Half of the orders of two rows are the identity, which mixes a row with itself.
    assert 150 < len(mixed) < 250
    assert kstest(mixed, beta(0.7, 0.7).cdf).pvalue > 0.01


def test_images_that_are_scored_are_not_mixed():
    outputs = np.random.default_rng(0).normal(size=(9, CLASSES))
    targets = np.arange(9) % CLASSES
    assert MixupClassification().scores(outputs, targets) == Classification().scores(
        outputs, targets
    )


def test_tokens_are_refused():
    with pytest.raises(DataError, match="tokens"):
        MixupClassification().learn(step(inputs=torch.zeros(ROWS, 5, dtype=torch.int64)))
