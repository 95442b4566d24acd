"""Two steps of the real training loop with one penalty, on random images."""

from __future__ import annotations

import torch
from bench.methods.part import Penalty
from torch import Tensor

from bench.models.checkpoint import state_sha256
from bench.models.network import Network
from bench.models.weights import load_backbone
from bench.spec.cell import Resources
from bench.spec.recipe import SGD, HeadInit, Kaiming, Optimizer, Recipe

_BACKBONE = "test_resnet"
_CLASSES = 3
_IMAGES = 4


class _RandomBatches:
    """The batch of a step, from the step's number alone."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(_IMAGES, 3, 64, 64, generator=generator)
        return images, torch.arange(_IMAGES) % _CLASSES


def smoke_run(name: str, penalty: Penalty) -> str:
    """Train a small network for two steps and return the digest of its state.

    Raises
    ------
    NotANumber
        If a term of the loss is not finite.
    """
    # Training imports methods; the loop is needed only here.
    from bench.training.objective import Objective

    from bench.training.curves import CurveBook
    from bench.training.head import initialise_head
    from bench.training.loop import train

    recipe = Recipe(steps=2, batch_size=_IMAGES, optimizer=Optimizer(sgd=SGD(lr=0.01)))
    loaded = load_backbone(_BACKBONE, "random", seed=0, resources=Resources())
    network = Network(loaded.module, _CLASSES, name=_BACKBONE)
    initialise_head(network.head, HeadInit(kaiming=Kaiming()), seed=0)
    weights = _even_weights(network) if "channel_attention" in penalty.needs else {}
    objective = Objective(network, {name: penalty}, channel_weights=weights)
    train(network, objective, recipe, _RandomBatches(), CurveBook())
    return state_sha256(network.state_dict())


def _even_weights(network: Network) -> dict[str, Tensor]:
    with torch.no_grad():
        maps = network.eval()(torch.zeros(1, 3, 64, 64), network.tap_names).maps
    return {name: torch.full((m.shape[1],), 1 / m.shape[1]) for name, m in maps.items()}
