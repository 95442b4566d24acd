"""Fisher information: against autograd per example in float64, and against closed forms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import timm
import torch
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts.measurements import fisher
from bench.parts.measurements.fisher import Fisher, array_name, drawn_labels, squared_gradients
from bench.parts.networks.mlp import MultilayerPerceptron
from bench.parts.objectives.classification import Classification
from bench.parts.objectives.independent_classes import IndependentClasses

CLASSES = 4


def _network(name: str = "mlp", shape: tuple[int, ...] = (5,)) -> Network:
    torch.manual_seed(0)
    if name == "mlp":
        backbone = MultilayerPerceptron(widths=(6, 3), activation="tanh").build(shape)
    else:
        backbone = timm.create_model(name, num_classes=0)
    network = Network(backbone, {"": CLASSES}, name=name).double().eval()
    nn.init.normal_(network.heads[""].weight)
    nn.init.normal_(network.heads[""].bias)
    return network


def _examples(count: int, shape: tuple[int, ...] = (5,)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(CLASSES, (count,), generator=generator)


class Rows:
    """What a measurement works on: one network, and some rows."""

    seed = 3
    dataset = "rows"

    def __init__(
        self,
        network: Network,
        inputs: Tensor,
        targets: Tensor,
        objective: Classification | IndependentClasses | None = None,
    ) -> None:
        self._network, self._inputs, self._targets = network, inputs, targets
        self._objective = objective or Classification()
        self.classes: int | None = CLASSES

    def network(self, role: str) -> Network:
        assert role == "start"
        return self._network

    def batches(
        self, split: str, size: int, *, shuffle: Stream | None = None, limit: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        assert split == "train"
        count = len(self._inputs)
        order = torch.arange(count)
        if shuffle is not None:
            order = torch.from_numpy(shuffle.permutation(count))
        for rows in order[:limit].split(size):
            yield self._inputs[rows], self._targets[rows]

    def scores_of(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return self._objective.scores(outputs.numpy(), targets.numpy())

    def stream(self, *name: object) -> Stream:
        return Stream(len(name) + sum(map(ord, str(name[0]))))


def _by_hand(network: Network, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the sum of squared gradients, one example and one backward pass after the other."""
    names = [name for name, _ in network.named_parameters()]
    sums = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    for row, label in zip(inputs, labels, strict=True):
        likelihood = network(row[None]).logits.log_softmax(dim=1)[0, label]
        found = torch.autograd.grad(likelihood, list(network.parameters()))
        for name, gradient in zip(names, found, strict=True):
            sums[name] += gradient.square()
    return sums


@pytest.mark.parametrize(
    ("name", "shape"), [("mlp", (5,)), ("test_resnet", (3, 32, 32)), ("test_vit", (3, 160, 160))]
)
def test_squared_gradients_are_those_of_one_example_after_the_other(
    name: str, shape: tuple[int, ...]
) -> None:
    network, (inputs, labels) = _network(name, shape), _examples(3, shape)
    found, expected = squared_gradients(network, inputs, labels), _by_hand(network, inputs, labels)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-10, atol=1e-14)


def test_the_empirical_information_is_the_mean_over_the_rows_labels() -> None:
    network, (inputs, labels) = _network(), _examples(7)
    found = Fisher(labels="data", examples=100)(Rows(network, inputs, labels))
    sums = _by_hand(network, inputs, labels)
    for name, value in sums.items():
        expected = (value / 7).float()
        torch.testing.assert_close(found.arrays[array_name(name)], expected, rtol=1e-6, atol=0)
    trace = sum(float(value.sum()) for value in sums.values()) / 7
    assert found.metrics["fisher/trace"] == pytest.approx(trace, rel=1e-9)
    own = sum(float(sums[f"head.{name}"].sum()) for name in ("weight", "bias")) / 7
    assert found.metrics["fisher/head"] == pytest.approx(own / trace, rel=1e-9)


def test_with_labels_of_the_model_it_is_the_information_itself() -> None:
    """Of a softmax of w x the expectation over labels is p (1 − p) x², in closed form."""
    network, (inputs, _) = _network(), _examples(2)
    many = inputs.repeat(20_000, 1)
    found = Fisher(examples=len(many))(Rows(network, many, torch.zeros(len(many)).long()))
    with torch.no_grad():
        output = network(inputs)
    p = output.logits.softmax(dim=1)
    spread = (p * (1 - p)).T
    weight = spread @ output.features.square() / 2
    torch.testing.assert_close(found.arrays["head/weight"].double(), weight, rtol=0.03, atol=1e-4)
    bias = spread.mean(dim=1)
    torch.testing.assert_close(found.arrays["head/bias"].double(), bias, rtol=0.03, atol=1e-4)
    # The labels in the data would give another matrix.
    data = Fisher(labels="data", examples=100)(Rows(network, inputs, torch.tensor([0, 0])))
    assert not torch.allclose(data.arrays["head/bias"].double(), bias, rtol=0.2)


def test_labels_are_drawn_by_the_models_probabilities() -> None:
    network, (inputs, _) = _network(), _examples(1)
    drawn = drawn_labels(network, inputs.repeat(40_000, 1), Stream(5))
    with torch.no_grad():
        p = network(inputs).logits.softmax(dim=1)[0]
    shares = torch.bincount(drawn, minlength=CLASSES) / len(drawn)
    assert torch.allclose(shares.double(), p, atol=4 * 0.5 / 200)


def test_how_many_examples_are_taken_at_a_time_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, (inputs, labels) = _network(), _examples(11)
    whole = Fisher(examples=9)(Rows(network, inputs, labels)).arrays
    monkeypatch.setattr(fisher, "_MOST", 2)
    parts = Fisher(examples=9)(Rows(network, inputs, labels)).arrays
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-6, atol=0)


def test_only_so_many_examples_are_looked_at() -> None:
    network, (inputs, labels) = _network(), _examples(6)
    rows = Rows(network, inputs, labels)
    order = rows.stream("examples", "rows").permutation(6)[:2]
    expected = _by_hand(network, inputs[order], labels[order])["head.bias"] / 2
    found = Fisher(labels="data", examples=2)(rows).arrays["head/bias"]
    torch.testing.assert_close(found, expected.float(), rtol=1e-6, atol=0)


def test_the_heads_own_values_are_kept_beside() -> None:
    network, (inputs, labels) = _network(), _examples(3)
    arrays = Fisher()(Rows(network, inputs, labels)).arrays
    for name, value in network.heads[""].named_parameters():
        assert torch.equal(arrays[f"start/head/{name}"], value)
    names = {name for name, _ in network.backbone.named_parameters()}
    heads = {f"{of}head/{name}" for of in ("", "start/") for name in ("weight", "bias")}
    assert set(arrays) == names | heads


def test_outputs_that_are_no_softmax_are_refused() -> None:
    network, (inputs, labels) = _network(), _examples(3)
    with pytest.raises(UserError, match="softmax"):
        Fisher()(Rows(network, inputs, labels, IndependentClasses()))


def test_numbers_as_targets_are_refused() -> None:
    rows = Rows(_network(), *_examples(3))
    rows.classes = None
    with pytest.raises(UserError, match="probabilities of classes"):
        Fisher()(rows)


def test_answers_that_depend_on_nothing_are_refused() -> None:
    """A head of zero weights and certain of one class: no parameter moves what it answers."""
    network, (inputs, _) = _network(), _examples(3)
    with torch.no_grad():
        network.heads[""].weight.zero_()
        network.heads[""].bias.copy_(torch.tensor([1e3, 0.0, 0.0, 0.0]))
    with pytest.raises(UserError, match="zero in every parameter"):
        Fisher()(Rows(network, inputs, torch.zeros(3).long()))
