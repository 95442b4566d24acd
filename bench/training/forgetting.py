"""What is left of the source task: its test split, the adapted features, its own detached head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.data.batches import evaluation_batches
from bench.data.prepare import prepare
from bench.errors import WeightsError
from bench.models.checkpoint import load_checkpoint
from bench.models.network import Network
from bench.scheduling.job import Job
from bench.spec.recipe import Recipe
from bench.training.evaluate import evaluate, named


class Source:
    """The task that a cell was adapted from.

    It is that of the cell whose checkpoint this one starts from: its dataset, its image size,
    and the head it was trained with, which stays as it was (Varno et al. 2020, section 6.2.1).

    Raises
    ------
    WeightsError
        If the cell starts from no other cell.
    DataError
        If the source's dataset cannot be had.
    """

    def __init__(self, job: Job, device: torch.device) -> None:
        parent = job.parents.get("weights")
        if parent is None or not isinstance(parent.cell.recipe, Recipe):
            raise WeightsError(
                "forgetting is measured on the task of the stage that a cell starts from, and "
                "this cell starts from none",
                field="recipe.forgetting",
                remedy="use weights: stage:NAME, or forgetting: false",
            )
        assert isinstance(job.cell.recipe, Recipe)
        self._ours, self._theirs = job.cell.recipe, parent.cell.recipe
        self._device = device
        self._prepared = prepare(parent.cell.dataset, self._theirs.image, job.resources)
        self._head = _detached_head(load_checkpoint(parent.path).head, device)

    def score(self, network: Network, step: int) -> dict[str, float]:
        """Return the metrics on the source's test split, as ``source/NAME``.

        Raises
        ------
        NotANumber
            If one is not finite.
        """
        batches = evaluation_batches(
            self._prepared.test,
            image=self._theirs.image,
            crops=self._theirs.evaluation.crops,
            batch_size=self._theirs.evaluation.batch_size,
            device=self._device,
            channels_last=self._ours.channels_last,
        )
        metrics = evaluate(network, batches, precision=self._ours.precision, head=self._head)
        return named("source", metrics, step)

    def provenance(self) -> dict[str, str]:
        """Return the name of the source's dataset and its digest, for the record."""
        return {"source": self._prepared.name, "source_dataset": self._prepared.digest}


def _detached_head(state: Mapping[str, Tensor], device: torch.device) -> nn.Linear:
    classes, features = state["weight"].shape
    head = nn.Linear(features, classes, bias="bias" in state, device="meta").to_empty(device="cpu")
    head.load_state_dict(state)
    return head.requires_grad_(False).to(device)
