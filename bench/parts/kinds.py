"""The kinds of parts: what a class of each must offer, and the decorators that register them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.models.network import Network, NetworkOutput
from bench.parts.part import Part, decorator
from bench.spec.parts import named_metrics
from bench.spec.recipe import Image

Tensors = Mapping[str, Tensor]
Array = NDArray[Any]


# -- penalties -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """All that a penalty may look at in one training step.

    Attributes
    ----------
    features
        Pooled penultimate features, ``(b, d)``.
    logits, labels
        Outputs of the head ``(b, n)``, and the targets: ``(b,)`` of a classification.
    backbone, head
        Parameters by name; those that do not train are included. Where a penalty needs
        ``source_head``, ``backbone`` has the start's own head too, which trains at its rates:
        ``source_head.weight`` ``(m, d)`` and, if it has one, ``source_head.bias`` ``(m,)``.
    start
        Detached copies of ``backbone`` before the first step, same names.
    maps, source_maps
        Tapped inner feature maps ``(b, c, h, w)`` of this step's images, from the network and
        from a frozen copy of its start. Empty unless a penalty needs ``source_maps``.
    source_logits
        What the start, frozen and with its own head, says of this step's inputs, ``(b, m)``. None
        unless a penalty needs ``source_logits``.
    measured
        Name of each measurement that is needed to its arrays, by their names.
    """

    features: Tensor
    logits: Tensor
    labels: Tensor
    backbone: Tensors
    head: Tensors
    start: Tensors
    maps: Tensors = field(default_factory=dict)
    source_maps: Tensors = field(default_factory=dict)
    measured: Mapping[str, Tensors] = field(default_factory=dict)
    source_logits: Tensor | None = None


class Penalty(Part):
    """A term added to the loss: a pure function of a step to a scalar.

    ``needs`` is a literal tuple of ``source_maps``, ``source_head``, ``source_logits`` and of
    names of measurements, each of which is made of the cell's start and data and then found in
    ``step.measured``.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, step: Step) -> Tensor:
        """Return the scalar that is added to the loss."""
        raise TypeError(f"{type(self).__name__} does not define __call__(self, step)")

    @classmethod
    def invariants(cls, step: Step) -> Mapping[str, bool]:
        """Return what must hold for any step, each with whether it does; a part may have none.

        ``bench test-method`` calls it on synthetic float64 steps whose differentiable inputs
        are independent leaves.
        """
        return {}


# -- what trains, and what is changed before it does ---------------------------------------------


class Trainable(Part):
    """Which parameters and statistics train."""

    def __call__(self, network: Network) -> None:
        """Freeze the rest: called with everything trainable and in training mode.

        What is to keep its running statistics, or to drop nothing out, is put into evaluation
        mode.
        """
        raise TypeError(f"{type(self).__name__} does not define __call__(self, network)")


class Patch(Part):
    """Changes modules of a network before its first step."""

    def __call__(self, network: Network) -> None:
        """Change the network in place, on the CPU; draws from no global random stream."""
        raise TypeError(f"{type(self).__name__} does not define __call__(self, network)")

    def draw(self, network: Network, stream: Stream) -> None:
        """Fill what was added and begins at random, in place; a patch may have nothing to draw."""


# -- one step ------------------------------------------------------------------------------------

# Draws a fresh batch, leaves its gradient in ``.grad`` in place of what was there, and returns
# the terms of the loss, ``(t,)``.
GradientFunction = Callable[[], Tensor]


class Training(Protocol):
    """What an update works on."""

    network: Network
    optimizer: torch.optim.Optimizer
    """The recipe's, with a group for the backbone and one for the head, at this step's rates."""
    scaler: torch.amp.GradScaler
    """Gradients are scaled by it; it is not enabled but for float16."""

    def apply(self) -> None:
        """Let the optimizer make its step from the gradients that are there."""

    def note(self, curve: str, value: float) -> None:
        """Add to the mean that a curve's next point is; declared in ``curves``."""


class Update(Part):
    """What one step does with gradients.

    ``curves`` is a literal tuple of the names that it notes.
    """

    curves: ClassVar[tuple[str, ...]] = ()

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        """Return what does one step when it is called; what it keeps between steps is its own.

        If it has ``state()``, which returns all of that as numbers, text, tensors, lists and
        mappings of these, and ``restore(state)``, a cell that was killed goes on where it was
        saved; without them it starts over.
        """
        raise TypeError(f"{type(self).__name__} does not define begin(self, training)")


# -- what is asked of data -----------------------------------------------------------------------


class Data(Protocol):
    """What an objective may know of a dataset."""

    @property
    def classes(self) -> int | None:
        """Number of classes; None where targets are numbers."""

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one row's target; empty for a class label."""


@dataclass(frozen=True)
class Drawn:
    """How many rows of each class, ``(classes,)``, there are to learn from.

    Attributes
    ----------
    counts
        What the sampling rate and the long tail leave of the training split.
    trained
        Those of them that are trained on: not held out, and of the classes that train.
    """

    counts: Sequence[int]
    trained: Sequence[int]


class Average(Protocol):
    """A second network, whose parameters follow those of the one that trains."""

    modules: nn.Module | None
    """Its own copy of what the objective's ``modules`` returned."""

    def follow(self, momentum: float) -> None:
        """Let θ̄ ← mθ̄ + (1 − m)θ for every parameter; before the first call they are equal."""

    def __call__(self, inputs: Tensor) -> NetworkOutput:
        """Run it, its modules in the same modes as the network's, without a gradient."""


@dataclass(frozen=True)
class Learning:
    """One step of a task, as its objective's ``learn`` sees it.

    Attributes
    ----------
    inputs
        ``(b, …)``; of an objective with several views ``(views, b, …)``, the same rows, each view
        augmented anew.
    targets
        ``(b, …)``.
    network
        Runs the network on inputs ``(b, …)``, in the recipe's precision; what it gives is float32.
        Penalties see its first pass.
    modules
        What the objective's ``modules`` returned.
    stream
        The random numbers of this step.
    progress
        How much of the training is done, in [0, 1).
    head
        The head's parameters, by name.
    average
        None unless the objective says ``averaged``.
    """

    inputs: Tensor
    targets: Tensor
    network: Callable[[Tensor], NetworkOutput]
    modules: nn.Module | None
    stream: Stream
    progress: float
    head: Tensors = field(default_factory=dict)
    average: Average | None = None


class Objective(Part):
    """Width of the head, loss and metrics.

    ``metrics`` maps a name to its unit and better side, literally: ``{"top1": ("%", "highest")}``;
    ``%`` is recorded as a fraction, and ``top1-{groups}`` is a metric for each name in the
    parameter ``groups``, a ``dict``. ``score`` is the metric that states are chosen by, ``term``
    the loss's name, ``targets`` ``classes``, ``numbers``, ``labels`` (zeros and ones), ``boxes``
    (four numbers), or ``trajectories`` (`bench.data.trajectories`), ``views`` how often a step
    augments each of its rows. ``averaged`` says whether ``learn`` uses a network that follows
    the one that trains (a momentum encoder, a mean teacher).

    What learns by more than outputs and targets defines ``learn``, and perhaps ``modules``.
    """

    metrics: ClassVar[Mapping[str, tuple[str, str]]] = {}
    score: ClassVar[str] = ""
    term: ClassVar[str] = ""
    targets: ClassVar[str] = "classes"
    views: ClassVar[int] = 1
    averaged: ClassVar[bool] = False

    def width(self, data: Data) -> int:
        """Return the number of outputs of the head."""
        raise TypeError(f"{type(self).__name__} does not define width(self, data)")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss over a batch, a scalar; ``outputs`` are ``(b, width)``."""
        raise TypeError(f"{type(self).__name__} does not define loss(self, outputs, targets)")

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return every one of ``metrics`` over a whole split."""
        raise TypeError(f"{type(self).__name__} does not define scores(self, outputs, targets)")

    def drawn(self, drawn: Drawn) -> Objective:
        """Return the objective for data of classes of which so many rows were drawn."""
        return self

    def modules(self, features: int, outputs: int, stream: Stream) -> nn.Module | None:
        """Return modules, drawn from the stream, that train beside the head and score nothing.

        A stage leaves them with its head, for children that keep it.
        """
        return None

    def learn(self, step: Learning) -> Tensor:
        """Return the loss that a step lowers, a scalar: ``loss``, where it is not defined."""
        return self.loss(step.network(step.inputs).logits, step.targets)

    def metric_names(self) -> Mapping[str, tuple[str, str]]:
        """Return ``metrics``, by the names that the parameters give them."""
        return named_metrics(self.metrics, dict(self))

    @classmethod
    def higher_is_better(cls) -> bool:
        """Whether the score's higher side is the better one."""
        return cls.metrics[cls.score][1] == "highest"


class Transform(Part):
    """A change of inputs: fixed, or drawn anew for every training batch.

    ``random`` is a literal: False is one and the same change at every step and in evaluation too,
    from a stream of the cell's seed; True is applied to training batches alone. ``draws``, a
    literal too, is False where nothing is drawn, so that the change is one and the same at every
    seed: a measurement may then look at networks of other seeds than its own.
    """

    random: ClassVar[bool] = False
    draws: ClassVar[bool] = True

    def __call__(self, inputs: Tensor, stream: Stream) -> Tensor:
        """Return inputs ``(b, …)`` changed, as they go into the network."""
        raise TypeError(f"{type(self).__name__} does not define __call__(self, inputs, stream)")


# -- networks ------------------------------------------------------------------------------------


class Head(Part):
    """Initialisation of a new head; its bias is zero."""

    def weights(self, outputs: int, features: int, stream: Stream) -> Array:
        """Return the weights ``(outputs, features)``, float64, drawn from the stream."""
        raise TypeError(f"{type(self).__name__} does not define weights(…)")


class Architecture(Part):
    """A network that is not timm's: from inputs ``(b, …)`` to features ``(b, d)``."""

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the module, with its width d as ``num_features``.

        ``input_shape`` is one row's. Parameters are drawn from torch's global stream, which is
        the cell's own here.
        """
        raise TypeError(f"{type(self).__name__} does not define build(self, input_shape)")


# -- measurements --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A curve of a measurement: values over a named axis, such as ``layer`` or ``lambda``."""

    at: Sequence[float]
    value: Sequence[float]


@dataclass(frozen=True)
class Measured:
    """What a measurement gives: single numbers, curves, and arrays to keep."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Line] = field(default_factory=dict)
    arrays: Tensors = field(default_factory=dict)


class Measuring(Protocol):
    """What a measurement works on.

    ``image`` says how files became images, normalisation included; None of other inputs.
    """

    seed: int
    device: torch.device
    dataset: str
    classes: int | None
    roles: tuple[str, ...]
    """Of its networks, as declared; those of an open role by their numbers, from 1 on."""
    image: Image | None

    def network(self, role: str) -> Network:
        """Return a role's network in evaluation mode on the device; its heads as it was left.

        One that came without a head has one of zeros for the data's objective. Each call gives
        a new copy.
        """

    def new_head(self, network: Network) -> nn.Linear:
        """Give a network a head of zeros for the data's objective, and return it."""

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs without augmentation, and targets, of ``train`` or ``test``.

        Parameters
        ----------
        shuffle
            Draws a random order; the split's own order without it.
        limit
            The first so many rows only.
        """

    def scores(
        self,
        network: Network,
        split: str,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> dict[str, float]:
        """Return the objective's metrics of a network on a split; parameters as of `batches`."""

    def scores_of(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the objective's metrics of outputs ``(n, width)``."""

    def average_anew(self, network: Network, batch_size: int) -> None:
        """Average running statistics over all training rows anew, in place.

        Rows come shuffled, in one order for all networks, in batches of nearly one size.
        """

    def settings(self, role: str) -> Mapping[str, Any]:
        """Return all settings of the training that left a role's network, as records keep them.

        Empty of a network that no cell has trained.
        """

    def parent(self, role: str) -> dict[str, Tensor]:
        """Return the tensors that a role's cell has kept for this one: its predictions, say.

        These are ``outputs`` ``(n, width)`` and ``targets`` of the test split and, where rows are
        held out, ``validation/outputs`` and ``validation/targets``; of several tasks each name
        begins with ``TASK/``.
        """

    def stream(self, *name: object) -> Stream:
        """Return a random stream of the cell's own, by name."""


class Measurement(Part):
    """Looks at networks, and trains nothing that is reported.

    Literals: ``roles`` name the networks it looks at (``start`` is what a training cell starts
    from, where a penalty needs the measurement), and the last may be open: of ``judge*`` a suite
    gives any number, ``judge1``, ``judge2``, …; ``data`` is ``task``, ``source`` (the task that
    the start was trained on) or ``none``; ``reads`` says which artifact of a role's cell is asked
    for, ``checkpoint`` or ``predictions``; ``metrics`` as of an objective; ``curves`` maps a
    curve's name, made as a metric's, to the axis it runs over.
    """

    roles: ClassVar[tuple[str, ...]] = ()
    data: ClassVar[str] = "task"
    reads: ClassVar[str] = "checkpoint"
    metrics: ClassVar[Mapping[str, tuple[str, str]]] = {}
    curves: ClassVar[Mapping[str, str]] = {}

    def __call__(self, measuring: Measuring) -> Measured:
        """Return what was found."""
        raise TypeError(f"{type(self).__name__} does not define __call__(self, measuring)")

    def metric_names(self) -> Mapping[str, tuple[str, str]]:
        """Return ``metrics``, by the names that the parameters give them."""
        return named_metrics(self.metrics, dict(self))

    def curve_names(self) -> Mapping[str, str]:
        """Return ``curves``, by the names that the parameters give them."""
        return named_metrics(self.curves, dict(self))


penalty = decorator("penalty", Penalty)
trainable = decorator("trainable", Trainable)
patch = decorator("patch", Patch)
update = decorator("update", Update)
objective = decorator("objective", Objective)
transform = decorator("transform", Transform)
head = decorator("head", Head)
network = decorator("network", Architecture)
measurement = decorator("measurement", Measurement)
