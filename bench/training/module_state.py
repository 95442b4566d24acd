"""All that modules, parts, optimizers and random streams keep from one step to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from bench.training.stateless import FUNCTIONS, check_stateless, of_libraries
from bench.training.tree import CannotSaveError, pack

State = Mapping[str, Any]
# What every module has, parameters and hooks among them; the mode is state.
_OF_EVERY_MODULE = frozenset(vars(nn.Module())) - {"training"}
_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip
# Values of a user's module that no step changes.
_FIXED = (nn.Module, torch.dtype, torch.device, torch.Size, type)


def module_state(module: nn.Module, *, parameters: bool = True) -> State:
    """Return everything that a module and those within it hold, by their paths.

    Parameters with whether they train, buffers (those too that are in no checkpoint), each one's
    mode, and plain attributes such as a counter or the place in a queue.

    Raises
    ------
    CannotSaveError
        If a user's module has an attribute that cannot be saved, or any one a function, or a hook,
        that may keep something.
    """
    held = _storages(module)
    return {
        path: {
            "parameters": _parameters(each) if parameters else {},
            "trains": {n: p.requires_grad for n, p in each._parameters.items() if p is not None},
            "buffers": dict(each._buffers),
            "plain": dict(_plain(each, held)),
        }
        for path, each in module.named_modules()
    }


def restore_module(module: nn.Module, state: State) -> None:
    """Put what `module_state` returned into a module that was made the same way, in place.

    Raises
    ------
    ValueError
        If it was made otherwise.
    """
    modules = dict(module.named_modules())
    if modules.keys() != state.keys():
        raise ValueError(f"other modules: {sorted(modules.keys() ^ state.keys())[:3]}")
    held = _storages(module)
    with torch.no_grad():
        for path, saved in state.items():
            own = modules[path]
            for name, value in saved["parameters"].items():
                _same_shape(path, name, own._parameters[name], value)
                own._parameters[name].copy_(value)
            for name, trains in saved["trains"].items():
                own._parameters[name].requires_grad_(trains)
            for name, value in saved["buffers"].items():
                _put_buffer(own, name, value)
            _put_plain(own, saved["plain"], held)


def part_state(part: BaseModel) -> State:
    """Return what a part may change: its private attributes, and parameters that are mappings.

    Raises
    ------
    CannotSaveError
        If one cannot be saved.
    """
    settings = {name: getattr(part, name) for name in type(part).model_fields}
    mappings = {name: dict(value) for name, value in settings.items() if isinstance(value, dict)}
    return {**(part.__pydantic_private__ or {}), **mappings}


def restore_part(part: BaseModel, state: State) -> None:
    """Put what `part_state` returned into a part of the same parameters."""
    for name, value in state.items():
        if name in type(part).model_fields:
            # The part cannot be given another one.
            own = getattr(part, name)
            own.clear()
            own.update(value)
        else:
            setattr(part, name, value)


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Return an optimizer's state by the place of each parameter, and its groups' settings."""
    states = optimizer.state
    return {
        "groups": [
            {name: value for name, value in group.items() if name != "params"}
            for group in optimizer.param_groups
        ],
        "state": [dict(states[p]) if p in states else None for p in _parameters_of(optimizer)],
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Put what `optimizer_state` returned into an optimizer that was made the same way.

    Unlike ``load_state_dict`` it converts nothing.

    Raises
    ------
    ValueError
        If it was made otherwise.
    """
    for group, saved in zip(optimizer.param_groups, state["groups"], strict=True):
        group.update(saved)
    for parameter, own in zip(_parameters_of(optimizer), state["state"], strict=True):
        if own is not None:
            optimizer.state[parameter] = own


class Randomness:
    """Torch's global random state, which a network's dropout draws from."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def state(self) -> State:
        """Return the CPU's, and the GPU's where the training is on one."""
        found = {"cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            found["cuda"] = torch.cuda.get_rng_state(self._device)
        return found

    def restore(self, state: State) -> None:
        """Go on with the numbers that come next."""
        torch.set_rng_state(state["cpu"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self._device)


class NetworkState:
    """A module's whole state."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def state(self) -> State:
        """Return `module_state`."""
        return module_state(self._module)

    def restore(self, state: State) -> None:
        """Put it back."""
        restore_module(self._module, state)


class PartsState:
    """What parts keep in private attributes."""

    def __init__(self, parts: Iterable[BaseModel]) -> None:
        self._parts = list(parts)

    def state(self) -> list[State]:
        """Return `part_state` of each."""
        return [part_state(part) for part in self._parts]

    def restore(self, state: list[State]) -> None:
        """Put it back."""
        for part, own in zip(self._parts, state, strict=True):
            restore_part(part, own)


def _parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in module._parameters.items() if p is not None}


def _parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _storages(module: nn.Module) -> set[int]:
    every = [*module.parameters(), *module.buffers()]
    return {tensor.untyped_storage().data_ptr() for tensor in every}


def _plain(module: nn.Module, held: set[int]) -> Iterator[tuple[str, Any]]:
    known = of_libraries(type(module))
    hooks = [vars(module).get(name) for name in _HOOKS]
    hooks += [
        parameter._backward_hooks
        for parameter in module._parameters.values()
        if parameter is not None
    ]
    for hook in (hook for of in hooks if of for hook in of.values()):
        _stateless(module, "a hook", hook)
    for name, value in vars(module).items():
        if name in _OF_EVERY_MODULE:
            continue
        if isinstance(value, _FIXED):
            continue
        if isinstance(value, FUNCTIONS):
            _stateless(module, name, value)
            continue
        try:
            _check_plain(value, held)
        except CannotSaveError as error:
            if known:
                continue
            raise CannotSaveError(f"{type(module).__name__}.{name}: {error}") from None
        yield name, value


def _stateless(module: nn.Module, name: str, function: object) -> None:
    try:
        check_stateless(function)
    except CannotSaveError as error:
        raise CannotSaveError(f"{type(module).__name__}, {name}: {error}") from None


def _check_plain(value: object, held: set[int]) -> None:
    """See that a copy of a value can stand in its place."""
    tensors: dict[str, Tensor] = {}
    pack(value, tensors)
    # Another name of a parameter would become a tensor of its own.
    if isinstance(value, Tensor):
        if value.untyped_storage().data_ptr() in held:
            raise CannotSaveError("it shares the memory of a parameter or buffer")
    elif tensors:
        raise CannotSaveError("it has tensors within, which others may have too")


def _put_plain(module: nn.Module, saved: State, held: set[int]) -> None:
    for name in dict(_plain(module, held)):
        if name not in saved:
            del vars(module)[name]
    for name, value in saved.items():
        own = vars(module).get(name)
        if isinstance(own, Tensor) and isinstance(value, Tensor) and own.shape == value.shape:
            own.copy_(value)
        elif name not in vars(module) or not _same(vars(module)[name], value):
            vars(module)[name] = value


def _same(one: object, other: object) -> bool:
    """Whether two values are the same; of tensors it is never said."""
    tensors: dict[str, Tensor] = {}
    try:
        return repr(pack(one, tensors)) == repr(pack(other, tensors)) and not tensors
    except CannotSaveError:
        return False


def _put_buffer(module: nn.Module, name: str, value: Tensor | None) -> None:
    own = module._buffers.get(name)
    alike = own is not None and value is not None and own.shape == value.shape
    if alike and own is not None and value is not None and own.dtype == value.dtype:
        # In place: others may hold the tensor too.
        own.copy_(value)
    else:
        module._buffers[name] = value


def _same_shape(path: str, name: str, own: Tensor | None, value: Tensor) -> None:
    if own is None or own.shape != value.shape or own.dtype != value.dtype:
        raise ValueError(f"{path}.{name} is another parameter")
