"""A small random step whose differentiable inputs are independent leaves, to try penalties on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.parts.kinds import Step
from bench.spec.parts import OF_THE_START, SOURCE_HEAD, SOURCE_LOGITS, SOURCE_MAPS

_MAPS = {"layer1": (3, 4, 3), "layer2": (4, 2, 2)}
_CHANNELS = {name: size[:1] for name, size in _MAPS.items()}
_BACKBONE = {"conv.weight": (3, 2, 2, 2), "norm.weight": (3,), "norm.bias": (3,)}
_FROZEN = {"stem.weight": (2, 3, 1, 1)}
_CLASSES = 3
_SOURCE_CLASSES = 4
# What measurements give, by name: channel attention a vector a map, the relationship of categories
# a row a class. Of another, a positive number a weight is what a penalty is most likely to ask for.
_MEASURED: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "channel-attention": _CHANNELS,
    "category-relationship": {"relationship": (_CLASSES, _SOURCE_CLASSES)},
}


@dataclass(frozen=True)
class Shape:
    """How many images, and how wide their features."""

    images: int
    width: int


# Fewer images than features, and more: a penalty on the batch matrix must know both.
SHAPES = (Shape(5, 7), Shape(8, 4))


def synthetic_step(
    shape: Shape,
    needs: Sequence[str],
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    activations: torch.dtype | None = None,
    device: str = "cpu",
) -> Step:
    """Return a step with as much as ``needs`` asks for; a seed gives the same one on any device.

    ``dtype`` is that of the parameters, ``activations`` (the same where absent) that of
    features, logits and maps.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int, kind: torch.dtype = dtype, leaf: bool = True) -> Tensor:
        values = torch.randn(size, generator=generator, dtype=torch.float64)
        return values.to(device=device, dtype=kind).requires_grad_(leaf)

    active = activations or dtype
    images = shape.images
    features = draw(images, shape.width, kind=active)
    logits = draw(images, _CLASSES, kind=active)
    sizes_of_body: dict[str, tuple[int, ...]] = dict(_BACKBONE)
    if SOURCE_HEAD in needs:
        own = (_SOURCE_CLASSES, shape.width)
        sizes_of_body |= {"source_head.weight": own, "source_head.bias": own[:1]}
    backbone = {name: draw(*size) for name, size in sizes_of_body.items()}
    backbone |= {name: draw(*size, leaf=False) for name, size in _FROZEN.items()}
    start = {name: draw(*p.shape, leaf=False) for name, p in backbone.items()}
    start |= {name: backbone[name].clone() for name in _FROZEN}
    head = {"weight": draw(_CLASSES, shape.width), "bias": draw(_CLASSES)}
    labels = torch.randint(_CLASSES, (images,), generator=generator).to(device)
    sizes = _MAPS if SOURCE_MAPS in needs else {}
    maps = {name: draw(images, *size, kind=active) for name, size in sizes.items()}
    sources = {name: draw(images, *size, kind=active, leaf=False) for name, size in sizes.items()}
    heads = {name: tuple(p.shape) for name, p in head.items()}
    measured = {
        need: {
            name: draw(*size, leaf=False).softmax(dim=0)
            for name, size in _measured_sizes(need, heads).items()
        }
        for need in needs
        if need not in OF_THE_START
    }
    told = None
    if SOURCE_LOGITS in needs:
        told = draw(images, _SOURCE_CLASSES, kind=active, leaf=False)
    return Step(features, logits, labels, backbone, head, start, maps, sources, measured, told)


def _measured_sizes(
    need: str, heads: Mapping[str, tuple[int, ...]]
) -> Mapping[str, tuple[int, ...]]:
    """Return the sizes of a measurement's arrays, by their names; Fisher's has the head too."""
    if need == "fisher":
        own = {
            f"{of}/{name}": size for name, size in heads.items() for of in ("head", "start/head")
        }
        return _BACKBONE | own
    return _MEASURED.get(need, _BACKBONE)


def leaves(step: Step) -> list[Tensor]:
    """Return the inputs that a penalty may be differentiated by."""
    groups = (step.backbone, step.head, step.maps)
    inputs = [step.features, step.logits, *(t for group in groups for t in group.values())]
    return [tensor for tensor in inputs if tensor.requires_grad]


def with_leaves(step: Step, tensors: Sequence[Tensor]) -> Step:
    """Return the step with its leaves replaced, in the order of `leaves`."""
    new = iter(tensors)

    def swap(tensor: Tensor) -> Tensor:
        return next(new) if tensor.requires_grad else tensor

    return replace(
        step,
        features=swap(step.features),
        logits=swap(step.logits),
        backbone={name: swap(t) for name, t in step.backbone.items()},
        head={name: swap(t) for name, t in step.head.items()},
        maps={name: swap(t) for name, t in step.maps.items()},
    )


def in_float64(step: Step) -> Step:
    """Return a step of the same numbers in float64, with the same leaves."""

    def exact(tensor: Tensor) -> Tensor:
        return tensor.detach().double().requires_grad_(tensor.requires_grad)

    def all_exact(group: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: exact(tensor) for name, tensor in group.items()}

    return Step(
        features=exact(step.features),
        logits=exact(step.logits),
        labels=step.labels,
        backbone=all_exact(step.backbone),
        head=all_exact(step.head),
        start=all_exact(step.start),
        maps=all_exact(step.maps),
        source_maps=all_exact(step.source_maps),
        measured={name: all_exact(arrays) for name, arrays in step.measured.items()},
        source_logits=None if step.source_logits is None else exact(step.source_logits),
    )


def tensors_of(step: Step) -> dict[str, Tensor]:
    """Return every tensor of a step by the path to it, such as ``backbone.conv.weight``."""
    found = {"features": step.features, "logits": step.logits, "labels": step.labels}
    for group in ("backbone", "head", "start", "maps", "source_maps"):
        found |= {f"{group}.{name}": t for name, t in getattr(step, group).items()}
    found |= {} if step.source_logits is None else {"source_logits": step.source_logits}
    for measurement, arrays in step.measured.items():
        found |= {f"measured.{measurement}.{name}": t for name, t in arrays.items()}
    return found
