"""BSS's Table 4: what its cells are in the paper's protocol and on the grammar."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.spec.catalogue import entry, names
from bench.spec.cell import Cell
from bench.spec.paper import load_reported
from bench.spec.plan import Plan, load_plan
from bench.spec.reported import check_reported
from bench.spec.work import Measure, Train

FOLDER = Path(__file__).parents[2] / "suites" / "bss"


def planned(profile: str) -> Plan:
    return load_plan(FOLDER / "table4.yaml", profile)


def work(cell: Cell) -> Train:
    assert isinstance(cell.work, Train)
    return cell.work


def test_each_task_is_learnt_for_three_epochs_with_a_tenth_of_warm_up() -> None:
    plan = planned("paper")
    assert len(plan.cells) == 4 * 2 * 5
    for cell in (p.cell for p in plan.cells):
        recipe = work(cell).recipe
        rows = entry(cell.dataset).rows.train
        assert rows is not None
        assert recipe.batch_size == 32
        assert recipe.steps == 3 * rows // 32
        assert recipe.schedule.linear is not None
        assert recipe.schedule.linear.warmup == recipe.steps // 10
        assert recipe.image is None
        (task,) = work(cell).tasks.values()
        assert task.sampling_rate == 1.0


def test_the_paper_prints_a_score_of_every_place() -> None:
    reported = load_reported(FOLDER)
    assert reported is not None
    check_reported(planned("paper"), reported)
    (table,) = [t for t in reported.tables if t.suite == "table4"]
    places = {tuple(sorted(e.where.items())) for e in table.entries}
    cells = {tuple((a, p.labels[a]) for a in ("dataset", "method")) for p in planned("paper").cells}
    assert places == cells


@pytest.mark.parametrize("profile", ["paper", "offline"])
def test_methods_differ_by_the_penalty_alone(profile: str) -> None:
    for cell in (p.cell for p in planned(profile).shown):
        penalties = [use.name for use in work(cell).penalties]
        assert penalties in ([], ["bss"])
    works = {p.labels["method"]: 0 for p in planned(profile).shown}
    assert works.keys() == {"bert", "bert+bss"}


def test_offline_one_network_pre_trained_on_sentences_serves_all_seeds() -> None:
    plan = planned("offline")
    (stage,) = plan.behind
    (task,) = work(stage.cell).tasks.values()
    assert (task.dataset, task.objective.name) == ("grammar-text", "masked-tokens")
    assert len(plan.shown) == 2 * 3 * 2 * 10


def test_offline_20_to_100_examples_are_learnt_from() -> None:
    for cell in (p.cell for p in planned("offline").shown):
        (task,) = work(cell).tasks.values()
        known = entry(task.dataset)
        assert known.rows.train is not None
        assert 20 <= task.sampling_rate * known.rows.train <= 100


@pytest.mark.parametrize("profile", ["smoke", "offline"])
def test_the_networks_whose_features_are_looked_at_are_those_of_the_table(profile: str) -> None:
    table = {p.cell.id for p in planned(profile).cells}
    pooled = load_plan(FOLDER / "pooled.yaml", profile)
    networks = {p.cell.id for p in pooled.behind}
    begun_random = {p.cell.id for p in planned(profile).shown if p.labels["weights"] == "random"}
    assert networks == table - begun_random
    for cell in (p.cell for p in pooled.shown):
        assert isinstance(cell.work, Measure)
        # As many rows as a training batch of these networks has.
        assert cell.work.measurement.settings["batch_size"] == 16


SUITE = """
title: Words
networks: {small: {bert: {}}}
axes:
  backbone: BACKBONE
  weights: "WEIGHTS"
  dataset: grammar-pair
  sampling_rate: 1.0
  method: plain
  seed: 1
recipe: {steps: 2, batch_size: 8}
methods: {plain: {}}
profiles: {offline: {}}
"""


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("small", "hf:a/b@main", "there are no weights"),
        ("small", "hf:a/b", "there are no weights"),
        ("test_resnet", "hf:a/b@" + "0" * 40, "timm's networks take images|is timm's"),
    ],
)
def test_weights_of_the_hub_are_pinned_and_of_a_network_part(
    tmp_path: Path, backbone: str, weights: str, message: str
) -> None:
    (tmp_path / "paper.yaml").write_text("id: words\ntitle: Words\n")
    file = tmp_path / "table.yaml"
    file.write_text(SUITE.replace("BACKBONE", backbone).replace("WEIGHTS", weights))
    with pytest.raises(SpecError, match=message):
        load_plan(file, "offline")


def test_a_pinned_name_of_the_hub_is_part_of_the_cell(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text("id: words\ntitle: Words\n")
    file = tmp_path / "table.yaml"
    weights = "hf:google-bert/bert-base-uncased@" + "8" * 40
    file.write_text(SUITE.replace("BACKBONE", "small").replace("WEIGHTS", weights))
    (place,) = load_plan(file, "offline").cells
    assert work(place.cell).weights == weights


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "takes the token 2 for separator, and in glue-mrpc it is 102"),
        ({"separator": 102, "padding": 1}, "takes the token 1 for padding, and in glue-mrpc it is"),
    ],
)
def test_a_network_that_takes_other_tokens_than_the_tokenizers_is_refused(
    tmp_path: Path, settings: dict[str, int], message: str
) -> None:
    (tmp_path / "paper.yaml").write_text("id: words\ntitle: Words\n")
    file = tmp_path / "table.yaml"
    suite = SUITE.replace("BACKBONE", "small").replace("WEIGHTS", "random")
    suite = suite.replace("bert: {}", f"bert: {settings}").replace("grammar-pair", "glue-mrpc")
    file.write_text(suite)
    with pytest.raises(SpecError, match=message):
        load_plan(file, "offline")


@pytest.mark.parametrize(
    ("dataset", "settings", "message"),
    [
        ("grammar-pair", {"share": 1.5}, "share: is a share of the words"),
        ("grammar-pair", {"mask": 100}, r"mask: is a token of 100 \(given: 100\)"),
        ("grammar-pair", {"first": 200}, r"first: is a token of 100 \(given: 200\)"),
        ("grammar-pair", {"mask": 50}, "the token 50 for the masked one, and in .* it is 3"),
        ("glue-mrpc", {"vocabulary": 30522}, "3 for the masked one, and in glue-mrpc it is 103"),
        ("glue-mrpc", {"vocabulary": 30522, "mask": 103},
         "the token 4 for the first word, and in glue-mrpc it is 999"),
        ("grammar-pair", {}, None),
        ("glue-mrpc", {"vocabulary": 30522, "mask": 103, "first": 999}, None),
    ],
)  # fmt: skip
def test_what_is_masked_are_words_and_by_the_token_for_it(
    tmp_path: Path, dataset: str, settings: dict[str, float], message: str | None
) -> None:
    (tmp_path / "paper.yaml").write_text("id: words\ntitle: Words\n")
    file = tmp_path / "table.yaml"
    suite = SUITE.replace("BACKBONE", "small").replace("WEIGHTS", "random")
    suite = suite.replace("bert: {}", "bert: {separator: 102}" if "glue" in dataset else "bert: {}")
    objective = f"task: {{objective: {{masked-tokens: {settings}}}}}\nrecipe:"
    file.write_text(suite.replace("grammar-pair", dataset).replace("recipe:", objective))
    if message is None:
        assert load_plan(file, "offline").cells
        return
    with pytest.raises(SpecError, match=message) as raised:
        load_plan(file, "offline")
    assert raised.value.field is not None
    assert raised.value.field.startswith("task.objective")


def test_the_catalogue_knows_the_words_of_all_sets_of_tokens() -> None:
    tokens = [entry(name) for name in names() if entry(name).modality == "tokens"]
    assert tokens
    assert all(known.masking is not None for known in tokens)
