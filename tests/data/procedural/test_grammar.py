"""The grammar: words by the topics that they are of, and labels by those alone."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.digests import array_digest
from bench.data.prepare import prepare
from bench.data.procedural import grammar
from bench.data.sources.procedural import procedural_source
from bench.parts.networks.bert import Bert
from bench.parts.objectives.masked_tokens import MaskedTokens
from bench.spec.catalogue import entry

SOURCES = {name: procedural_source(name) for name in grammar.PLANS}
# Where a sentence's words of a topic stand in a row, counted by hand; the second's 11 further on.
CONTENT = np.array([2, 3, 5, 7, 8, 10])
OTHER = np.array([1, 4, 6, 9])


def tokens(name: str, split: str = "train") -> np.ndarray:
    return SOURCES[name].splits[split].inputs


def topic_of(words: np.ndarray) -> np.ndarray:
    """The topic that most of a sentence's words are of; of two, the lower."""
    counts = np.stack([((words - 4) // 5 == topic).sum(axis=1) for topic in range(16)], axis=1)
    return counts.argmax(axis=1)


def topics(name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = tokens(name)
    return topic_of(rows[:, CONTENT]), topic_of(rows[:, CONTENT + 11])


@pytest.mark.parametrize("name", grammar.PLANS)
def test_sets_come_out_as_pinned_and_as_the_catalogue_says(name):
    source, known = SOURCES[name], entry(name)
    assert array_digest(source.modality, source.splits) == known.digest
    for split in ("train", "test"):
        rows = source.splits[split]
        assert rows.inputs.shape == (getattr(known.rows, split), 23)
        assert rows.inputs.dtype == rows.targets.dtype == np.int64
        assert len(set(np.bincount(rows.targets, minlength=known.classes))) == 1


@pytest.mark.parametrize("name", grammar.PLANS)
def test_rows_are_sentences_of_words_in_their_places(name):
    rows = tokens(name)
    assert (rows[:, 0] == 1).all()
    assert (rows[:, 11] == 2).all()
    pairs = name != "grammar-topic"
    for start in (0, 11) if pairs else (0,):
        assert ((rows[:, CONTENT + start] >= 4) & (rows[:, CONTENT + start] < 84)).all()
        assert ((rows[:, OTHER + start] >= 84) & (rows[:, OTHER + start] < 100)).all()
    assert (rows[:, 22] == 2).all() if pairs else (rows[:, 12:] == 0).all()


def test_words_are_of_their_topic_their_domain_and_any_in_these_shares():
    source = SOURCES["grammar-topic"]
    words = (source.train.inputs[:, CONTENT] - 4) // 5
    own = source.train.targets[:, None]
    # 0.6; of the fifth from the domain a quarter, and of the last fifth a sixteenth.
    assert (words == own).mean() == pytest.approx(0.6 + 0.05 + 0.0125, abs=0.04)
    assert (words // 4 == own // 4).mean() == pytest.approx(0.8 + 0.05, abs=0.03)


@pytest.mark.parametrize("name", ["grammar-text", "grammar-pair", "grammar-relation"])
def test_labels_follow_from_the_topics(name):
    first, second = topics(name)
    labels = SOURCES[name].train.targets
    same, near = first == second, first // 4 == second // 4
    expected = {
        "grammar-text": same.astype(int),
        "grammar-pair": near.astype(int),
        "grammar-relation": np.where(same, 0, np.where(near, 1, 2)),
    }[name]
    # Of six words the most frequent topic is not always the sentence's own.
    assert (expected == labels).mean() > 0.7
    if name == "grammar-pair":
        assert (same[labels == 1]).mean() < 0.2


def test_no_sentence_of_the_test_is_in_the_training():
    for name in grammar.PLANS:
        train = {row.tobytes() for row in tokens(name)}
        assert not train & {row.tobytes() for row in tokens(name, "test")}


def test_its_numbers_are_the_defaults_of_what_learns_it():
    assert Bert().vocabulary == MaskedTokens().vocabulary == grammar.VOCABULARY
    assert Bert().positions >= grammar.LENGTH
    assert (Bert().padding, Bert().separator) == (grammar.PADDING, grammar.SEPARATOR)
    assert max(t.inputs.max() for s in SOURCES.values() for t in s.splits.values()) < 100


def test_a_set_is_prepared_as_tokens(tmp_path):
    ready = prepare("grammar-pair", None, cache=tmp_path)
    assert (ready.modality, ready.classes) == ("tokens", 2)
    assert np.array_equal(ready.test.inputs, tokens("grammar-pair", "test"))
