"""State as plain data: nested numbers, text and tensors, to JSON and a flat list of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_PLAIN = (bool, int, float, str, type(None))


class CannotSaveError(TypeError):
    """A value that cannot be put back as it was."""


def pack(value: object, tensors: dict[str, Tensor]) -> Any:
    """Return a value as JSON, and add its tensors, on the CPU, to ``tensors``.

    Lists, tuples, mappings (whose keys are plain too), numbers, text, None and strided tensors,
    nested. Every float and every bit of a tensor come back as they were.

    Raises
    ------
    CannotSaveError
        If there is anything else in it.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        # NumPy's float64 is one.
        return float(value)
    if isinstance(value, Tensor):
        return _packed(value, tensors)
    if type(value) is list:
        return [pack(each, tensors) for each in value]
    if type(value) is tuple:
        return {"tuple": [pack(each, tensors) for each in value]}
    if isinstance(value, Mapping):
        pairs = [[pack(key, tensors), pack(each, tensors)] for key, each in value.items()]
        return {"map": pairs}
    raise CannotSaveError(f"{type(value).__name__} is neither plain data nor a tensor")


def unpack(value: Any, tensors: Mapping[str, Tensor], device: torch.device) -> Any:
    """Return what `pack` was given; tensors that were not on the CPU are on ``device``."""
    if isinstance(value, list):
        return [unpack(each, tensors, device) for each in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(unpack(each, tensors, device) for each in value["tuple"])
    if "map" in value:
        pairs = ([unpack(part, tensors, device) for part in pair] for pair in value["map"])
        return {_key(key): each for key, each in pairs}
    tensor = tensors[value["tensor"]].to("cpu" if value["cpu"] else device)
    if value["stride"] is None:
        return tensor
    # In which order a tensor lies in memory may decide which kernel runs on it.
    laid = torch.empty_strided(
        tensor.shape, value["stride"], dtype=tensor.dtype, device=tensor.device
    )
    return laid.copy_(tensor)


def _packed(value: Tensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    if value.layout is not torch.strided or value.is_quantized or value.is_complex():
        raise CannotSaveError(f"a tensor of {value.layout} and {value.dtype} is not saved")
    own = value.detach()
    name = str(len(tensors))
    tensors[name] = own.to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)
    laid = None if own.is_contiguous() or not _dense(own) else list(own.stride())
    return {"tensor": name, "cpu": own.device.type == "cpu", "stride": laid}


def _dense(value: Tensor) -> bool:
    # As many places as elements, each once.
    size = 1
    for stride, length in sorted(zip(value.stride(), value.shape, strict=True)):
        if length != 1:
            if stride != size:
                return False
            size *= length
    return True


def _key(key: Any) -> Any:
    if isinstance(key, list | dict | Tensor):
        raise CannotSaveError(f"{type(key).__name__} is no key")
    return key
