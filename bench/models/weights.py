"""Where a backbone's weights come from: random, timm, a file, the package, or another cell."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
from timm.models import get_pretrained_cfg
from torch import nn

from bench.errors import WeightsError, did_you_mean
from bench.files import file_sha256
from bench.models.checkpoint import (
    brief,
    load_checkpoint,
    read_tensors,
    state_sha256,
)
from bench.models.pooling import enlarge_deterministically
from bench.models.shipped import shipped_weights
from bench.spec.cell import Resources
from bench.spec.seeds import stream_seed


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone with its weights.

    Attributes
    ----------
    module
        timm model with ``num_classes=0``, in training mode, on the CPU.
    sha256
        Digest of the state as loaded (`state_sha256`: names, dtypes, shapes, bytes); equal
        weights have equal digests wherever they came from.
    source
        Where the weights came from: ``random``, ``timm:NAME@COMMIT``, ``shipped:NAME``, …
    file
        Digest of the bytes of the file that was named (``file:NAME``, ``shipped:NAME``), which can
        be compared without loading it; else None.
    """

    module: nn.Module
    sha256: str
    source: str
    file: str | None = None


def load_backbone(
    backbone: str, weights: str, *, seed: int, resources: Resources, parent: Path | None = None
) -> LoadedBackbone:
    """Build a backbone and give it its weights; the global random state is left as it was.

    Parameters
    ----------
    backbone
        timm name with its tag, such as ``resnet50.tv_in1k``.
    weights
        ``random``, ``timm`` (or ``timm@REVISION``), ``file:NAME``, ``shipped:NAME``, ``stage``.
    seed
        The cell's seed; random weights come from its ``backbone`` stream.
    resources
        Its ``files`` hold what ``file:NAME`` names.
    parent
        The checkpoint of the stage, for ``stage``.

    Raises
    ------
    WeightsError
        If the backbone is unknown, or the weights cannot be had or do not fit it.
    """
    kind, _, name = weights.partition(":")
    file = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "backbone", backbone))
        if weights == "random":
            module, source = create_backbone(backbone), "random"
        elif weights == "timm" or weights.startswith("timm@"):
            module, source = _from_timm(backbone, weights.partition("@")[2] or None)
        elif kind == "file":
            module, source = _from_file(backbone, name, resources), weights
            file = file_sha256(Path(resources.files[name][0]))
        elif kind == "shipped":
            module, source = _from_shipped(backbone, name), weights
            file = shipped_weights(name).sha256
        elif weights == "stage":
            if parent is None:
                raise WeightsError("weights 'stage' need the checkpoint of another cell")
            module, source = _from_checkpoint(backbone, parent), "stage"
        else:
            raise WeightsError(
                f"unknown weights {weights!r}",
                remedy=did_you_mean(weights, ["random", "timm", "file:NAME", "shipped:NAME"]),
            )
    return LoadedBackbone(module.train(), state_sha256(module.state_dict()), source, file)


def create_backbone(backbone: str) -> nn.Module:
    """Return a timm model without classifier, its weights drawn from torch's global stream.

    Raises
    ------
    WeightsError
        If timm has no such model.
    """
    return _create(_known_architecture(backbone), num_classes=0)


def _create(name: str, **settings: Any) -> nn.Module:
    with warnings.catch_warnings():
        # Renamed models warn; which weights were loaded is in the record.
        warnings.simplefilter("ignore")
        module: nn.Module = timm.create_model(name, **settings)
    enlarge_deterministically(module)
    return module


def _architecture(backbone: str) -> str:
    return backbone.partition(".")[0]


def _known_architecture(backbone: str) -> str:
    architecture = _architecture(backbone)
    if not timm.is_model(architecture):
        raise WeightsError(
            f"timm has no model {architecture!r}",
            field="backbone",
            remedy=did_you_mean(architecture, timm.list_models()),
        )
    return architecture


def _from_timm(backbone: str, revision: str | None) -> tuple[nn.Module, str]:
    config = _pretrained_config(backbone)
    repository, _, pinned = str(config.hf_hub_id or "").partition("@")
    if not repository:
        raise WeightsError(f"timm has no weights for {backbone!r} on the Hub", field="weights")
    file = _download(repository, config.hf_hub_filename, revision or pinned or None)
    parts = file.parts
    commit = parts[parts.index("snapshots") + 1] if "snapshots" in parts else revision
    module = _load(backbone, file, config.num_classes, {})
    return module, f"timm:{repository}" + (f"@{commit}" if commit else "")


def _pretrained_config(backbone: str) -> Any:
    architecture = _known_architecture(backbone)
    known = sorted(timm.list_pretrained(f"{architecture}.*"))
    if backbone not in known:
        # An untagged name follows timm's default, which has changed between its versions.
        if known and backbone == architecture:
            problem, remedy = f"{backbone!r} names no tag", "one of: " + ", ".join(known)
        else:
            problem = f"timm has no weights {backbone!r}"
            remedy = did_you_mean(backbone, known or timm.list_pretrained())
        raise WeightsError(problem, field="backbone", remedy=remedy)
    return get_pretrained_cfg(backbone)


def _download(repository: str, filename: str | None, revision: str | None) -> Path:
    name = filename if filename and filename.endswith(".safetensors") else "model.safetensors"
    pin = f" --revision {revision}" if revision else ""
    try:
        return Path(hf_hub_download(repository, name, revision=revision))
    except (LocalEntryNotFoundError, ConnectionError) as error:
        raise WeightsError(
            f"the weights {repository} are not in the local cache and the Hub cannot be reached",
            field="weights",
            remedy=f"with a network, run: hf download {repository} {name}{pin}",
        ) from error
    except EntryNotFoundError as error:
        raise WeightsError(
            f"{repository} has no {name}; other formats are not read", field="weights"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise WeightsError(
            f"the weights {repository} cannot be had: {brief(error)}",
            field="weights",
            remedy=f"see whether this works: hf download {repository} {name}{pin}",
        ) from error


def _from_file(backbone: str, name: str, resources: Resources) -> nn.Module:
    if name not in resources.files:
        raise WeightsError(
            f"the suite names no weights file {name!r}", remedy=did_you_mean(name, resources.files)
        )
    path, classes = resources.files[name]
    # The tag only names where other weights came from; its checkpoint's oddities do not apply.
    return _load(_known_architecture(backbone), Path(path), classes, {"label_offset": 0})


def _load(backbone: str, file: Path, classes: int, overlay: dict[str, Any]) -> nn.Module:
    read_tensors(file)
    overlay |= {"file": str(file), "num_classes": classes, "custom_load": False}
    # A model with the file's own number of classes makes timm load strictly, head included;
    # with another number it drops what does not fit without a word.
    try:
        module = _create(
            backbone, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay
        )
    except (RuntimeError, KeyError, IndexError) as error:
        raise WeightsError(
            f"does not fit {backbone} with a head of {classes} classes: {brief(error)}",
            file=file,
            remedy="state the number of classes that the file's head has, and the backbone",
        ) from error
    module.reset_classifier(0)  # type: ignore[operator]
    return module


def _from_shipped(backbone: str, name: str) -> nn.Module:
    shipped = shipped_weights(name)
    if not shipped.path.is_file() or file_sha256(shipped.path) != shipped.sha256:
        raise WeightsError(
            "is missing or not the file it should be",
            file=shipped.path,
            remedy="install Retable again",
        )
    return _from_checkpoint(backbone, shipped.path)


def _from_checkpoint(backbone: str, path: Path) -> nn.Module:
    checkpoint = load_checkpoint(path)
    if _architecture(checkpoint.name) != _architecture(backbone):
        raise WeightsError(
            f"these weights are of {checkpoint.name}, not of {backbone}",
            file=path,
            field="backbone",
            remedy=f"use backbone: {checkpoint.name}",
        )
    module = create_backbone(backbone)
    try:
        module.load_state_dict(checkpoint.backbone)
    except RuntimeError as error:
        raise WeightsError(f"does not fit {backbone}: {brief(error)}", file=path) from error
    return module
