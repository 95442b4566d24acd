"""A cell of kind ``channel-attention``: from a job to an outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.data.batches import evaluation_batches
from bench.models.checkpoint import write_tensors
from bench.models.network import Network
from bench.models.weights import load_backbone
from bench.records.layout import PARENT_FILES
from bench.records.record import Artifact, Outcome
from bench.scheduling.job import Job
from bench.spec.cell import AttentionRecipe
from bench.spec.seeds import stream_seed
from bench.training.attention import attention_weights, filter_effects, train_head
from bench.training.cell_data import CellData, load_data
from bench.training.evaluate import named
from bench.training.fine_tune import phases
from bench.training.metrics import split_metrics
from bench.training.provenance import provenance

CHANNEL_WEIGHTS = PARENT_FILES["channel-attention"]


def measure_attention(job: Job) -> Outcome:
    """Measure DELTA's channel weights and write ``channel-weights.safetensors``.

    The images are read without augmentation. The file has one ``(c,)`` tensor a tapped layer,
    under the layer's name. The metrics are those of the trained head on the images it was trained
    on: a check that the attention was supervised by something.

    Raises
    ------
    UserError
        If data or weights cannot be had, or the backbone has no feature maps.
    """
    cell, recipe = job.cell, job.cell.recipe
    assert isinstance(recipe, AttentionRecipe)
    device = torch.device(job.device)
    clock = [time.perf_counter()]
    data = load_data(job, recipe.image)
    clock.append(time.perf_counter())
    parent = job.parents.get("weights")
    loaded = load_backbone(
        cell.backbone, cell.weights, seed=cell.seed, resources=job.resources,
        parent=parent.path if parent else None,
    )  # fmt: skip
    network = Network(loaded.module, data.prepared.classes, name=cell.backbone)
    network = network.to(device).eval()
    taps = network.tap_names
    clock.append(time.perf_counter())
    seed = stream_seed(cell.seed, "attention", cell.dataset)
    metrics = _fit_head(network, data, recipe, seed, device)
    clock.append(time.perf_counter())
    effects = filter_effects(network, taps, _drawn_batches(data, recipe, seed, device))
    weights = {
        tap: attention_weights(value, recipe.settings.temperature) for tap, value in effects.items()
    }
    digest = write_tensors(job.folder / CHANNEL_WEIGHTS, weights)
    clock.append(time.perf_counter())
    return Outcome(
        status="done",
        metrics=named("train", metrics, 0),
        timings=phases(clock),
        provenance=provenance(job, loaded, data.provenance(), device),
        artifacts={"channel-weights": Artifact(CHANNEL_WEIGHTS, digest)},
    )


def _fit_head(
    network: Network, data: CellData, recipe: AttentionRecipe, seed: int, device: torch.device
) -> dict[str, float]:
    batches = evaluation_batches(
        data.prepared.train, indices=data.train, image=recipe.image, crops=1,
        batch_size=recipe.settings.batch_size, device=device,
    )  # fmt: skip
    with torch.no_grad():
        pairs = [(network(images).features, labels) for images, labels in batches]
    features = torch.cat([pair[0] for pair in pairs])
    labels = torch.cat([pair[1] for pair in pairs])
    train_head(network.head, features, labels, recipe.settings, seed)
    with torch.no_grad():
        logits = network.head(features)
    return split_metrics(logits.cpu().numpy(), labels.cpu().numpy())


def _drawn_batches(
    data: CellData, recipe: AttentionRecipe, seed: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    settings = recipe.settings
    drawn = np.random.Generator(np.random.Philox(seed)).permutation(data.train)
    return evaluation_batches(
        data.prepared.train, indices=drawn[: settings.batches * settings.batch_size],
        image=recipe.image, crops=1, batch_size=settings.batch_size, device=device,
    )  # fmt: skip
