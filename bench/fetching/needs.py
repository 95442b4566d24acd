"""What cells need of the Hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.errors import WeightsError
from bench.fetched import Kind
from bench.spec.catalogue import DatasetEntry, entry
from bench.spec.cell import Cell, Resources
from bench.spec.work import Measure, Network, Train

TOKENIZER = ("*.json", "vocab.txt")


@dataclass(frozen=True)
class Need:
    """Some files of a repository at a revision.

    Attributes
    ----------
    revision
        None for the newest.
    what
        For whom it is: a dataset's or a backbone's name.
    files
        Patterns of names, of a model's files.
    config, splits
        Of a dataset's.
    terms
        Where to accept them, as far as the catalogue knows.
    """

    kind: Kind
    repository: str
    revision: str | None
    what: str
    files: tuple[str, ...] = ()
    config: str | None = None
    splits: tuple[str, ...] = ()
    terms: str | None = None


def needs(suites: Iterable[tuple[Iterable[Cell], Resources]]) -> tuple[list[Need], list[str]]:
    """Return what cells need of the Hub, each once, and the datasets that are not to be had there.

    Raises
    ------
    WeightsError
        If timm knows no weights of a backbone.
    """
    found: dict[Need, None] = {}
    elsewhere: dict[str, None] = {}
    for cells, resources in suites:
        for cell in cells:
            for network, weights in _starts(cell):
                found |= dict.fromkeys(_of_weights(network, weights))
            for name in cell.datasets:
                if name in resources.datasets:
                    continue
                known = entry(name)
                found |= dict.fromkeys(_of_dataset(known))
                if known.kind in ("folder", "waymo", "chexpert", "unavailable"):
                    elsewhere[name] = None
    return list(found), list(elsewhere)


def _starts(cell: Cell) -> Iterator[tuple[Network, str]]:
    if isinstance(cell.work, Train):
        yield cell.work.network, cell.work.weights
    elif isinstance(cell.work, Measure):
        for start in cell.work.starts.values():
            yield start.network, start.weights


def _of_weights(network: Network, weights: str) -> Iterator[Need]:
    kind, _, revision = weights.partition("@")
    if kind == "timm" and isinstance(network, str):
        repository, pinned, file = _timm_file(network)
        yield Need("model", repository, revision or pinned, network, (file,))
    elif kind.startswith("hf:"):
        yield Need("model", kind[3:], revision or None, kind[3:], ("model.safetensors",))


def _timm_file(backbone: str) -> tuple[str, str | None, str]:
    """Return repository, revision and file of a backbone's weights, as timm would load them."""
    from timm.models import get_pretrained_cfg

    try:
        config: Any = get_pretrained_cfg(backbone)
    except RuntimeError:
        config = None
    repository, _, pinned = str((config and config.hf_hub_id) or "").partition("@")
    if not repository:
        raise WeightsError(f"timm has no weights for {backbone!r} on the Hub", field="weights")
    name = config.hf_hub_filename
    known = name if name and name.endswith(".safetensors") else "model.safetensors"
    return repository, pinned or None, known


def _of_dataset(known: DatasetEntry) -> Iterator[Need]:
    if known.kind not in ("hub", "text"):
        return
    splits = tuple(dict.fromkeys((*known.splits.train, *known.splits.test)))
    yield Need(
        "dataset",
        str(known.hub),
        known.revision,
        known.name,
        config=known.config,
        splits=splits,
        terms=known.terms,
    )
    if known.tokenizer is not None:
        made = known.tokenizer
        yield Need("model", made.hub, made.revision, f"tokens of {known.name}", TOKENIZER)
