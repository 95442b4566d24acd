"""Grammar: sentences of words that have topics; whether words go together is all there is to learn.

There are 16 topics in 4 domains, each with words of its own; other words are of no topic. A content
word of a sentence is most often of the sentence's topic, else of its domain, else of any. Which
topic a word has is said nowhere: only the words that it occurs with tell. So few labelled sentences
show the labels of few words, and who knows which words go together knows the others'.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.prepared import Split
from bench.data.streams import uniform_rows

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

PADDING, FIRST, SEPARATOR = 0, 1, 2
# After these and the token that stands for a masked one.
_WORDS = 4
_DOMAINS, _TOPICS, _OF_TOPIC, _OTHERS = 4, 16, 5, 16
_SHARE = _TOPICS // _DOMAINS
# Where content words stand in a sentence; words of no topic stand elsewhere.
_CONTENT = np.array([False, True, True, False, True, False, True, True, False, True])
_SENTENCE = len(_CONTENT)
LENGTH = 3 + 2 * _SENTENCE
VOCABULARY = _WORDS + _TOPICS * _OF_TOPIC + _OTHERS
# Of content words so many are of the topic, and so many of the topic or drawn from its domain.
_OF_ITS_TOPIC, _OF_ITS_DOMAIN = 0.6, 0.8
# Draws of a row: its topics, and three numbers a word of two sentences.
_DRAWS = 3 + 2 * 3 * _SENTENCE


class Plan(NamedTuple):
    """Number of classes, and rows of each of them in both splits."""

    classes: int
    train: int
    test: int


PLANS = {
    "grammar-text": Plan(2, 4000, 250),
    "grammar-topic": Plan(16, 20, 32),
    "grammar-pair": Plan(2, 200, 250),
    "grammar-relation": Plan(3, 150, 170),
}


def split_of(name: str, split: str) -> Split:
    """Return all rows of a set, sorted by class: tokens ``(n, 23)``, and their classes ``(n,)``."""
    plan = PLANS[name]
    count: int = getattr(plan, split)
    labels = np.repeat(np.arange(plan.classes, dtype=np.int64), count)
    keys: list[tuple[object, ...]] = [
        (name, split, label, row) for label in range(plan.classes) for row in range(count)
    ]
    u = uniform_rows(keys, _DRAWS)
    first, second = _topics(name, labels, u[:, :3])
    words = u[:, 3:].reshape(len(u), 2, _SENTENCE, 3)
    ends = np.full((len(u), 1), SEPARATOR)
    parts = [np.full((len(u), 1), FIRST), _sentences(first, words[:, 0]), ends]
    if second is None:
        parts.append(np.full((len(u), _SENTENCE + 1), PADDING))
    else:
        parts += [_sentences(second, words[:, 1]), ends]
    return Split(np.concatenate(parts, axis=1), labels)


def _topics(name: str, labels: Integers, u: Floats) -> tuple[Integers, Integers | None]:
    """Return the topics of each row's first sentence, and of its second where it has one."""
    if name == "grammar-topic":
        return labels, None
    first = _below(_TOPICS, u[:, 0])
    if name == "grammar-text":
        # Of one text, or of any two topics that differ.
        other = (first + 1 + _below(_TOPICS - 1, u[:, 1])) % _TOPICS
        return first, np.where(labels == 1, first, other)
    domain, place = np.divmod(first, _SHARE)
    near = _SHARE * domain + (place + 1 + _below(_SHARE - 1, u[:, 1])) % _SHARE
    far = (_SHARE * (domain + 1 + _below(_DOMAINS - 1, u[:, 1])) + _below(_SHARE, u[:, 2])) % (
        _TOPICS
    )
    if name == "grammar-pair":
        return first, np.where(labels == 1, near, far)
    return first, np.choose(labels, [first, near, far])


def _sentences(topics: Integers, u: Floats) -> Integers:
    """Return sentences of topics ``(n,)``, ``(n, words)``; ``u`` ``(n, words, 3)``."""
    own = topics[:, None]
    of_domain = own - own % _SHARE + _below(_SHARE, u[:, :, 1])
    any_topic = _below(_TOPICS, u[:, :, 1])
    which = u[:, :, 0]
    topic = np.where(
        which < _OF_ITS_TOPIC, own, np.where(which < _OF_ITS_DOMAIN, of_domain, any_topic)
    )
    content = _WORDS + _OF_TOPIC * topic + _below(_OF_TOPIC, u[:, :, 2])
    other = _WORDS + _TOPICS * _OF_TOPIC + _below(_OTHERS, u[:, :, 2])
    return np.where(_CONTENT, content, other)


def _below(count: int, u: Floats) -> Integers:
    """Return whole numbers below ``count``, from uniform ones."""
    return np.floor(count * u).astype(np.int64)
