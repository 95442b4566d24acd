"""A network's modules, by the paths that a suite names them by."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from bench.errors import UserError, did_you_mean
from bench.models.network import Network

HEAD = "head"


def units(network: Network) -> dict[str, nn.Module]:
    """Return the smallest modules that hold a state, by their paths, in the network's order.

    These are all modules of the backbone with parameters of their own, and normalisations with
    running statistics. A unit may hold others (a transformer's root has a class token): what is
    its alone is ``own_state(unit, below=False)``. The root's path is empty.
    """
    return {
        path: module
        for path, module in network.backbone.named_modules()
        if any(True for _ in module.parameters(recurse=False)) or _has_statistics(module)
    }


def submodule(network: Network, path: str, *, part: str = "") -> nn.Module:
    """Return a module of the backbone by its path, such as ``layer1``; ``head`` is the head.

    Parameters
    ----------
    part
        The measurement whose parameter ``modules`` names it; errors say it.

    Raises
    ------
    UserError
        If the backbone has no such module, or the network no single head.
    """
    field = _field(part)
    if path == HEAD:
        heads = list(network.heads.values())
        if len(heads) != 1:
            raise UserError(
                f"the network has the heads {', '.join(network.heads)}, and {HEAD} names a single "
                "one",
                field=field,
                remedy="leave it out, or measure a network of one task",
            )
        return heads[0]
    known: dict[str, nn.Module] = dict(network.backbone.named_modules())
    if not path or path not in known:
        raise UserError(
            f"{network.name} has no module {path!r}",
            field=field,
            remedy=did_you_mean(path, [HEAD, *filter(None, known)]),
        )
    return known[path]


def sections(
    network: Network, modules: Mapping[str, str], *, part: str = ""
) -> dict[str, nn.Module]:
    """Return modules by the names that are shown for them, in the network's order, the head last.

    The order in which a suite writes them is none: it changes no cell's id, and may change no
    number.

    Parameters
    ----------
    modules
        Shown name to path; ``part`` as above.

    Raises
    ------
    UserError
        As ``submodule`` does, and if two names are of one module.
    """
    found = {name: submodule(network, path, part=part) for name, path in modules.items()}
    places = {id(module): at for at, module in enumerate(network.modules())}
    order = sorted(found, key=lambda name: places[id(found[name])])
    for name, after in pairwise(order):
        if found[name] is found[after]:
            raise UserError(
                f"{name} and {after} are one module, {modules[name]}",
                field=_field(part),
                remedy="name each module once",
            )
    return {name: found[name] for name in order}


def own_state(module: nn.Module, *, below: bool = True) -> dict[str, Tensor]:
    """Return a module's floating-point parameters and kept buffers, by name.

    They are the module's own tensors, detached: what is copied into them changes it. Counters,
    such as a batch normalisation's of its batches, are left out.

    Parameters
    ----------
    below
        With those of the modules in it.
    """
    state = {
        name: value for name, value in module.state_dict().items() if value.is_floating_point()
    }
    return state if below else {name: value for name, value in state.items() if "." not in name}


def _field(part: str) -> str:
    return f"measure.part.{part}.modules" if part else "modules"


def _has_statistics(module: nn.Module) -> bool:
    return isinstance(getattr(module, "running_mean", None), Tensor)
