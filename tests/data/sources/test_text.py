"""Text of the Hub: real loading and real tokenizers, on repositories laid out locally."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

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
UNCUT = [
    [1, 5, 6, 7, 2, 6, 2],
    [1, 5, 8, 2, 5, 8, 9, 10, 2],
    [1, 8, 7, 7, 7, 7, 2, 5, 6, 2],
]


class WordPieces:
    """A stand-in for BERT's tokenizer in transformers, by the same interface."""

    sep_token_id, pad_token_id = 2, 0

    def __len__(self) -> int:
        return len(WORDS)

    @classmethod
    def from_pretrained(cls, hub: str, *, revision: str) -> WordPieces:
        if (hub, revision) != ("nobody/words", PIN):
            raise OSError(f"{hub} is not cached\nmore")
        return cls()

    def _pieces(self, sentence: str) -> list[int]:
        split = sentence.lower().replace("sleeps", "sl ##eeps").split()
        return [WORDS.index(word) for word in split]

    def __call__(self, *texts: list[str], max_length: int, **asked: object) -> dict[str, list]:
        assert asked == {
            "truncation": True,
            "padding": "max_length",
            "return_token_type_ids": True,
            "return_attention_mask": True,
        }
        made: dict[str, list] = {"input_ids": [], "attention_mask": [], "token_type_ids": []}
        for row in zip(*texts, strict=True):
            parts = [self._pieces(sentence) for sentence in row]
            while sum(map(len, parts)) > max_length - 1 - len(parts):
                longest = max(map(len, parts))
                next(part for part in reversed(parts) if len(part) == longest).pop()
            tokens, kinds = [1], [0]
            for kind, part in enumerate(parts):
                tokens += [*part, 2]
                kinds += [kind] * (len(part) + 1)
            empty = [0] * (max_length - len(tokens))
            made["input_ids"].append(tokens + empty)
            made["attention_mask"].append([1] * len(tokens) + empty)
            made["token_type_ids"].append(kinds + empty)
        return made


@pytest.fixture(autouse=True)
def quiet_home(tmp_path, monkeypatch):
    """No network; caches in the test's own folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf-hub"))
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "retable"))
    datasets.disable_progress_bars()


@pytest.fixture
def stood_in(monkeypatch):
    """The stand-in where transformers would be."""
    module = ModuleType("transformers")
    module.AutoTokenizer = WordPieces
    monkeypatch.setitem(sys.modules, "transformers", module)
    versions = {"transformers": "5", "tokenizers": "0"}
    monkeypatch.setattr(text, "tokenizer_versions", lambda: versions)


@pytest.fixture
def published(tmp_path):
    """A tokenizer of the real library, as `hf download` leaves it."""
    pytest.importorskip("transformers")
    folder = tmp_path / "hf-hub" / "models--nobody--words" / "snapshots" / PIN
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))


@pytest.fixture(params=["stood_in", "published"])
def tokenizer(request):
    return request.getfixturevalue(request.param)


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
            "tokenizer": {"hub": "nobody/words", "revision": PIN, "length": 8}, **fields,
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
        known = {"hub": "nobody/words", "revision": revision, "length": length}
        described(tokenizer=known)
        told.append(identity.source_identity("toy", Resources()))
    assert told[0]["tokenizer"] == {"hub": "nobody/words", "revision": PIN, "length": 8}
    assert told[0] != told[1] != told[2] != told[0]


def test_another_version_of_the_library_tokenises_anew(described, stood_in, monkeypatch):
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


def test_a_tokenizer_that_cannot_be_had_is_said_with_the_command(described, stood_in):
    described(tokenizer={"hub": "nobody/else", "revision": PIN, "length": 8})
    with pytest.raises(DataError, match=r"cannot be had: nobody/else is not cached\n") as caught:
        prepare("toy", None)
    assert f"hf download nobody/else --revision {PIN}" in caught.value.remedy


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": ["sentence1", "reply"]}, "has no column 'reply'"),
        ({"text": ["label"]}, "column 'label' does not hold text"),
        ({"classes": 3}, "has 2 classes, not 3"),
        ({"rows": {"train": 9}}, "has 3 train rows, not 9"),
    ],
)
def test_what_differs_from_the_catalogue_is_said(described, stood_in, fields, message):
    described(**fields)
    with pytest.raises(DataError, match=message):
        prepare("toy", None)


def test_a_text_that_holds_a_separator_is_refused_by_its_row(described, toy, stood_in):
    class Confused(WordPieces):
        def _pieces(self, sentence: str) -> list[int]:
            return [2 if piece == 8 else piece for piece in super()._pieces(sentence)]

    sys.modules["transformers"].AutoTokenizer = Confused
    described(text=["sentence1", "sentence2"])
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
def test_glues_entries_read_what_the_hub_has(name, tmp_path, monkeypatch, stood_in):
    known = catalogue.entry(name)
    lay_glue(tmp_path / "hf-hub", known.revision)
    asked = []

    def from_pretrained(hub: str, *, revision: str) -> WordPieces:
        asked.append((hub, revision))
        return WordPieces()

    monkeypatch.setattr(WordPieces, "from_pretrained", from_pretrained)
    described = known.model_copy(update={"rows": catalogue.Rows()})
    for module in (identity, catalogue):
        monkeypatch.setattr(module, "entry", lambda name: described)
    ready = prepare(name, None)
    expected = UNCUT if len(known.text) == 2 else [row[: row.index(2) + 1] for row in UNCUT]
    for rows, want in ((ready.train.inputs, expected), (ready.test.inputs, expected[::-1])):
        assert rows.shape == (3, 128)
        assert [row[row > 0].tolist() for row in rows] == want
    names = len(GLUE[name][2])
    assert ready.train.targets.tolist() == [0, names - 1, 1]
    assert asked == [("google-bert/bert-base-uncased", known.tokenizer.revision)]
    assert ready.facts["revision"] == known.revision
