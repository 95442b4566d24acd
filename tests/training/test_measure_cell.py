from __future__ import annotations

import dataclasses

import torch
from safetensors.torch import load_file

from bench.scheduling.job import Job
from bench.spec.cell import Cell
from bench.training.execute import execute


def test_the_file_has_a_weight_for_each_channel_of_each_tapped_layer(attention_job: Job) -> None:
    outcome = execute(attention_job)
    artifact = outcome.artifacts["arrays"]
    weights = load_file(attention_job.folder / artifact.file)
    assert {name: len(w) for name, w in weights.items()} == {
        "layer1.0.conv2": 32, "layer2.0.conv2": 48, "layer3.0.conv3": 192, "layer4.0.conv2": 96,
    }  # fmt: skip
    for value in weights.values():
        torch.testing.assert_close(value.sum(), torch.tensor(1.0))
    assert outcome.status == "done"
    assert set(outcome.metrics) == {
        f"train/{name}" for name in ("top1", "top5", "mean_class_accuracy", "loss")
    }
    assert outcome.provenance.data["train_images"] == 30
    assert set(outcome.timings) == {"data_s", "measure_s", "total_s"}


def test_it_is_the_same_again_and_other_at_another_seed(attention_job: Job) -> None:
    first = execute(attention_job).artifacts["arrays"].sha256
    assert execute(attention_job).artifacts["arrays"].sha256 == first
    cell = attention_job.cell
    other = Cell(cell.work, 1, cell.parents)
    again = execute(dataclasses.replace(attention_job, cell=other))
    assert again.artifacts["arrays"].sha256 != first
