"""The network that is fine-tuned: a timm backbone, pooled features, and a linear head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bench.models.taps import TapPoint, find_taps


@dataclass(frozen=True)
class NetworkOutput:
    """What one forward pass gives.

    Attributes
    ----------
    features
        Pooled penultimate features, ``(b, d)``.
    logits
        ``(b, n)``.
    maps
        The outputs of the tapped inner modules that were asked for, ``(b, c, h, w)``.
    """

    features: Tensor
    logits: Tensor
    maps: Mapping[str, Tensor] = field(default_factory=dict)


class _Tap:
    """A forward hook that keeps its module's output while it listens."""

    def __init__(self, overwritten: bool) -> None:
        self.overwritten = overwritten
        self.listening = False
        self.value: Tensor | None = None

    def __call__(self, module: nn.Module, args: object, output: Tensor) -> Tensor | None:
        if not self.listening:
            return None
        self.value = output
        # An in-place activation behind the module would change what was kept.
        return output.clone() if self.overwritten else None


class Network(nn.Module):
    """A backbone without classifier, and a linear head whose parameters start at zero.

    Parameters
    ----------
    backbone
        A timm model with ``num_classes=0``: images ``(b, 3, s, s)`` to features ``(b, d)``.
    classes
        Number of classes of the head.
    name
        The backbone's timm name, such as ``resnet50.tv_in1k``.
    bias
        Whether the head adds one.
    """

    def __init__(self, backbone: nn.Module, classes: int, *, name: str, bias: bool = True) -> None:
        super().__init__()
        self.name = name
        self.classes = classes
        self.backbone = backbone
        width = int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]
        # Its initialisation is the caller's: building a network draws from no random stream.
        head = nn.Linear(width, classes, bias=bias, device="meta").to_empty(device="cpu")
        for parameter in head.parameters():
            nn.init.zeros_(parameter)
        self.head = head
        self._points: tuple[TapPoint, ...] | None = None
        self._taps: dict[str, _Tap] = {}

    @property
    def tap_names(self) -> tuple[str, ...]:
        """Names, within ``backbone``, of the modules whose maps DELTA compares, in their order.

        Raises
        ------
        UserError
            If the backbone has no convolutional feature maps.
        """
        return tuple(point.name for point in self._tap_points())

    def forward(self, images: Tensor, taps: Sequence[str] = ()) -> NetworkOutput:
        """Return features, logits and the maps of ``taps``, names from ``tap_names``.

        Raises
        ------
        KeyError
            If a name is not one of ``tap_names``.
        """
        if not taps:
            features = self.backbone(images)
            return NetworkOutput(features, self.head(features))
        listeners = self._listeners(taps)
        for tap in listeners.values():
            tap.listening = True
        try:
            features = self.backbone(images)
            maps = {name: tap.value for name, tap in listeners.items() if tap.value is not None}
        finally:
            for tap in listeners.values():
                tap.listening, tap.value = False, None
        return NetworkOutput(features, self.head(features), maps)

    def _tap_points(self) -> tuple[TapPoint, ...]:
        if self._points is None:
            self._points = find_taps(self.backbone, self.name)
        return self._points

    def _listeners(self, names: Sequence[str]) -> dict[str, _Tap]:
        if not self._taps:
            for point in self._tap_points():
                tap = self._taps[point.name] = _Tap(point.overwritten)
                self.backbone.get_submodule(point.name).register_forward_hook(tap)
        return {name: self._taps[name] for name in names}


def state_on_cpu(module: nn.Module) -> dict[str, Tensor]:
    """Return a detached, contiguous copy of a module's state on the CPU, by name."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
    }
