"""Text on the Hugging Face Hub, as the tokens of a pinned tokenizer."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from huggingface_hub import constants
from numpy.typing import NDArray

from bench.data.prepared import Split
from bench.data.sources.hub_rows import classes_of, coded, joined, load, values
from bench.data.sources.source import ArraySource
from bench.errors import DataError
from bench.fetched import fetched, snapshot_folder
from bench.spec.catalogue import DatasetEntry, Tokenizer

_READ = 1000
_LIBRARIES = ("transformers", "tokenizers")


def tokenizer_versions() -> dict[str, str]:
    """Return the versions of the libraries that make tokens of text.

    Raises
    ------
    DataError
        If they are not installed.
    """
    try:
        return {name: importlib.metadata.version(name) for name in _LIBRARIES}
    except importlib.metadata.PackageNotFoundError as error:
        raise DataError(
            f"text needs a tokenizer, and {error.name} is not installed",
            remedy='pip install "retable[text]"',
        ) from None


def text_source(entry: DatasetEntry) -> ArraySource:
    """Return the rows of a Hub dataset of texts, or of pairs of them: tokens ``(n, length)``.

    A row is what the tokenizer makes of the texts together, cut to ``length`` (of a pair the longer
    text first) and padded. Neither a mask nor segments are kept beside it: they follow from the
    padding and from the separator behind each text, which is checked.

    Raises
    ------
    DataError
        If the texts or the tokenizer cannot be had, columns, splits, labels or the tokenizer's own
        tokens are not what the entry says, or a row's segments cannot be told from its tokens.
    """
    assert entry.tokenizer is not None
    versions = tokenizer_versions()
    loaded, revision = load(entry)
    texts = ("text", lambda feature: getattr(feature, "dtype", None) in ("string", "large_string"))
    train, test = (
        joined(entry, loaded, part, entry.text, texts)
        for part in (entry.splits.train, entry.splits.test)
    )
    names, codes = classes_of(entry, datasets.concatenate_datasets([train, test]))
    tokenizer = _tokenizer(entry.tokenizer)
    splits = {
        split: Split(
            _tokens(entry, tokenizer, rows, split), coded(entry, codes, values(rows, entry.label))
        )
        for split, rows in (("train", train), ("test", test))
    }
    facts = {
        "hub": entry.hub,
        "revision": revision,
        "config": entry.config,
        "datasets": datasets.__version__,
        "tokenizer": f"{entry.tokenizer.hub}@{entry.tokenizer.revision}",
        "tokens": len(tokenizer),
        **versions,
    }
    return ArraySource(
        "tokens",
        len(names),
        splits["train"],
        splits["test"],
        {key: value for key, value in facts.items() if value is not None},
    )


def _tokenizer(known: Tokenizer) -> Any:
    from transformers import AutoTokenizer

    hub = Path(constants.HF_HUB_CACHE)
    brought = fetched(hub, "model", known.hub, known.revision)
    problem = brought and brought.problem(snapshot_folder(hub, brought), brought.files)
    if problem:
        raise DataError(
            f"the tokenizer {known.hub} cannot be used: {problem}",
            remedy="with a network, run `bench fetch SUITE` again, and copy anew",
        )
    try:
        # Stated, since older versions take the folder that was the Hub's when they were imported.
        found = AutoTokenizer.from_pretrained(
            known.hub, revision=known.revision, cache_dir=constants.HF_HUB_CACHE
        )
    except (OSError, ValueError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"the tokenizer {known.hub} cannot be had: {first}",
            remedy="fetch it where there is a network, with `bench fetch SUITE` or "
            f"`hf download {known.hub} --revision {known.revision} --include '*.json' vocab.txt`, "
            "and set HF_HOME to the folder that holds it",
        ) from None
    for what, stated, own in (
        ("pads with", known.padding, found.pad_token_id),
        ("separates texts by", known.separator, found.sep_token_id),
    ):
        if own != stated:
            raise DataError(
                f"the tokenizer {known.hub} {what} the token {own}, not {stated}",
                remedy="state its own in the catalogue's entry",
            )
    return found


def _tokens(
    entry: DatasetEntry, tokenizer: Any, rows: datasets.Dataset, split: str
) -> NDArray[np.int64]:
    assert entry.tokenizer is not None
    found = np.empty((len(rows), entry.tokenizer.length), dtype=np.int64)
    for start in range(0, len(rows), _READ):
        part = rows[start : start + _READ]
        made = tokenizer(
            *(part[column] for column in entry.text),
            truncation=True,
            padding="max_length",
            max_length=entry.tokenizer.length,
            return_token_type_ids=True,
            return_attention_mask=True,
        )
        tokens, mask, segments = (
            np.asarray(made[name], dtype=np.int64)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        )
        told = _told(tokens, entry.tokenizer, mask, segments)
        if not told.all():
            row = start + int(np.argmin(told))
            raise DataError(
                f"{entry.name}, {split} row {row}: its segments cannot be told from its separators",
                remedy="a tokenizer is needed that pads on the right and puts one separator behind "
                "each text, and texts that hold none",
            )
        found[start : start + len(tokens)] = tokens
    return found


def _told(
    tokens: NDArray[np.int64],
    known: Tokenizer,
    mask: NDArray[np.int64],
    segments: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return whether each row's mask and segments are those that its tokens say."""
    separators = tokens == known.separator
    seen = tokens != known.padding
    behind = (np.cumsum(separators, axis=1) - separators > 0) & seen
    whole = (seen == (mask == 1)).all(axis=1)
    alike: NDArray[np.bool_] = whole & (behind == (segments == 1)).all(axis=1)
    return alike
