"""PROFIT (GOODFIT): an optimizer for fine-tuning a network that has converged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

# Makes a fresh batch's gradient in ``.grad``, and returns the loss.
Closure = Callable[[], Any]
Reference = Callable[[list[Tensor]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Look:
    """What one step saw.

    Attributes
    ----------
    cosine
        Of Δ and the gradient at the displaced point, over all parameters; 0 where one is zero.
    projected
        Share of the parameter tensors whose gradient was projected: 0 or 1 with one product.
    displacement
        ‖Δ‖₂.
    """

    cosine: float
    projected: float
    displacement: float


class PROFIT(torch.optim.Optimizer):
    """Steps of an optimizer whose gradients are kept from undoing a short walk of their own.

    One step (Algorithm 1 of the paper), at θ::

        n_ref times, each on a fresh batch:   θ ← O_ref(θ, ∇L(θ)),   Δ the sum of its moves
        on another fresh batch:               g ← ∇L(θ + Δ);   ω ← ⟨Δ, g⟩
        where ω < 0:                          g ← g − (ω / ⟨Δ, Δ⟩) Δ
        restore θ exactly, then               θ ← O(θ, g)

    so that a step takes n_ref + 1 gradients. Δ is the sum of what O_ref adds and not the
    difference of two parameters, which in float32 is rounding where λ_ref is small. It is O_ref's
    state that walks: O_ref works on parameters of its own that begin at zero and hold Δ.

    Parameters
    ----------
    optimizer
        O, made by the user; its groups and rates are this one's, so that a scheduler of either
        sets both.
    n_ref
        Number of reference steps.
    ratio
        λ_ref is each group's rate divided by it.
    lr_ref
        λ_ref itself, the same for all groups; instead of ``ratio``.
    follows
        Whether λ_ref changes as a group's rate does from its first (its ``initial_lr``, where a
        scheduler has set that). Where not given, a ``ratio`` does and ``lr_ref`` does not.
    reference
        Makes O_ref from a list of tensors; plain SGD where not given. Its rate is set here. What
        it adds must not depend on the parameters: no decay.
    guard
        Project only where ω < 0 (Algorithm 1); else always (the text and Figure 1).
    products
        ``global``: one product over all parameters, as the paper writes; ``tensor``: one each.
    buffers
        Running statistics that reference gradients are not to move; restored after each.
    foreach
        Whether products and moves are made for many tensors at once.

    Raises
    ------
    ValueError
        If a number is out of its range, or O_ref decays its parameters.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        n_ref: int = 1,
        ratio: float | None = None,
        lr_ref: float | None = None,
        follows: bool | None = None,
        reference: Reference | None = None,
        guard: bool = True,
        products: Literal["global", "tensor"] = "global",
        buffers: Sequence[Tensor] = (),
        foreach: bool = True,
    ) -> None:
        if n_ref < 1:
            raise ValueError(f"n_ref must be at least 1, not {n_ref}")
        if ratio is not None and lr_ref is not None:
            raise ValueError("give ratio or lr_ref, not both")
        scale = ratio if ratio is not None else lr_ref if lr_ref is not None else 10.0
        if not scale > 0:
            raise ValueError(f"ratio and lr_ref must be above 0, not {scale}")
        if products not in ("global", "tensor"):
            raise ValueError(f"products must be 'global' or 'tensor', not {products!r}")
        self.optimizer = optimizer
        self.n_ref = n_ref
        self.ratio = None if lr_ref is not None else scale
        self.lr_ref = lr_ref
        self.follows = lr_ref is None if follows is None else follows
        self.guard = guard
        self.products = products
        self.look: Look | None = None
        """What the last step saw."""
        self._make = reference or (lambda tensors: torch.optim.SGD(tensors, lr=0.0))
        self._buffers = list(buffers)
        self._foreach = foreach
        # The base class's own lists are not used: the groups are those of O.
        self._walks: list[Tensor] = []
        self._reference: torch.optim.Optimizer | None = None
        self.defaults = dict(optimizer.defaults)
        for group in optimizer.param_groups:
            self._check_rate(group)

    # -- as an optimizer ---------------------------------------------------------------------

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of O."""
        return self.optimizer.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The state of O."""
        return self.optimizer.state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        self.optimizer.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters; O_ref's state begins anew."""
        self.optimizer.add_param_group(param_group)
        self._check_rate(self.param_groups[-1])
        self._walks, self._reference = [], None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of O and of O_ref; Δ is no state, since each step begins it anew."""
        reference = self._reference
        return {
            "optimizer": self.optimizer.state_dict(),
            "reference": None if reference is None else reference.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the states of ``state_dict``."""
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self._walks, self._reference = [], None
        if state_dict["reference"] is not None:
            self._begin(self._parameters())
            assert self._reference is not None
            self._reference.load_state_dict(state_dict["reference"])

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of."""
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what a copy is made of."""
        self.__dict__.update(state)

    def __repr__(self) -> str:
        """Name the parts."""
        rate = f"lr_ref={self.lr_ref}" if self.ratio is None else f"ratio={self.ratio}"
        return f"PROFIT({type(self.optimizer).__name__}, n_ref={self.n_ref}, {rate})"

    # -- a step ------------------------------------------------------------------------------

    def step(  # type: ignore[override]
        self,
        closure: Closure,
        *,
        scaler: torch.amp.GradScaler | None = None,
        apply: Callable[[], None] | None = None,
    ) -> Any:
        """Make one step and return the loss at the displaced point.

        Parameters
        ----------
        closure
            Draws a fresh batch, leaves its gradient in ``.grad`` in place of what was there, and
            returns the loss. Called n_ref + 1 times.
        scaler
            Of automatic mixed precision, if the closure scales its loss; ``scaler.update()`` is
            left to the caller. A reference gradient that is not finite ends the walk, and O then
            makes no step.
        apply
            Lets O make its step; ``optimizer.step()``, or the scaler's, where not given.
        """
        parameters = self._parameters()
        start = [p.detach().clone() for p in parameters]
        try:
            finite = self._walk(parameters, start, closure, scaler)
            with torch.enable_grad():
                loss = closure()
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            self._project(parameters)
        finally:
            _copy(parameters, start)
        if not finite:
            # What the scaler looks at: it skips the step, and lowers its scale.
            _mark_infinite(self.optimizer, scaler)
        if apply is not None:
            apply()
        elif scaler is not None:
            scaler.step(self.optimizer)
        else:
            self.optimizer.step()
        return loss

    def _walk(
        self,
        parameters: list[Tensor],
        start: list[Tensor],
        closure: Closure,
        scaler: torch.amp.GradScaler | None,
    ) -> bool:
        """Make the reference steps; say whether all their gradients were finite."""
        self._begin(parameters)
        assert self._reference is not None
        _fill(self._walks, 0.0)
        for _ in range(self.n_ref):
            with self._still(), torch.enable_grad():
                closure()
            grads = [None if p.grad is None else p.grad.detach().clone() for p in parameters]
            if scaler is not None and scaler.is_enabled():
                scale = scaler.get_scale()
                grads = [None if g is None else g / scale for g in grads]
                if not all(g is None or bool(torch.isfinite(g).all()) for g in grads):
                    return False
            for walk, grad in zip(self._walks, grads, strict=True):
                walk.grad = grad
            self._set_rates()
            self._reference.step()
            _copy(parameters, _sums(start, self._walks, self._foreach))
        return True

    @torch.no_grad()
    def _project(self, parameters: list[Tensor]) -> None:
        pairs = [
            (p.grad, walk)
            for p, walk in zip(parameters, self._walks, strict=True)
            if p.grad is not None
        ]
        if not pairs:
            self.look = Look(0.0, 0.0, 0.0)
            return
        products, squares, norms = _products(pairs)
        omega, square = sum(products), sum(squares)
        fired = 0
        for (grad, walk), own, size in zip(pairs, products, squares, strict=True):
            of_all = self.products == "global"
            product, length = (omega, square) if of_all else (own, size)
            if length > 0 and (product < 0 or not self.guard):
                grad.copy_(grad.double() - (product / length) * walk.double())
                fired += 1
        length = math.sqrt(square * sum(norms))
        self.look = Look(
            cosine=omega / length if length > 0 else 0.0,
            projected=fired / len(pairs),
            displacement=math.sqrt(square),
        )

    def _begin(self, parameters: list[Tensor]) -> None:
        """Make O_ref and the parameters that hold Δ, if those of O are not those it has."""
        if [w.shape for w in self._walks] == [p.shape for p in parameters]:
            return
        self._walks = [nn.Parameter(torch.zeros_like(p)) for p in parameters]
        self._reference = self._make(self._walks)
        decays = [g.get("weight_decay", 0) for g in self._reference.param_groups]
        if any(decays):
            raise ValueError("the reference optimizer must not decay its parameters")
        # One group a group of O, each with its own rate.
        (group,) = self._reference.param_groups
        self._reference.param_groups[:] = [
            {**group, "params": [self._walks[i] for i in members]} for members in self._members()
        ]

    def _members(self) -> Iterator[list[int]]:
        first = 0
        for group in self.param_groups:
            yield list(range(first, first + len(group["params"])))
            first += len(group["params"])

    def _set_rates(self) -> None:
        assert self._reference is not None
        for theirs, ours in zip(self._reference.param_groups, self.param_groups, strict=True):
            theirs["lr"] = self._rate(ours)

    def _rate(self, group: dict[str, Any]) -> float:
        """Return λ_ref of a group of O."""
        if self.ratio is not None:
            return float((group["lr"] if self.follows else group["initial_lr"]) / self.ratio)
        assert self.lr_ref is not None
        if self.follows:
            return float(self.lr_ref * group["lr"] / group["initial_lr"])
        return self.lr_ref

    def _check_rate(self, group: dict[str, Any]) -> None:
        """Note a group's first rate, as schedulers do, where λ_ref is counted from it."""
        if self.follows == (self.ratio is not None):
            return
        first = group.setdefault("initial_lr", group["lr"])
        if self.ratio is None and not first > 0:
            raise ValueError("lr_ref cannot follow a rate that begins at 0: use ratio")

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    @contextmanager
    def _still(self) -> Iterator[None]:
        before = [buffer.clone() for buffer in self._buffers]
        try:
            yield
        finally:
            _copy(self._buffers, before)


@torch.no_grad()
def _copy(to: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(to, values, strict=True):
        tensor.copy_(value)


@torch.no_grad()
def _fill(tensors: Sequence[Tensor], value: float) -> None:
    for tensor in tensors:
        tensor.fill_(value)


@torch.no_grad()
def _sums(one: list[Tensor], other: list[Tensor], foreach: bool) -> list[Tensor]:
    if foreach and one:
        return list(torch._foreach_add(one, other))
    return [a + b for a, b in zip(one, other, strict=True)]


def _products(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[list[float]]:
    """Return ⟨g, Δ⟩, ⟨Δ, Δ⟩ and ⟨g, g⟩ of each tensor; the device is waited for once."""
    # In float64: squares of a small Δ are below what float32 adds up.
    doubles = [(grad.double(), walk.double()) for grad, walk in pairs]
    rows = [
        [(g * d).sum() for g, d in doubles],
        [d.square().sum() for _, d in doubles],
        [g.square().sum() for g, _ in doubles],
    ]
    found: list[list[float]] = torch.stack([torch.stack(row) for row in rows]).tolist()
    return found


def _mark_infinite(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None) -> None:
    if scaler is None:
        raise FloatingPointError("a reference gradient is not finite")
    # Its own record of the look that unscale_ had; it has no public way to add to it.
    for found in scaler._per_optimizer_states[id(optimizer)]["found_inf_per_device"].values():
        found.fill_(1.0)
