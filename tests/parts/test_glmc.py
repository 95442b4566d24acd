"""GLMC's loss against its equations in NumPy, its mixtures, and what it trains beside the head."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.streams import Stream
from bench.errors import DataError
from bench.models.network import NetworkOutput
from bench.parts.kinds import Drawn, Learning
from bench.parts.objectives.glmc import GLMC, cut_box, mixed, pasted

ROWS, CLASSES, WIDTH = 6, 4, 5
TARGETS = torch.tensor([0, 0, 1, 2, 3, 0])
COUNTS = (80, 40, 9, 0)


def case(progress: float = 0.5, **settings: object):
    """Return the loss of one step, and all that it is made of."""
    torch.manual_seed(0)
    glmc = GLMC(projection=3, **settings).drawn(Drawn((90, 50, 12, 7), COUNTS))
    modules = glmc.modules(WIDTH, CLASSES, Stream(1))
    body, head = torch.randn(48, WIDTH), torch.randn(WIDTH, CLASSES)
    inputs = torch.randn(2, ROWS, 3, 4, 4)

    def network(images: torch.Tensor) -> NetworkOutput:
        features = images.flatten(1) @ body
        return NetworkOutput(features, features @ head)

    step = Learning(inputs, TARGETS, network, modules, Stream(7, jump=3), progress)
    return glmc, step, network


def log_softmax(outputs: np.ndarray) -> np.ndarray:
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def by_hand(step: Learning, network, progress: float, consistency: float, rebalancing: float):
    """The equations of Du et al. 2023, with the weights and λ of their code, in float64."""
    draws = Stream(7, jump=3).uniform(3 + ROWS)
    share, others = draws[0], np.floor(draws[3:] * ROWS).astype(int)
    images = step.inputs.numpy().astype(np.float64)
    mixture = share * images[0] + (1 - share) * images[0][others]
    cut = images[1].copy()
    side = int(np.ceil(4 * np.sqrt(1 - share)))
    spans = [(int(4 * at) - side // 2, int(4 * at) + side // 2) for at in draws[1:3]]
    (top, bottom), (left, right) = (np.clip(span, 0, 4) for span in spans)
    cut[:, :, top:bottom, left:right] = images[1][others][:, :, top:bottom, left:right]
    one_hot = np.eye(CLASSES)[TARGETS]
    wanted = share * one_hot + (1 - share) * one_hot[others]
    weights = np.array([n**-rebalancing if n else 0.0 for n in COUNTS])
    weights *= 3 / weights.sum()
    state = {n: p.detach().numpy().astype(np.float64) for n, p in step.modules.named_parameters()}
    loss, z, p = 0.0, [], []
    for view in (mixture, cut):
        given = network(torch.from_numpy(view).float())
        features, outputs = given.features.double().numpy(), given.logits.double().numpy()
        plain = features @ state["plain.weight"].T + state["plain.bias"]
        loss -= (1 - progress**2) * (log_softmax(plain) * wanted).sum(axis=1).mean()
        loss -= progress**2 * (log_softmax(outputs) * wanted * weights).sum(axis=1).mean()
        z.append(features @ state["projector.weight"].T + state["projector.bias"])
        p.append(z[-1] @ state["predictor.weight"].T + state["predictor.bias"])
    for one, other in ((p[0], z[1]), (p[1], z[0])):
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        loss -= consistency * ((one * other).sum(axis=1) / norms).mean()
    return loss


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(("consistency", "rebalancing"), [(10.0, 1.2), (0.0, 1.0), (2.0, 0.0)])
def test_the_loss_is_that_of_its_equations(progress, consistency, rebalancing):
    glmc, step, network = case(progress, consistency=consistency, rebalancing=rebalancing)
    found = glmc.learn(step).item()
    assert found == pytest.approx(
        by_hand(step, network, progress, consistency, rebalancing), rel=1e-5
    )


def test_no_gradient_reaches_the_representation_that_is_predicted():
    glmc, step, _ = case(0.0, consistency=1.0)
    kept = {}

    def network(images: torch.Tensor) -> NetworkOutput:
        features = images.flatten(1)[:, :WIDTH].clone().requires_grad_()
        kept[len(kept)] = features
        return NetworkOutput(features, features[:, :CLASSES])

    step = Learning(step.inputs, TARGETS, network, step.modules, Stream(7), 0.0)
    glmc.learn(step).backward()
    modules, (first, second) = step.modules, (kept[0], kept[1])
    with torch.no_grad():
        z = [modules["projector"](each) for each in (first, second)]
    again = [each.detach().clone().requires_grad_() for each in (first, second)]
    p = [modules["predictor"](modules["projector"](each)) for each in again]
    cosine = torch.nn.functional.cosine_similarity
    alike = cosine(p[0], z[1], dim=1).mean() + cosine(p[1], z[0], dim=1).mean()
    (-alike).backward()
    # What is left of the gradient is the plain head's cross-entropy, which knows no other view.
    plain = [each.detach().clone().requires_grad_() for each in (first, second)]
    draws = Stream(7).uniform(3 + ROWS)
    others = np.floor(draws[3:] * ROWS).astype(int)
    hot = torch.eye(CLASSES)[TARGETS]
    wanted = draws[0] * hot + (1 - draws[0]) * hot[others]
    for each in plain:
        logs = torch.log_softmax(modules["plain"](each), dim=1)
        (-(logs * wanted).sum(dim=1).mean()).backward()
    for whole, one, other in zip((first, second), again, plain, strict=True):
        torch.testing.assert_close(whole.grad, one.grad + other.grad, rtol=1e-4, atol=1e-6)


def test_rare_classes_are_mixed_in_more_often_where_that_is_asked_for():
    targets = np.repeat([0, 1], 50)
    draws = Stream(0).uniform(4000)
    plain = GLMC().drawn(Drawn((90, 10), (90, 10)))._others(targets, draws)
    assert (plain == np.floor(draws * 100).astype(int)).mean() > 0.999
    rare = GLMC(resampling=1.0).drawn(Drawn((90, 10), (90, 10)))._others(targets, draws)
    # Weights 1/90 and 1/10 for as many rows each.
    assert (targets[rare] == 1).mean() == pytest.approx(0.9, abs=0.02)


def test_mixtures_are_those_of_their_papers():
    images, others = torch.zeros(2, 3, 8, 6), torch.ones(2, 3, 8, 6)
    assert mixed(images, others, 0.25).unique().tolist() == [0.75]
    # λ = 3/4: sides of half the image, 4 by 3, of which the odd one loses a pixel.
    box = cut_box(0.75, (8, 6), np.array([0.5, 0.5]))
    assert box == (2, 6, 2, 4)
    assert pasted(images, others, box)[0, 0].sum() == 8
    assert images.sum() == 0
    assert cut_box(0.75, (8, 6), np.array([0.0, 0.99])) == (0, 2, 4, 6)
    assert cut_box(1.0, (8, 6), np.array([0.5, 0.5])) == (4, 4, 3, 3)
    assert cut_box(0.0, (8, 6), np.array([0.5, 0.5])) == (0, 8, 0, 6)


def test_rows_that_are_no_images_are_refused():
    glmc, step, network = case()
    rows = Learning(torch.zeros(2, 6, 8), TARGETS, network, step.modules, Stream(0), 0.0)
    with pytest.raises(DataError, match=r"glmc cuts and pastes images, and the inputs are \(8,\)"):
        glmc.learn(rows)
