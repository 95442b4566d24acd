"""What can be known wrong about tokens: whether all take the same ones for what is no word."""

from __future__ import annotations

from bench.errors import SpecError
from bench.spec.catalogue import entry
from bench.spec.layers import Layers
from bench.spec.work import Train

_MASKED = "masked-tokens"
_TOLD = {"mask": "the masked one", "first": "the first word"}


def check_tokens(layers: Layers, work: Train) -> None:
    """Check that networks and objectives take tokens for what they are in a task's rows.

    Raises
    ------
    SpecError
        For the first token that stands for something else there, or that a setting cannot be.
    """
    _check_network(layers, work)
    _check_masks(layers, work)


def _check_network(layers: Layers, work: Train) -> None:
    """A network that tells texts apart by tokens must be told those of the tokenizer."""
    if isinstance(work.network, str):
        return
    for task in work.tasks.values():
        own = task.dataset in layers.resources.datasets
        tokenizer = None if own else entry(task.dataset).tokenizer
        for name in ("padding", "separator") if tokenizer is not None else ():
            used, theirs = work.network.settings.get(name), getattr(tokenizer, name)
            if used not in (None, theirs):
                raise layers.source_of("networks").error(
                    f"{work.network.name} takes the token {used} for {name}, and in "
                    f"{task.dataset} it is {theirs}",
                    ("networks",),
                    f"state {name}: {theirs}",
                )


def _check_masks(layers: Layers, work: Train) -> None:
    """What is masked must be words, and what masks them the token that stands for a masked one."""
    for task in work.tasks.values():
        if task.objective.name != _MASKED:
            continue
        settings = task.objective.settings
        if settings["share"] > 1:
            raise _wrong(layers, "share", f"is a share of the words (given: {settings['share']:g})",
                        "use one of at most 1, such as 0.15")  # fmt: skip
        for name in ("mask", "first"):
            if settings[name] >= settings["vocabulary"]:
                raise _wrong(
                    layers,
                    name,
                    f"is a token of {settings['vocabulary']} (given: {settings[name]})",
                    f"use one below vocabulary: {settings['vocabulary']}",
                )
        own = task.dataset in layers.resources.datasets
        known = None if own else entry(task.dataset).masking
        for name, told in _TOLD.items() if known is not None else ():
            theirs = getattr(known, name)
            if settings[name] != theirs:
                raise _wrong(
                    layers,
                    name,
                    f"{_MASKED} takes the token {settings[name]} for {told}, and in "
                    f"{task.dataset} it is {theirs}",
                    f"state {name}: {theirs}",
                )


def _wrong(layers: Layers, name: str, message: str, remedy: str) -> SpecError:
    loc = ("task", "objective", _MASKED, name)
    return layers.source_of(*loc).error(message, loc, remedy)
