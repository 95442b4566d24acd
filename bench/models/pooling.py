"""Adaptive average pooling by constant matrices, for backbones whose inputs it enlarges."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

# To copy them at each step makes a GPU wait.
_KEPT_ON = frozenset({"cuda"})


def averaging_matrix(size: int, out: int) -> Tensor:
    """Return ``(out, size)`` float32, each row the mean over adaptive pooling's window.

    Row i averages the positions from floor(i · size / out) to ceil((i + 1) · size / out).
    """
    matrix = torch.zeros(out, size)
    for i in range(out):
        start, end = i * size // out, -(-(i + 1) * size // out)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def enlarge_deterministically(backbone: nn.Module) -> None:
    """Let timm's ``ConvMlp`` (VGG) enlarge small maps by matrices before it would pool them.

    For images below 224 pixels it calls ``adaptive_avg_pool2d``, whose gradient torch has no
    deterministic kernel for on CUDA. The function computed is the same. In place.
    """
    for module in backbone.modules():
        kernel = getattr(module, "input_kernel_size", None)
        if type(module).__name__ == "ConvMlp" and isinstance(kernel, int):
            module.register_forward_pre_hook(_enlarger(kernel))


def _enlarger(kernel: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...] | None]:
    kept: dict[object, Tensor] = {}

    def matrix(size: int, maps: Tensor) -> Tensor:
        if maps.device.type not in _KEPT_ON:
            return averaging_matrix(size, max(size, kernel)).to(maps)
        key = (size, maps.device, maps.dtype)
        if key not in kept:
            # One made in inference mode could not be used in training.
            with torch.inference_mode(False):
                made = averaging_matrix(size, max(size, kernel))
                kept[key] = made.to(maps.device, maps.dtype)
        return kept[key]

    def enlarge(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        maps = inputs[0]
        height, width = maps.shape[-2:]
        if height >= kernel and width >= kernel:
            return None
        return (matrix(height, maps) @ maps @ matrix(width, maps).T, *inputs[1:])

    return enlarge
