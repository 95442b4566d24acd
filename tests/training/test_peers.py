"""Methods that BSS is compared with, in whole cells: paired with others, and children start."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from bench.spec.cell import CHECKPOINT, START
from bench.training.execute import execute
from tests.training.conftest import RECIPE, Build, left, task, use

BI_TUNING = {
    "": task().model_copy(update={"objective": use("bi-tuning", queue=3, projection=4)}),
}
STARTED = f"{CHECKPOINT}@start"
METHODS: dict[str, dict] = {
    "plain": {},
    "stochnorm": {"patches": ["stochastic-normalisation"]},
    "bi-tuning": {"tasks": BI_TUNING},
}


def test_methods_begin_alike_and_one_seed_ends_in_one_state(job: Build, source):
    began, ended = {}, {}
    for name, method in METHODS.items():
        digests = set()
        for attempt in (1, 2):
            work = job(
                RECIPE, weights="stage", parents={START: source}, keep=[STARTED, CHECKPOINT],
                attempt=attempt, **method,
            )  # fmt: skip
            done = execute(work)
            digests.add(done.artifacts[CHECKPOINT].sha256)
        assert len(digests) == 1, name
        began[name], ended[name] = (
            load_file(work.folder / done.artifacts[a].file) for a in (STARTED, CHECKPOINT)
        )
    plain = began["plain"]
    assert set(began["stochnorm"]) == set(plain)
    assert {n for n in began["bi-tuning"] if n not in plain} == {
        "beside..projector.weight", "beside..projector.bias",
    }  # fmt: skip
    for name, state in began.items():
        assert all(state[n].equal(value) for n, value in plain.items()), name
        moved = ended[name]["backbone.conv1.0.weight"]
        assert name == "plain" or not moved.equal(ended["plain"]["backbone.conv1.0.weight"])
        assert all(bool(torch.isfinite(v).all()) for v in ended[name].values())


def test_a_child_without_the_patch_starts_from_a_network_with_it(job: Build, source):
    work = job(
        RECIPE, weights="stage", parents={START: source}, patches=["stochastic-normalisation"],
        keep=[CHECKPOINT],
    )  # fmt: skip
    stage = left(work, execute(work))
    child = job(RECIPE, weights="stage", parents={START: stage}, keep=[STARTED])
    began = load_file(child.folder / execute(child).artifacts[STARTED].file)
    kept = load_file(stage.path)
    assert all(began[n].equal(v) for n, v in kept.items() if n.startswith("backbone."))
