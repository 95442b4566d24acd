"""Folding: normalisations in inference mode become part of the convolutions right before them.

With running statistics μ, σ², scale γ and bias β, ``γ (w∗x + c − μ) / √(σ² + ε) + β`` is a
convolution again: of the weights ``γ w / √(σ² + ε)`` and the bias ``γ (c − μ) / √(σ² + ε) + β``.
So a patch of scales and biases costs nothing at inference (Mudrakarta et al. 2019, section 3.1).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Folded:
    """A module with as many normalisations folded as can be.

    Attributes
    ----------
    module
        A copy in evaluation mode; training it trains something else than the original.
    folded
        Name of each normalisation that is gone to the name of the convolution that it is now in.
    left
        Name of each normalisation that stays, and why.
    """

    module: nn.Module
    folded: Mapping[str, str]
    left: Mapping[str, str]


def fold(module: nn.Module, inputs: Tensor) -> Folded:
    """Fold the batch normalisations of a module into the convolutions right before them.

    Which these are is found by watching one forward pass: a normalisation is folded if its input
    is the output of one convolution that nothing else takes. Of a network's task it is
    ``with network.as_task(task) as backbone: fold(backbone, inputs)``.

    Parameters
    ----------
    inputs
        Any that the module takes, ``(b, …)``, of its parameters' dtype; their values do not matter.
    """
    module = copy.deepcopy(module).eval()
    names = {each: name for name, each in module.named_modules()}
    watch = _Watch(module)
    with torch.no_grad(), watch:
        watch.returns(module(inputs))
    folded, left = {}, {}
    for norm in [each for each in names if isinstance(each, _BatchNorm)]:
        found = watch.convolution_before(norm)
        if isinstance(found, str):
            left[names[norm]] = found
            continue
        _fuse(found, norm)
        parent, _, leaf = names[norm].rpartition(".")
        setattr(module.get_submodule(parent), leaf, _without(norm))
        folded[names[norm]] = names[found]
    return Folded(module, folded, left)


def _fuse(convolution: nn.Module, norm: _BatchNorm) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,  # type: ignore[arg-type]
        convolution.bias,  # type: ignore[arg-type]
        norm.running_mean,  # type: ignore[arg-type]
        norm.running_var,  # type: ignore[arg-type]
        norm.eps,
        norm.weight,
        norm.bias,
    )


def _without(norm: _BatchNorm) -> nn.Module:
    """Return what is left of a normalisation's module: its activation, where it has one."""
    if isinstance(norm, BatchNormAct2d):
        return nn.Sequential(norm.drop, norm.act)
    return nn.Identity()


@dataclass(frozen=True)
class _Call:
    """A call that gave a tensor: of which function, and with which tensors."""

    function: Callable[..., Any]
    inputs: tuple[Tensor, ...]
    output: Tensor


class _Watch(TorchFunctionMode):
    """Keeps every call of torch's functions that gives tensors.

    A module is known by its own weight or running mean among a call's arguments: one that
    computes with other numbers, such as standardised weights, is not taken for it.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._calls: list[_Call] = []
        # A module that stands at two places would have to be changed at both.
        self._places: Counter[nn.Module] = Counter(
            each for _, each in module.named_modules(remove_duplicate=False)
        )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, and keep the call."""
        output = func(*args, **(kwargs or {}))
        inputs = tuple(_tensors((args, kwargs or {})))
        self._calls += [_Call(func, inputs, value) for value in _tensors(output)]
        return output

    def returns(self, output: Any) -> None:
        """Take what the whole module returns, which takes it too."""
        self._calls += [_Call(self.returns, (value,), value) for value in _tensors(output)]

    def convolution_before(self, norm: _BatchNorm) -> nn.Module | str:
        """Return the convolution that a normalisation can be folded into, or why there is none."""
        if norm.running_mean is None:
            return "has no running statistics"
        if type(norm) not in (*_PLAIN, BatchNormAct2d):
            return f"is a {type(norm).__name__}, which may do more than normalise"
        calls = self._with(norm.running_mean)
        if len(calls) != 1 or self._places[norm] != 1:
            return "did not run" if not calls else "runs more than once"
        given = calls[0].inputs[0]
        before = [c for c in self._calls if c.output is given and c.function != self.returns]
        if len(before) != 1 or before[0].function not in _CONVOLUTIONS:
            return "does not follow a convolution"
        if len(self._with(given)) != 1:
            return "is not the only one to take its convolution's output"
        for convolution in self._places:
            weight = convolution._parameters.get("weight")
            if weight is not None and weight is before[0].inputs[1]:
                if len(self._with(weight)) == 1 and self._places[convolution] == 1:
                    return convolution
                return "follows a convolution that runs more than once"
        return "follows a convolution of weights that are no module's own"

    def _with(self, tensor: Tensor) -> list[_Call]:
        return [call for call in self._calls if any(each is tensor for each in call.inputs)]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


__all__ = ["Folded", "fold"]
