"""What is brought is what the cells of a plan load, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from bench.cli.fetch import command
from bench.errors import DataError, UserError
from bench.fetching.needs import Need, needs
from bench.fetching.splits import files_of_splits
from bench.spec.cell import Resources
from bench.spec.plan import load_plan

SUITES = Path(__file__).parents[2] / "suites"


def test_a_plan_needs_its_sets_splits_and_its_backbones_file() -> None:
    plan = load_plan(SUITES / "modelpatch" / "table5.yaml", "paper")
    cells = [planned.cell for planned in plan.cells]
    found, elsewhere = needs([(cells, plan.resources)])
    assert elsewhere == []
    by_name = {need.what: need for need in found}
    assert by_name["fgvc-aircraft"].splits == ("train", "validation", "test")
    assert by_name["fgvc-aircraft"].revision == "e18a7c97147c90dc7f4a60d74a7f4258e9264e97"
    weights = by_name["mobilenetv2_100.ra_in1k"]
    assert (weights.repository, weights.revision) == ("timm/mobilenetv2_100.ra_in1k", None)
    assert weights.files == ("model.safetensors",)
    assert len(found) == len(by_name)
    # What the user has himself is not fetched.
    own = Resources(folders={"fgvc-aircraft": "/mine"})
    assert "fgvc-aircraft" not in {need.what for need in needs([(cells, own)])[0]}


def test_text_needs_its_tokenizer_and_only_its_configuration() -> None:
    plan = load_plan(SUITES / "bss" / "table4.yaml", "paper")
    cells = [planned.cell for planned in plan.cells]
    found, _ = needs([(cells, plan.resources)])
    assert {need.config for need in found if need.repository == "nyu-mll/glue"} >= {"mnli", "mrpc"}
    tokenizers = [need for need in found if "vocab.txt" in need.files]
    assert {need.repository for need in tokenizers} == {"google-bert/bert-base-uncased"}


def test_the_splits_files_are_told_by_their_names(tmp_path: Path) -> None:
    need = Need("dataset", "some/set", None, "set", config="two", splits=("train", "test"))
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: one\n  data_files:\n  - {split: train, path: one/train-*}\n"
        "- config_name: two\n  data_files:\n"
        "  - {split: train, path: two/train-*}\n"
        "  - {split: other, path: two/other-*}\n"
        "  - {split: test, path: two/test-*}\n---\n"
    )
    names = [
        f"{config}/{split}-0000{shard}-of-00002.parquet"
        for config in ("one", "two")
        for split in ("train", "other", "test")
        for shard in range(2)
    ]
    found = files_of_splits(need, tmp_path, ["README.md", *names])
    assert found == {
        split: (f"two/{split}-00000-of-00002.parquet", f"two/{split}-00001-of-00002.parquet")
        for split in ("train", "test")
    }
    with pytest.raises(DataError, match=r"has no split validation; it has train, other, test"):
        files_of_splits(
            Need("dataset", "some/set", None, "set", config="two", splits=("validation",)),
            tmp_path,
            names,
        )


def test_nothing_is_fetched_while_the_network_is_switched_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE: the network is switched off"):
        command.main(["bss/table2"], standalone_mode=False)


def test_a_suite_that_needs_nothing_of_the_hub_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    command.main(["bss/table2", "--only", "seed=0"], standalone_mode=False)
    assert "nothing of the Hub is needed" in capsys.readouterr().out
