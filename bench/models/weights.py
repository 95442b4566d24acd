"""Where a backbone's weights come from: random, timm, a file, the package, or another cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
from timm.models import get_pretrained_cfg
from torch import nn

from bench.errors import WeightsError, did_you_mean
from bench.fetched import fetched
from bench.files import file_sha256
from bench.models.architecture import (
    Blueprint,
    NetworkBuilder,
    blueprint,
    create_backbone,
    create_timm,
    known_architecture,
)
from bench.models.checkpoint import (
    Checkpoint,
    State,
    brief,
    load_checkpoint,
    read_tensors,
    state_sha256,
    trainings_in,
)
from bench.models.network import state_on_cpu
from bench.models.patch_file import Body, load_patch
from bench.models.shipped import shipped_weights
from bench.spec.cell import Resources
from bench.spec.seeds import stream_seed

__all__ = ["LoadedBackbone", "NetworkBuilder", "create_backbone", "load_backbone", "load_patched"]


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone with its weights.

    Attributes
    ----------
    module
        Inputs to features (timm model with ``num_classes=0``), in training mode, on the CPU.
    sha256
        Digest of the state as loaded (`state_sha256`: names, dtypes, shapes, bytes); equal
        weights have equal digests wherever they came from.
    source
        Where the weights came from: ``random``, ``timm:NAME@COMMIT``, ``hf:NAME@COMMIT``,
        ``shipped:NAME``, …
    file
        Digest of the bytes of the file that was named (``file:NAME``, ``shipped:NAME``), which can
        be compared without loading it; else None.
    heads
        The linear heads that the weights came with, by task (``""`` where there was one), each
        ``weight`` and perhaps ``bias``; empty where there was none.
    trainings
        How many are behind the weights: none behind random ones.
    beside
        What objectives trained beside the heads, by task; empty where nothing was.
    """

    module: nn.Module
    sha256: str
    source: str
    file: str | None = None
    heads: Mapping[str, State] = field(default_factory=dict)
    trainings: int = 0
    beside: Mapping[str, State] = field(default_factory=dict)


class _Loaded(NamedTuple):
    module: nn.Module
    source: str
    file: str | None = None
    heads: Mapping[str, State] = {}
    trainings: int = 1
    beside: Mapping[str, State] = {}


def load_backbone(
    network: str | NetworkBuilder,
    weights: str,
    *,
    seed: int,
    resources: Resources,
    input_shape: tuple[int, ...] | None = None,
    parent: tuple[Path, str] | None = None,
    task: str | None = None,
    drawn_for: Sequence[str] = (),
) -> LoadedBackbone:
    """Build a backbone and give it its weights; the global random state is left as it was.

    Parameters
    ----------
    network
        timm name with its tag, such as ``resnet50.tv_in1k``; or how to build another.
    weights
        ``random``, ``timm`` (or ``timm@REVISION``), ``hf:REPOSITORY@REVISION``, ``file:NAME``,
        ``shipped:NAME``, ``stage``.
    seed
        The cell's seed; random weights come from its ``backbone`` stream.
    resources
        Its ``files`` hold what ``file:NAME`` names.
    input_shape
        Of one input, without the batch's axis; networks that are not timm's are built for it.
    parent
        The checkpoint of the stage, for ``stage``: its path and the SHA-256 of its bytes.
    task
        Whose modules to take, where a checkpoint has some of each task's own.
    drawn_for
        Names of the datasets that random weights are to be trained on: a network that is trained
        from scratch does not begin as a source of the same seed did on other data.

    Raises
    ------
    WeightsError
        If the backbone is unknown, or the weights cannot be had or do not fit it.
    """
    known = blueprint(network, input_shape)
    with torch.random.fork_rng(devices=[]):
        # `torch.manual_seed` would leave a GPU's generator on this stream too.
        torch.default_generator.manual_seed(stream_seed(seed, "backbone", known.name, *drawn_for))
        loaded = _load_kind(known, weights, resources, parent, task)
    sha256 = state_sha256(loaded.module.state_dict())
    return LoadedBackbone(
        loaded.module.train(),
        sha256,
        loaded.source,
        loaded.file,
        loaded.heads,
        loaded.trainings,
        loaded.beside,
    )


def load_patched(
    network: str | NetworkBuilder,
    body: LoadedBackbone,
    *,
    parent: tuple[Path, str],
    input_shape: tuple[int, ...] | None = None,
) -> LoadedBackbone:
    """Return what a stage left as a patch, laid over the body that the stage started from.

    Parameters
    ----------
    body
        The stage's own start; it is left as it is.
    parent
        The patch of the stage: its path and the SHA-256 of its bytes.

    Raises
    ------
    WeightsError
        If the patch does not belong to the body, or fits another network.
    """
    known = blueprint(network, input_shape)
    path, sha256 = parent
    state = state_on_cpu(body.module)
    checkpoint = load_patch(path, Body(state, body.sha256), sha256)
    with torch.random.fork_rng(devices=[]):
        loaded = _as_left(known, checkpoint, path, None)
    return LoadedBackbone(
        loaded.module.train(),
        state_sha256(loaded.module.state_dict()),
        "stage",
        heads=loaded.heads,
        trainings=loaded.trainings,
        beside=loaded.beside,
    )


def _load_kind(
    network: Blueprint,
    weights: str,
    resources: Resources,
    parent: tuple[Path, str] | None,
    task: str | None,
) -> _Loaded:
    kind, _, name = weights.partition(":")
    if weights == "random":
        return _Loaded(network.create(), "random", trainings=0)
    if weights == "stage":
        if parent is None:
            raise WeightsError("weights 'stage' need the checkpoint of another cell")
        return _from_checkpoint(network, *parent, task)._replace(source="stage")
    if kind == "file":
        return _from_file(network, name, resources)
    if kind == "shipped":
        return _from_shipped(network, name)
    if kind == "hf":
        return _from_hub(network, *name.split("@", 1))
    if weights == "timm" or weights.startswith("timm@"):
        return _from_timm(network, weights.partition("@")[2] or None)
    raise WeightsError(
        f"unknown weights {weights!r}",
        remedy=did_you_mean(weights, ["random", "timm", "file:NAME", "shipped:NAME"]),
    )


def _from_hub(network: Blueprint, repository: str, revision: str) -> _Loaded:
    if network.timm:
        raise WeightsError(
            f"hf:{repository} are weights of a network part, and {network.name} is timm's",
            field="weights",
            remedy="use weights: timm",
        )
    file = _download(repository, None, revision)
    tensors, _ = read_tensors(file)
    return _Loaded(_filled(network, tensors, file), f"hf:{repository}@{revision}")


def _from_timm(network: Blueprint, revision: str | None) -> _Loaded:
    if not network.timm:
        raise WeightsError(
            f"timm has no weights for {network.name}, which is not of timm",
            field="weights",
            remedy="use weights: random, file:NAME or stage:NAME",
        )
    config = _pretrained_config(network.name)
    repository, _, pinned = str(config.hf_hub_id or "").partition("@")
    if not repository:
        raise WeightsError(f"timm has no weights for {network.name!r} on the Hub", field="weights")
    file = _download(repository, config.hf_hub_filename, revision or pinned or None)
    parts = file.parts
    commit = parts[parts.index("snapshots") + 1] if "snapshots" in parts else revision
    module, heads = _load(network.name, file, config.num_classes, {})
    source = f"timm:{repository}" + (f"@{commit}" if commit else "")
    return _Loaded(module, source, heads=heads)


def _pretrained_config(backbone: str) -> Any:
    architecture = known_architecture(backbone)
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
        file = Path(hf_hub_download(repository, name, revision=revision))
    except (LocalEntryNotFoundError, ConnectionError) as error:
        raise WeightsError(
            f"the weights {repository} are not in the local cache and the Hub cannot be reached",
            field="weights",
            remedy="with a network, run `bench fetch SUITE` or "
            f"hf download {repository} {name}{pin}",
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
    _check_fetched(repository, name, file)
    return file


def _check_fetched(repository: str, name: str, file: Path) -> None:
    """Compare a file with what ``bench fetch`` knows of it, where it was that which brought it."""
    folder = file.parents[name.count("/")]
    known = fetched(Path(constants.HF_HUB_CACHE), "model", repository, folder.name)
    if known is None or name not in known.files:
        return
    problem = known.problem(folder, [name])
    if problem is not None:
        raise WeightsError(
            f"the weights {repository} cannot be used: {problem}",
            field="weights",
            remedy="with a network, run `bench fetch SUITE` again, and copy anew",
        )


def _from_file(network: Blueprint, name: str, resources: Resources) -> _Loaded:
    if name not in resources.files:
        raise WeightsError(
            f"the suite names no weights file {name!r}", remedy=did_you_mean(name, resources.files)
        )
    path, classes = Path(resources.files[name][0]), resources.files[name][1]
    tensors, facts = read_tensors(path)
    if "backbone" in facts:
        # A checkpoint of this program, copied out of a store.
        loaded = _as_left(network, load_checkpoint(path), path, None)
        return loaded._replace(source=f"file:{name}", file=file_sha256(path))
    trainings = trainings_in(facts)
    if not network.timm:
        module = _filled(network, tensors, path)
        return _Loaded(module, f"file:{name}", file_sha256(path), trainings=trainings)
    # The tag only names where other weights came from; its checkpoint's oddities do not apply.
    module, heads = _load(known_architecture(network.name), path, classes, {"label_offset": 0})
    return _Loaded(module, f"file:{name}", file_sha256(path), heads, trainings)


def _load(
    backbone: str, file: Path, classes: int, overlay: dict[str, Any]
) -> tuple[nn.Module, dict[str, State]]:
    """Return the backbone, and its head by the name of the only task if it is a linear one."""
    read_tensors(file)
    overlay |= {"file": str(file), "num_classes": classes, "custom_load": False}
    # A model with the file's own number of classes makes timm load strictly, head included;
    # with another number it drops what does not fit without a word.
    try:
        module = create_timm(
            backbone, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay
        )
    except (RuntimeError, KeyError, IndexError) as error:
        raise WeightsError(
            f"does not fit {backbone} with a head of {classes} classes: {brief(error)}",
            file=file,
            remedy="state the number of classes that the file's head has, and the backbone",
        ) from error
    head = module.get_classifier()  # type: ignore[operator]
    heads: dict[str, State] = {"": state_on_cpu(head)} if isinstance(head, nn.Linear) else {}
    module.reset_classifier(0)  # type: ignore[operator]
    return module, heads


def _from_shipped(network: Blueprint, name: str) -> _Loaded:
    shipped = shipped_weights(name)
    if not shipped.path.is_file() or file_sha256(shipped.path) != shipped.sha256:
        raise WeightsError(
            "is missing or not the file it should be",
            file=shipped.path,
            remedy="install Retable again",
        )
    loaded = _from_checkpoint(network, shipped.path, shipped.sha256)
    return loaded._replace(source=f"shipped:{name}", file=shipped.sha256)


def _from_checkpoint(
    network: Blueprint, path: Path, sha256: str, task: str | None = None
) -> _Loaded:
    return _as_left(network, load_checkpoint(path, sha256), path, task)


def _as_left(network: Blueprint, checkpoint: Checkpoint, path: Path, task: str | None) -> _Loaded:
    if not network.fits(checkpoint.name):
        raise WeightsError(
            f"these weights are of {checkpoint.name}, not of {network.name}",
            file=path,
            field="backbone",
            remedy=f"use backbone: {checkpoint.name}",
        )
    if checkpoint.private and task not in checkpoint.private:
        raise WeightsError(
            "some modules of this network are private to its tasks, and no task is chosen",
            file=path,
            remedy=f"start as one of: {', '.join(checkpoint.private)}",
        )
    module = _filled(network, checkpoint.backbone_of(task or ""), path)
    return _Loaded(
        module,
        "",
        heads=checkpoint.heads,
        trainings=checkpoint.trainings,
        beside=checkpoint.beside,
    )


def _filled(network: Blueprint, state: State, path: Path) -> nn.Module:
    module = network.create()
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"does not fit {network.name}: {brief(error)}", file=path) from error
    return module
