"""Which inner layers DELTA compares: one a resolution stage, found by a rule, not by a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import UserError

_STAGES = 4
# timm's names of the convolutions on a residual block's other path.
_SHORTCUTS = frozenset({"downsample", "shortcut", "skip"})


@dataclass(frozen=True)
class TapPoint:
    """A module to tap.

    ``overwritten`` says that a later in-place operation changes the module's output, so that
    whoever keeps the output must let the rest of the network work on a copy.
    """

    name: str
    overwritten: bool


@dataclass(frozen=True)
class _Seen:
    """A module's output in the probing pass, and its version when the module returned it."""

    name: str
    module: nn.Module
    output: Tensor
    version: int

    @property
    def point(self) -> TapPoint:
        return TapPoint(self.name, overwritten=self.output._version != self.version)


def find_taps(backbone: nn.Module, name: str) -> tuple[TapPoint, ...]:
    """Return the layers whose maps DELTA compares, in the order in which they run.

    The rule: in each of the last four resolution stages that timm lists in ``feature_info``,
    the last convolution that has the stage's full width, shortcuts apart. In ResNet-50 these are
    ``layer1.2.conv3``, ``layer2.3.conv3``, ``layer3.5.conv3`` and ``layer4.2.conv3``, as in the
    code released with Li et al. 2019. A stage that joins narrow branches (DenseNet,
    Inception) has no such convolution, and its own output is taken.

    One forward pass on a blank image, in evaluation mode, tells what runs when.

    Raises
    ------
    UserError
        If the stages' outputs are not feature maps ``(b, c, h, w)``, as in a transformer.
    """
    stages = [(str(s["module"]), int(s["num_chs"])) for s in _stages(backbone)]
    seen = _probe(backbone) if stages else []
    ends = {entry.name: index for index, entry in enumerate(seen)}
    if not stages or not all(
        module in ends and _is_map(seen[ends[module]].output, width) for module, width in stages
    ):
        raise UserError(
            f"backbone {name!r} has no stages whose outputs are feature maps (b, c, h, w)",
            remedy="penalties on inner maps (delta) need a convolutional backbone",
        )
    points: list[TapPoint] = []
    begin = 0
    for module, width in stages:
        end = ends[module]
        chosen = _of_stage(seen[begin : end + 1], seen[end], width)
        if chosen is not None:
            points.append(chosen.point)
        begin = end + 1
    return tuple(points[-_STAGES:])


def _stages(backbone: nn.Module) -> Sequence[dict[str, Any]]:
    info: Any = getattr(backbone, "feature_info", None)
    return list(info) if info else []


def _is_map(output: Tensor, width: int) -> bool:
    return output.ndim == 4 and output.shape[1] == width


def _of_stage(ran: Sequence[_Seen], last: _Seen, width: int) -> _Seen | None:
    convolutions = [entry for entry in ran if isinstance(entry.module, nn.Conv2d)]
    if not convolutions:
        return None
    height = last.output.shape[2]
    wide = [
        entry
        for entry in convolutions
        # A squeeze-and-excitation's convolutions are wide too, but see one pixel.
        if _is_map(entry.output, width)
        and entry.output.shape[2] >= height
        and not _SHORTCUTS & set(entry.name.split("."))
    ]
    return wide[-1] if wide else last


def _probe(backbone: nn.Module) -> list[_Seen]:
    """Return every module's output in the order in which the modules finish."""
    parameter = next(backbone.parameters())
    config: Any = getattr(backbone, "pretrained_cfg", None) or {}
    size = config.get("input_size", (3, 224, 224))
    image = torch.zeros((1, *size), device=parameter.device, dtype=parameter.dtype)
    seen: list[_Seen] = []

    def keep(name: str, module: nn.Module, output: object) -> None:
        if isinstance(output, Tensor):
            seen.append(_Seen(name, module, output, output._version))

    handles = [
        module.register_forward_hook(lambda m, _args, out, name=name: keep(name, m, out))
        for name, module in backbone.named_modules()
    ]
    try:
        # Version counters do not exist in inference mode.
        with _evaluating(backbone), torch.inference_mode(False), torch.no_grad():
            backbone(image)
    finally:
        for handle in handles:
            handle.remove()
    return seen


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for inner, training in modes:
            inner.training = training
