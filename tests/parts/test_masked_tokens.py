"""How BERT is pre-trained: what is masked, and the loss beside one written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.streams import Stream
from bench.errors import DataError, UserError
from bench.models.network import NetworkOutput
from bench.parts.kinds import Learning
from bench.parts.objectives.masked_tokens import MaskedTokens

OBJECTIVE = MaskedTokens()
WORDS = torch.from_numpy(np.random.default_rng(0).integers(4, 100, (400, 50)))
WORDS[:, 0], WORDS[:, 30], WORDS[:, 40:] = 1, 2, 0


def test_of_15_percent_of_the_words_8_in_10_are_masked_and_1_in_10_is_another() -> None:
    changed, drawn = OBJECTIVE.masked(WORDS, Stream(5))
    words = WORDS >= 4
    assert not drawn[~words].any()
    assert torch.equal(changed[~drawn], WORDS[~drawn])
    count = int(drawn.sum())
    assert count / int(words.sum()) == pytest.approx(0.15, abs=0.01)
    masked = changed[drawn] == 3
    kept = changed[drawn] == WORDS[drawn]
    assert int(masked.sum()) / count == pytest.approx(0.8, abs=0.025)
    # One in 96 of those that become any word becomes itself.
    assert int(kept.sum()) / count == pytest.approx(0.1 + 0.1 / 96, abs=0.02)
    others = changed[drawn & (changed != 3) & (changed != WORDS)]
    assert others.min() >= 4
    assert len(others.unique()) > 70


def test_masks_are_of_the_stream_alone() -> None:
    first, again, other = (OBJECTIVE.masked(WORDS, Stream(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_at_least_one_token_is_drawn_and_never_one_that_is_no_word() -> None:
    few = torch.tensor([[1, 2, 0, 0], [1, 9, 2, 0]])
    for seed in range(20):
        drawn = MaskedTokens(share=0.001).masked(few, Stream(seed))[1]
        assert drawn.tolist() == [[False] * 4, [False, True, False, False]]
    assert not MaskedTokens().masked(few[:1], Stream(0))[1].any()


def step(tokens: Tensor, targets: Tensor, states: bool = True, seed: int = 3) -> Learning:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(100, 6, generator=generator, dtype=torch.float64)
    head = torch.randn(6, 2, generator=generator, dtype=torch.float64)

    def network(inputs: Tensor) -> NetworkOutput:
        own = table[inputs]
        pooled = own.mean(dim=1)
        return NetworkOutput(pooled, pooled @ head, states=own if states else None)

    modules = OBJECTIVE.modules(6, 2, Stream(2)).double()
    return Learning(tokens, targets, network, modules, Stream(seed), 0.5)


def test_the_loss_is_that_of_the_masked_tokens_and_of_the_classes() -> None:
    tokens, targets = WORDS[:8, :9], torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    given = step(tokens, targets)
    changed, drawn = OBJECTIVE.masked(tokens, Stream(3))
    output = given.network(changed)
    weight, bias = (p.detach().numpy() for p in given.modules.parameters())

    def surprise(outputs: np.ndarray, answer: int) -> float:
        return math.log(np.exp(outputs).sum()) - float(outputs[answer])

    told = [
        surprise(weight @ output.states[row, place].numpy() + bias, int(tokens[row, place]))
        for row, place in drawn.nonzero().tolist()
    ]
    classes = [surprise(output.logits[row].numpy(), int(targets[row])) for row in range(8)]
    assert len(told) > 1
    expected = np.mean(told) + np.mean(classes)
    assert OBJECTIVE.learn(given).item() == pytest.approx(expected, rel=1e-12)


def test_what_it_cannot_learn_of_is_said() -> None:
    targets = torch.tensor([0, 1])
    with pytest.raises(DataError, match="tokens below 100"):
        OBJECTIVE.learn(step(torch.randn(2, 5), targets))
    with pytest.raises(DataError, match="tokens below 100"):
        OBJECTIVE.learn(step(torch.full((2, 5), 100), targets))
    with pytest.raises(UserError, match="each token's state"):
        OBJECTIVE.learn(step(WORDS[:2], targets, states=False))
