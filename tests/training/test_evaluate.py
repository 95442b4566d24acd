from __future__ import annotations

import pytest
import torch

from bench.parts.objectives.classification import Classification
from bench.training import evaluate as evaluation
from bench.training.evaluate import evaluate, named, predict
from bench.training.finite import NotANumber
from tests.training.conftest import ToyBatches, toy_network

TOP1 = Classification()


def test_a_split_is_scored_as_a_whole_in_evaluation_mode() -> None:
    network = toy_network().train()
    batches = [ToyBatches().batch(step) for step in range(3)]
    images = torch.cat([batch[0] for batch in batches])
    labels = torch.cat([batch[1] for batch in batches])
    metrics = evaluate(network, [*batches[:2], (batches[2][0][:5], batches[2][1][:5])], TOP1)
    with torch.no_grad():
        logits = toy_network().eval()(images[:17]).logits
    expected = TOP1.scores(logits.numpy(), labels[:17].numpy())
    assert metrics == pytest.approx(expected)


def test_modes_and_statistics_are_left_as_they_were() -> None:
    network = toy_network().train()
    network.backbone.norm.eval()
    evaluate(network, [ToyBatches().batch(0)], TOP1)
    assert network.backbone.conv.training
    assert not network.backbone.norm.training
    assert network.backbone.norm.num_batches_tracked == 0


def test_ten_crops_predict_by_the_sum_of_their_logits() -> None:
    network = toy_network().eval()
    generator = torch.Generator().manual_seed(0)
    crops = torch.randn(40, 10, 3, 8, 8, generator=generator)
    labels = torch.arange(40) % 3
    metrics = evaluate(network, [(crops, labels)], TOP1)
    with torch.no_grad():
        total = sum(network(crops[:, i]).logits for i in range(10))
    assert metrics["top1"] == (total.argmax(1) == labels).sum().item() / 40
    assert metrics["loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(total / 10, labels).item()
    )


def test_metrics_carry_their_split_and_must_be_finite() -> None:
    assert named("test", {"top1": 0.5}, 9) == {"test/top1": 0.5}
    with pytest.raises(NotANumber, match="test/loss became nan at step 9"):
        named("test", {"loss": float("nan")}, 9)


@pytest.mark.parametrize(("limit", "fetches"), [(2**28, 1), (0, 3)])
def test_outputs_that_stay_on_a_device_have_the_same_bits(
    limit: int, fetches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [ToyBatches().batch(step) for step in range(3)]
    expected = predict(toy_network(), batches)
    monkeypatch.setattr(evaluation, "_KEPT_ON", frozenset({"cpu"}))
    monkeypatch.setattr(evaluation, "_FETCH_BYTES", limit)
    seen: list[int] = []
    real = evaluation._Fetched.fetch

    def fetch(self: evaluation._Fetched) -> None:
        seen.extend([1] if self._waiting else [])
        real(self)

    monkeypatch.setattr(evaluation._Fetched, "fetch", fetch)
    found = predict(toy_network(), batches)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not any(tensor.is_inference() for tensor in found)
    # Outputs and targets each.
    assert len(seen) == 2 * fetches
