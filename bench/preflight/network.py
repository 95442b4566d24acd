"""In a worker: does a backbone take its weights and its images?"""

from __future__ import annotations

import torch

from bench.errors import WeightsError
from bench.models.weights import load_backbone
from bench.preflight.check import PARAMETERS
from bench.records.record import Outcome
from bench.scheduling.job import Job
from bench.spec.recipe import Image
from bench.spec.work import Train


def look(job: Job) -> Outcome:
    """Load the backbone of a training cell as the cell will, and show it one black image.

    What a stage leaves is not there yet: random weights stand for it.

    Returns
    -------
    Outcome
        Done, with how many numbers the backbone has, ``parameters``.

    Raises
    ------
    UserError
        If there is no such backbone, its weights cannot be had, or it takes no images of the size.
    """
    work = job.cell.work
    assert isinstance(work, Train)
    assert isinstance(work.network, str)
    weights = "random" if work.weights == "stage" else work.weights
    loaded = load_backbone(work.network, weights, seed=0, resources=job.resources)
    image = next(iter(work.tasks.values())).image or work.recipe.image
    size = (image or Image()).size
    with torch.inference_mode():
        try:
            loaded.module.eval()(torch.zeros(1, 3, size, size))
        except Exception as error:
            raise WeightsError(
                f"takes no images of {size} pixels: {str(error).splitlines()[0]}",
                field="recipe.image.size",
                remedy="take images of the size that it was made for, or another backbone",
            ) from error
    numbers = sum(parameter.numel() for parameter in loaded.module.parameters())
    return Outcome("done", metrics={PARAMETERS: float(numbers)})
