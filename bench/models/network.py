"""The network that is fine-tuned: a backbone, its features, and a linear head for each task."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bench.errors import UserError, did_you_mean
from bench.models.head import feature_width, head_of, zero_head
from bench.models.taps import TapPoint, find_taps


@dataclass(frozen=True)
class NetworkOutput:
    """What one forward pass gives.

    Attributes
    ----------
    features
        Pooled penultimate features, ``(b, d)``.
    logits
        The head's outputs, ``(b, n)``.
    maps
        The outputs of the tapped inner modules that were asked for, ``(b, c, h, w)``.
    states
        Each position's state ``(b, t, d)``, of a backbone of sequences that gives them.
    """

    features: Tensor
    logits: Tensor
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    states: Tensor | None = None


class Features(Tensor):
    """Features ``(b, d)`` in the place of inputs: the backbone is not run on them."""


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


class _ByName(nn.Module):
    """Modules by any name, dotted ones and those of ``nn.Module``'s own attributes too."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._modules.update(modules)

    def items(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield names and modules, in the order in which they were added."""
        for name, module in self._modules.items():
            assert module is not None
            yield name, module

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Tensor],
        prefix: str,
        local_metadata: object,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # torch takes what stands before the first dot for a module's name.
        ours = tuple(f"{prefix}{name}." for name in self._modules)
        unexpected_keys += [
            key for key in state_dict if key.startswith(prefix) and not key.startswith(ours)
        ]


class Network(nn.Module):
    """A backbone without classifier, and a linear head a task whose parameters start at zero.

    Parameters
    ----------
    backbone
        Inputs ``(b, …)`` to features ``(b, d)``; see `feature_width`. timm's, with
        ``num_classes=0``, take images ``(b, 3, s, s)``. One of sequences may have ``states``, from
        inputs to ``(b, t, d)``, and ``pooled``, from these to features. A module ``head_dropout``
        of a backbone acts between features and heads.
    widths
        Number of outputs of each task's head, by the task's name: ``""`` where there is one.
    shared
        Task to the task whose head it uses, of those that have none of their own.
    name
        The backbone's name, such as ``resnet50.tv_in1k``.
    bias
        Whether the heads add one.
    trainings
        How many are behind the backbone's weights; checkpoints say it.
    """

    def __init__(
        self,
        backbone: nn.Module,
        widths: Mapping[str, int],
        *,
        name: str,
        shared: Mapping[str, str] | None = None,
        bias: bool = True,
        trainings: int = 0,
    ) -> None:
        super().__init__()
        self.name = name
        self.trainings = trainings
        self.backbone = backbone
        self.replace_heads(widths, shared=shared, bias=bias)
        self._points: tuple[TapPoint, ...] | None = None
        self._taps: dict[tuple[str, str], _Tap] = {}

    # -- heads

    @property
    def heads(self) -> Mapping[str, nn.Linear]:
        """Each task's head, in the tasks' order; of a single task without a name it is ``head``.

        Tasks that share a head have one and the same module.
        """
        own = self._own_heads()
        return {task: own[owner] for task, owner in self._owners.items()}

    def _own_heads(self) -> dict[str, nn.Linear]:
        if isinstance(self.head, nn.Linear):
            return {"": self.head}
        assert isinstance(self.head, _ByName)
        return {task: head for task, head in self.head.items() if isinstance(head, nn.Linear)}

    @property
    def shared_heads(self) -> dict[str, str]:
        """Task to the task whose head it uses, of those that have none of their own."""
        return {task: owner for task, owner in self._owners.items() if task != owner}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(self._owners)

    @property
    def widths(self) -> dict[str, int]:
        """Number of outputs of each task's head."""
        return {task: head.out_features for task, head in self.heads.items()}

    def replace_heads(
        self,
        widths: Mapping[str, int],
        *,
        shared: Mapping[str, str] | None = None,
        bias: bool = True,
    ) -> None:
        """Give the network heads of zeros; no random stream is drawn from.

        Raises
        ------
        ValueError
            If there is no task, or one of several has no name, or one is called ``training`` or has
            a dot in its name.
        UserError
            If a task is to use a head that is not of its width, or no task's own.
        """
        shared = shared or {}
        for task, owner in shared.items():
            if owner not in widths or owner in shared:
                raise UserError(
                    f"the task {task} cannot use the head of {owner}, which has none of its own",
                    remedy=did_you_mean(owner, [name for name in widths if name not in shared]),
                )
            if widths[task] != widths[owner]:
                raise UserError(
                    f"the task {task} needs {widths[task]} outputs, and the head of {owner}, which "
                    f"it is to use, has {widths[owner]}",
                    field=f"tasks.{task}.head",
                    remedy="leave head out: a head of its own",
                )
        features = feature_width(self.backbone)
        self._set_heads(
            {t: zero_head(features, n, bias=bias) for t, n in widths.items() if t not in shared},
            {task: shared.get(task, task) for task in widths},
        )

    def load_heads(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Give the network heads as they were left: each task's ``weight`` and ``bias``, if any."""
        self._set_heads(
            {task: head_of(state) for task, state in states.items()},
            {task: task for task in states},
        )

    def _set_heads(self, heads: Mapping[str, nn.Linear], owners: Mapping[str, str]) -> None:
        several = len(owners) > 1
        # A module has an attribute ``training``, and a state's names have dots between them.
        if not owners or any((several and not t) or "." in t or t == "training" for t in owners):
            raise ValueError(f"{tuple(owners)} are no names of tasks")
        if self._copies() and tuple(owners) != self.tasks:
            raise ValueError("modules are private to the tasks that there were")
        self._owners = dict(owners)
        parameter = next(self.backbone.parameters(), None)
        device = parameter.device if parameter is not None else torch.device("cpu")
        alone = heads.get("") if len(heads) == 1 else None
        self.head: nn.Module = (alone if alone is not None else _ByName(heads)).to(device)

    # -- what trains beside the heads

    @property
    def beside(self) -> dict[str, nn.Module]:
        """Modules of objectives, by task: they train, and no pass runs them."""
        container = self._modules.get("beside")
        return dict(container.items()) if isinstance(container, _ByName) else {}

    def put_beside(self, modules: Mapping[str, nn.Module]) -> None:
        """Give tasks modules that their objectives train beside the heads.

        The parameters are ``beside.TASK.NAME``; without any nothing changes.
        """
        if modules:
            device = next(self.parameters()).device
            self._modules["beside"] = _ByName(modules).to(device)

    # -- the head that the backbone came with

    @property
    def source_head(self) -> nn.Linear | None:
        """The start's own head, where it was kept: it belongs to the body, and scores nothing."""
        head = self._modules.get("source_head")
        return head if isinstance(head, nn.Linear) else None

    def keep_source_head(self, state: Mapping[str, Tensor]) -> None:
        """Keep a head of the start: ``weight`` and perhaps ``bias``, as ``source_head.*``."""
        device = next(self.parameters()).device
        self._modules["source_head"] = head_of(state).to(device)

    # -- modules of a task's own

    def private(self, names: Iterable[str], *, parameters: bool = True) -> None:
        """Give each task its own copy of some of the backbone's modules.

        From then on a copy, with its gradients, buffers and modes, is used and changed by its
        task alone; what lies within a named module goes with it. The copies' parameters are
        ``private.TASK.NAME.…``. With a single task nothing changes.

        Parameters
        ----------
        names
            Of modules within ``backbone``.
        parameters
            Whether a copy's parameters are its own too; else the copies share them, and only
            buffers, such as running statistics, are a task's own.

        Raises
        ------
        UserError
            If the backbone has no such module, or a part of one is private already.
        """
        known = dict(self.backbone.named_modules())
        # What lies within another comes after it, and has gone with it.
        for name in sorted(set(names)):
            own = self.private_names
            if any(f"{name}.".startswith(f"{other}.") for other in own):
                continue
            if name not in known or not name:
                raise UserError(
                    f"{self.name} has no module {name!r}", remedy=did_you_mean(name, known)
                )
            if any(other.startswith(f"{name}.") for other in own):
                raise UserError(f"a part of {name} of {self.name} is private already")
            if len(self.tasks) > 1:
                self._make_private(name, parameters)

    @property
    def private_names(self) -> tuple[str, ...]:
        """Names, within the backbone, of the modules that each task has a copy of."""
        copies = self._copies()
        return tuple(dict(copies[self.tasks[0]].items())) if copies else ()

    def _copies(self) -> dict[str, _ByName]:
        # Not an attribute: the name is the method's.
        container = self._modules.get("private")
        if not isinstance(container, _ByName):
            return {}
        return {task: own for task, own in container.items() if isinstance(own, _ByName)}

    def _make_private(self, name: str, parameters: bool) -> None:
        if not self._copies():
            self._modules["private"] = _ByName({task: _ByName({}) for task in self.tasks})
        parent, leaf = self._place(name)
        module = parent._modules[leaf]
        assert module is not None
        for own in self._copies().values():
            # What the copy finds in the memo it does not copy.
            kept = {} if parameters else {id(p): p for p in module.parameters()}
            own._modules[name] = copy.deepcopy(module, kept)
        # Never run: each task's pass puts its own copy here.
        parent._modules[leaf] = nn.Identity()
        # The copies' hooks are copies, to which nobody listens.
        self._taps = {}

    def _place(self, name: str) -> tuple[nn.Module, str]:
        parent, _, leaf = name.rpartition(".")
        return self.backbone.get_submodule(parent), leaf

    @contextmanager
    def as_task(self, task: str) -> Iterator[nn.Module]:
        """Put a task's own modules in their places, and yield the backbone as the task has it."""
        copies = self._copies()
        own = copies[task].items() if copies else ()
        places = [(*self._place(name), module) for name, module in own]
        blanks = [parent._modules[leaf] for parent, leaf, _ in places]
        for parent, leaf, module in places:
            parent._modules[leaf] = module
        try:
            yield self.backbone
        finally:
            for (parent, leaf, _), blank in zip(places, blanks, strict=True):
                parent._modules[leaf] = blank

    def backbone_parameters(self, task: str = "") -> dict[str, nn.Parameter]:
        """Return the backbone's parameters as a task has them, by their names within it."""
        with self.as_task(task) as backbone:
            return dict(backbone.named_parameters())

    def own_parameters(self, task: str) -> dict[str, nn.Parameter]:
        """Return the parameters of a task's head, of its copies of modules and beside, by name."""
        copies = self._copies()
        modules: dict[str, nn.Module] = {"head": self.heads[task]}
        modules |= {"private": copies[task]} if copies else {}
        modules |= {"beside": self.beside[task]} if task in self.beside else {}
        return dict(nn.ModuleDict(modules).named_parameters())

    def body(self) -> nn.ModuleList:
        """Return everything but the heads, to be frozen, to change mode, or for its parameters.

        The start's own head belongs to it where it was kept.
        """
        own = [] if self.source_head is None else [self.source_head]
        return nn.ModuleList([self.backbone, *self._copies().values(), *own])

    # -- passes

    @property
    def tap_names(self) -> tuple[str, ...]:
        """Names, within ``backbone``, of the modules whose maps DELTA compares, in their order.

        Raises
        ------
        UserError
            If the backbone has no convolutional feature maps.
        """
        return tuple(point.name for point in self._tap_points())

    def forward(self, inputs: Tensor, taps: Sequence[str] = (), task: str = "") -> NetworkOutput:
        """Return features, a task's outputs and the maps of ``taps``, names from ``tap_names``.

        Raises
        ------
        KeyError
            If a name is not one of ``tap_names``, or there is no such task.
        ValueError
            If maps are asked for of `Features`.
        """
        head = self.heads[task]
        if isinstance(inputs, Features):
            if taps:
                raise ValueError("features that were computed before have no maps")
            features = inputs.as_subclass(Tensor)
            return NetworkOutput(features, head(features))
        with self.as_task(task):
            if not taps:
                features, states = self._run(inputs)
                return NetworkOutput(features, head(self._dropped(features)), states=states)
            listeners = self._listeners(taps, task)
            for tap in listeners.values():
                tap.listening = True
            try:
                features, states = self._run(inputs)
                maps = {name: tap.value for name, tap in listeners.items() if tap.value is not None}
            finally:
                for tap in listeners.values():
                    tap.listening, tap.value = False, None
        return NetworkOutput(features, head(self._dropped(features)), maps, states)

    def _run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features, and each position's state where the backbone gives it."""
        if not (hasattr(self.backbone, "states") and hasattr(self.backbone, "pooled")):
            return self.backbone(inputs), None
        states = self.backbone.states(inputs)  # type: ignore[operator]
        return self.backbone.pooled(states), states  # type: ignore[operator]

    def _dropped(self, features: Tensor) -> Tensor:
        dropout = self.backbone._modules.get("head_dropout")
        left: Tensor = features if dropout is None else dropout(features)
        return left

    def _tap_points(self) -> tuple[TapPoint, ...]:
        if self._points is None:
            with self.as_task(self.tasks[0]) as backbone:
                self._points = find_taps(backbone, self.name)
        return self._points

    def _listeners(self, names: Sequence[str], task: str) -> dict[str, _Tap]:
        """Return the hooks of a task's modules, which are where they belong."""
        points = self._tap_points()
        if not any(owner == task for owner, _ in self._taps):
            for point in points:
                tap = self._taps[task, point.name] = _Tap(point.overwritten)
                self.backbone.get_submodule(point.name).register_forward_hook(tap)
        return {name: self._taps[task, name] for name in names}


def state_on_cpu(module: nn.Module) -> dict[str, Tensor]:
    """Return a detached, contiguous copy of a module's state on the CPU, by name."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
    }
