"""Text of the Hub: real loading and real tokenizers, of repositories laid out locally."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import yaml

from bench.data import identity
from bench.data.prepare import prepare
from bench.data.sources import text
from bench.errors import DataError
from bench.spec import catalogue
from bench.spec.catalogue import DatasetEntry
from bench.spec.cell import Resources

PIN, OTHER = "c" * 40, "d" * 40
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "a", "dog", "barks", "cat", "sl", "##eeps"]
FIRST = ["A dog barks", "a cat", "cat barks barks barks barks"]
SECOND = ["dog", "A cat sleeps", "a dog"]
# By hand, of length 8: the longer of a pair is cut first, from its end.
PAIRS = [[1, 5, 6, 7, 2, 6, 2, 0], [1, 5, 8, 2, 5, 8, 9, 2], [1, 8, 7, 7, 2, 5, 6, 2]]
SINGLES = [[1, 5, 6, 7, 2, 0, 0, 0], [1, 5, 8, 2, 0, 0, 0, 0], [1, 8, 7, 7, 7, 7, 2, 0]]
TOKENIZER = {
    "hub": "nobody/words", "revision": PIN, "length": 8, "padding": 0, "separator": 2,
}  # fmt: skip
UNCUT = [
    [1, 5, 6, 7, 2, 6, 2],
    [1, 5, 8, 2, 5, 8, 9, 10, 2],
    [1, 8, 7, 7, 7, 7, 2, 5, 6, 2],
]


@pytest.fixture(autouse=True)
def quiet_home(tmp_path, monkeypatch):
    """No network; caches in the test's own folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf-hub"))
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "retable"))
    datasets.disable_progress_bars()


def lay_tokenizer(home: Path, hub: str, revision: str, words: list[str]) -> None:
    """Lay out a tokenizer of BERT's kind as `hf download` leaves it."""
    pytest.importorskip("transformers")
    folder = home / f"models--{hub.replace('/', '--')}" / "snapshots" / revision
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))


@pytest.fixture
def tokenizer(tmp_path):
    lay_tokenizer(tmp_path / "hf-hub", "nobody/words", PIN, WORDS)


def table(labels: list[int], **columns: list[str]) -> datasets.Dataset:
    kinds = {name: datasets.Value("string") for name in columns}
    return datasets.Dataset.from_dict(
        {**columns, "label": labels},
        features=datasets.Features({**kinds, "label": datasets.ClassLabel(names=["no", "yes"])}),
    )


def repository(folder: Path, train: datasets.Dataset, test: datasets.Dataset) -> Path:
    (folder / "data").mkdir(parents=True)
    for name, rows in (("train", train), ("test", test)):
        rows.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.fixture
def toy(tmp_path) -> Path:
    rows = table([0, 1, 1], sentence1=FIRST, sentence2=SECOND)
    return repository(tmp_path / "toy", rows, rows.select([1, 0]))


@pytest.fixture
def described(monkeypatch, toy):
    def describe(**fields) -> DatasetEntry:
        given = {
            "name": "toy", "kind": "text", "title": "Toy", "modality": "tokens", "classes": 2,
            "hub": str(toy), "text": ["sentence1", "sentence2"],
            "tokenizer": TOKENIZER, **fields,
        }  # fmt: skip
        entry = DatasetEntry.model_validate(given)
        for module in (identity, catalogue):
            monkeypatch.setattr(module, "entry", lambda name: entry)
        return entry

    return describe


def test_pairs_become_tokens_with_their_labels(described, tokenizer):
    described()
    ready = prepare("toy", None)
    assert (ready.modality, ready.classes) == ("tokens", 2)
    assert ready.train.inputs.tolist() == PAIRS
    assert ready.test.inputs.tolist() == [PAIRS[1], PAIRS[0]]
    assert ready.train.targets.tolist() == [0, 1, 1]
    assert ready.train.inputs.dtype == np.int64
    assert ready.facts["tokenizer"] == f"nobody/words@{PIN}"
    assert {"tokens", "transformers", "tokenizers", "datasets"} <= ready.facts.keys()


def test_single_texts_do_too(described, tokenizer):
    described(text=["sentence1"])
    assert prepare("toy", None).train.inputs.tolist() == SINGLES


def test_another_tokenizer_or_length_is_other_data(described):
    told = []
    for revision, length in ((PIN, 8), (OTHER, 8), (PIN, 9)):
        described(tokenizer={**TOKENIZER, "revision": revision, "length": length})
        told.append(identity.source_identity("toy", Resources()))
    assert told[0]["tokenizer"] == TOKENIZER
    assert told[0] != told[1] != told[2] != told[0]


def test_another_version_of_the_library_tokenises_anew(described, tokenizer, monkeypatch):
    described()
    prepare("toy", None)
    monkeypatch.setattr(text, "tokenizer_versions", lambda: {"transformers": "6"})
    monkeypatch.setattr(text, "text_source", lambda entry: pytest.fail("made anew"))
    with pytest.raises(pytest.fail.Exception, match="made anew"):
        prepare("toy", None)


def test_without_the_library_the_extra_is_told(described, monkeypatch):
    monkeypatch.setattr(text, "_LIBRARIES", ("no-such-library",))
    described()
    with pytest.raises(DataError, match="no-such-library is not installed") as caught:
        prepare("toy", None)
    assert caught.value.remedy == 'pip install "retable[text]"'


def test_a_tokenizer_that_cannot_be_had_is_said_with_the_command(described, tokenizer):
    described(tokenizer={**TOKENIZER, "hub": "nobody/else"})
    with pytest.raises(DataError, match="the tokenizer nobody/else cannot be had") as caught:
        prepare("toy", None)
    assert f"hf download nobody/else --revision {PIN}" in caught.value.remedy


@pytest.mark.parametrize(
    ("stated", "message"),
    [({"separator": 3}, "separates texts by the token 2, not 3"),
     ({"padding": 4}, "pads with the token 0, not 4")],
)  # fmt: skip
def test_a_tokenizer_of_other_tokens_than_stated_is_refused(described, tokenizer, stated, message):
    described(tokenizer={**TOKENIZER, **stated})
    with pytest.raises(DataError, match=message):
        prepare("toy", None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": ["sentence1", "reply"]}, "has no column 'reply'"),
        ({"text": ["label"]}, "column 'label' does not hold text"),
        ({"classes": 3}, "has 2 classes, not 3"),
        ({"rows": {"train": 9}}, "has 3 train rows, not 9"),
    ],
)
def test_what_differs_from_the_catalogue_is_said(described, tokenizer, fields, message):
    described(**fields)
    with pytest.raises(DataError, match=message):
        prepare("toy", None)


def test_a_text_that_holds_a_separator_is_refused_by_its_row(described, tmp_path, tokenizer):
    rows = table([0, 1, 1], sentence1=["a", "a [SEP] dog", "a"], sentence2=SECOND)
    described(hub=str(repository(tmp_path / "torn", rows, rows.select([0, 2]))))
    with pytest.raises(DataError, match="toy, train row 1: its segments cannot be told"):
        prepare("toy", None)


# GLUE as the Hub has it, by its card: configuration, columns, class names, the split scored.
GLUE = {
    "glue-mnli": (
        "mnli", ("premise", "hypothesis"), ("entailment", "neutral", "contradiction"),
        "validation_matched",
    ),
    "glue-qnli": ("qnli", ("question", "sentence"), ("entailment", "not_entailment"), "validation"),
    "glue-mrpc": (
        "mrpc", ("sentence1", "sentence2"), ("not_equivalent", "equivalent"), "validation"
    ),
    "glue-sst2": ("sst2", ("sentence",), ("negative", "positive"), "validation"),
}  # fmt: skip


def lay_glue(home: Path, revision: str) -> None:
    """Lay out GLUE's four tasks as `hf download` leaves them: test labels are -1."""
    folder = home / "datasets--nyu-mll--glue" / "snapshots" / revision
    configs = []
    for config, columns, names, scored in GLUE.values():
        (folder / config).mkdir(parents=True)
        kinds = {column: datasets.Value("string") for column in columns}
        labels = datasets.ClassLabel(names=list(names))
        features = datasets.Features({**kinds, "label": labels, "idx": datasets.Value("int32")})
        other = ["validation_mismatched"] if config == "mnli" else []
        files = []
        for split in ("train", scored, *other, "test"):
            texts = dict(zip(columns, (FIRST, SECOND), strict=False))
            known = [-1] * 3 if split == "test" else [0, len(names) - 1, 1]
            if split != "train":
                texts = {column: values[::-1] for column, values in texts.items()}
            rows = datasets.Dataset.from_dict(
                {**texts, "label": known, "idx": [0, 1, 2]}, features=features
            )
            rows.to_parquet(folder / config / f"{split}-00000-of-00001.parquet")
            files.append({"split": split, "path": f"{config}/{split}-*"})
        configs.append({"config_name": config, "data_files": files})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")


@pytest.mark.parametrize("name", GLUE)
def test_glues_entries_read_what_the_hub_has(name, tmp_path, monkeypatch):
    known = catalogue.entry(name)
    lay_glue(tmp_path / "hf-hub", known.revision)
    # Where BERT's own words of these names stand.
    places = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    words = [f"[unused{place}]" for place in range(104)]
    for word, place in places.items():
        words[place] = word
    words += WORDS[5:]
    pinned = known.tokenizer
    assert pinned.hub == "google-bert/bert-base-uncased"
    lay_tokenizer(tmp_path / "hf-hub", pinned.hub, pinned.revision, words)
    described = known.model_copy(update={"rows": catalogue.Rows()})
    for module in (identity, catalogue):
        monkeypatch.setattr(module, "entry", lambda name: described)
    ready = prepare(name, None)
    expected = UNCUT if len(known.text) == 2 else [row[: row.index(2) + 1] for row in UNCUT]
    expected = [[words.index(WORDS[token]) for token in row] for row in expected]
    for rows, want in ((ready.train.inputs, expected), (ready.test.inputs, expected[::-1])):
        assert rows.shape == (3, 128)
        assert [row[row > 0].tolist() for row in rows] == want
    names = len(GLUE[name][2])
    assert ready.train.targets.tolist() == [0, names - 1, 1]
    assert ready.facts["revision"] == known.revision
