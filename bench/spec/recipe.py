"""The recipe: every training setting that is not an axis. Frozen, validated, plain data."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Strict,
    model_validator,
)

T = TypeVar("T")
Scalar = str | int | float | bool
# YAML has lists alone, which become tuples.
Items = Annotated[tuple[T, ...], Strict(False)]
Pair = Annotated[tuple[T, T], Strict(False)]
Triple = Annotated[tuple[T, T, T], Strict(False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _fraction_or_count(value: float) -> float:
    if value >= 1 and value != int(value):
        raise ValueError("is a fraction below 1, or a whole number of images of each class")
    return value


Share = Annotated[NonNegativeFloat, AfterValidator(_fraction_or_count)]


class Frozen(BaseModel):
    """Base of everything a suite may say: immutable; unknown keys are errors, types are kept.

    A number in quotes, or a truth value where a number is due, is a slip that would pass in
    silence: only a whole number stands for a number with decimals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class OneOf(Frozen):
    """A mapping with exactly one key: the choice; its value holds the choice's settings."""

    @model_validator(mode="after")
    def _exactly_one(self) -> OneOf:
        chosen = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(chosen) != 1:
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"exactly one of {known} must be given, not {chosen or 'none'}")
        return self

    @property
    def choice(self) -> str:
        """Name of the choice made."""
        return next(n for n in type(self).model_fields if getattr(self, n) is not None)

    @property
    def settings(self) -> Frozen:
        """Settings of the choice made."""
        value: Frozen = getattr(self, self.choice)
        return value


class Image(Frozen):
    """From a file to the network's input, before augmentation.

    ``fit`` makes it a square of side ``resize``: stretched, its centre cut out, or padded with grey
    (128) on the right and below. ``normalise`` is by ImageNet's means and deviations, to [-1, 1]
    (``half``), or (x - 128) / 64 (``quarter``).
    """

    resize: PositiveInt = 256
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    size: PositiveInt = 224
    normalise: Literal["imagenet", "half", "quarter"] = "imagenet"

    @model_validator(mode="after")
    def _crop_fits(self) -> Image:
        if self.size > self.resize:
            raise ValueError(f"size {self.size} is larger than resize {self.resize}")
        return self


class Augmentation(Frozen):
    """Per-sample augmentation of the training images.

    ``resampling`` is how a random-resized box becomes an image, bilinear and antialiased either
    way: by weights in ``float32``, on the device; or in whole levels of ``uint8``, on the CPU,
    many times faster there and within a level of the other.
    """

    crop: Literal["random-resized", "random", "centre"] = "random-resized"
    scale: Pair[PositiveFloat] = (0.08, 1.0)
    ratio: Pair[PositiveFloat] = (0.75, 4 / 3)
    flip: bool = True
    resampling: Literal["float32", "uint8"] = "float32"

    @model_validator(mode="after")
    def _ordered(self) -> Augmentation:
        if not (self.scale[0] <= self.scale[1] <= 1 and self.ratio[0] <= self.ratio[1]):
            raise ValueError("scale and ratio are [low, high] with low <= high, and scale <= 1")
        return self


class _Rates(Frozen):
    lr: NonNegativeFloat
    """Learning rate of the head."""
    backbone_lr: NonNegativeFloat | None = None
    """Learning rate of the backbone; the head's where absent."""


class SGD(_Rates):
    """``torch.optim.SGD``.

    ``velocity`` is how momentum adds gradients up: their ``sum`` (PyTorch's), or their
    exponential ``average``, whose steps are 1 − momentum times as long (Varno et al. 2020,
    Algorithm 1, at a constant learning rate: there the rate is part of the velocity).
    """

    momentum: Fraction = 0.0
    dampening: Fraction = 0.0
    nesterov: bool = False
    velocity: Literal["sum", "average"] = "sum"

    @model_validator(mode="after")
    def _settings_agree(self) -> SGD:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov needs momentum > 0 and dampening 0")
        if self.velocity == "average" and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("velocity average needs momentum > 0 and dampening 0")
        return self


class Adam(_Rates):
    """``torch.optim.Adam``; no decay: that is a penalty."""

    betas: Pair[Fraction] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8


class AdamW(Adam):
    """``torch.optim.AdamW``."""

    weight_decay: NonNegativeFloat = 0.01


class RAdam(Adam):
    """``torch.optim.RAdam``."""


class RMSprop(_Rates):
    """``torch.optim.RMSprop``."""

    alpha: Fraction = 0.99
    eps: PositiveFloat = 1e-8
    momentum: Fraction = 0.0


class Adan(_Rates):
    """``timm.optim.Adan``: ``betas`` are what is kept, the paper's are what is replaced.

    Moments are corrected for their start at zero, as in the code that its authors released;
    their Algorithm 1 (Xie et al. 2022) leaves it out.
    """

    betas: Triple[Fraction] = (0.98, 0.92, 0.99)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0


class Optimizer(OneOf):
    """Which optimizer, with its learning rates."""

    sgd: SGD | None = None
    adam: Adam | None = None
    adamw: AdamW | None = None
    radam: RAdam | None = None
    rmsprop: RMSprop | None = None
    adan: Adan | None = None


class Constant(Frozen):
    """The learning rate does not change."""


class StepSchedule(Frozen):
    """Multiply the learning rates by ``factor`` every ``every`` steps."""

    every: PositiveInt
    factor: PositiveFloat = 0.1


class Cosine(Frozen):
    """Half a cosine from the learning rate to ``final`` times it, after a linear warm-up."""

    warmup: NonNegativeInt = 0
    final: NonNegativeFloat = 0.0


class Linear(Frozen):
    """A straight line from the learning rate to ``final`` times it, after a linear warm-up."""

    warmup: NonNegativeInt = 0
    final: NonNegativeFloat = 0.0


class Schedule(OneOf):
    """How the learning rates change over the steps."""

    constant: Constant | None = None
    step: StepSchedule | None = None
    cosine: Cosine | None = None
    linear: Linear | None = None


class Use(Frozen):
    """A part in use.

    Attributes
    ----------
    settings
        Every parameter of it, defaults filled in.
    given
        Those that differ from the part's own defaults.
    """

    name: str
    settings: dict[str, Any] = {}
    given: dict[str, Any] = {}


class Evaluation(Frozen):
    """How a split is scored. ``crops``: 1 is the centre, 10 the corners, centre and flips.

    ``test`` false leaves the test split alone: for suites that choose settings on validation.
    ``train`` scores the rows that were trained on too, at the end and without augmentation.
    """

    test: bool = True
    train: bool = False
    crops: Literal[1, 10] = 1
    batch_size: PositiveInt = 200


class Anytime(Frozen):
    """Anytime deployment performance (Varno et al. 2020, section 6.1).

    At each pseudo-Fibonacci step the test split is scored by the state that was best on the
    validation split so far. Validations begin before the first step; the gap between two starts
    at one step, grows by one each time, and stays at ``gap``.
    """

    gap: PositiveInt = 10


class Warmup(Frozen):
    """Training the head alone first (Li and Hoiem 2018).

    It ends at the first step at which the validation accuracy has not gained ``gain`` for
    ``patience`` steps. Every step is validated until then, and for ``patience`` steps after.
    ``statistics`` of the backbone's batch normalisations stay as they are (inference mode), or
    are updated (and the head then learns from features normalised by the batch).
    """

    statistics: Literal["frozen", "updated"] = "frozen"
    gain: PositiveFloat = 0.01
    patience: PositiveInt = 10


class HeldOut(Frozen):
    """Which rows of a task are not trained on, because a training validates on them.

    ``share`` is a fraction of each class, or a number of rows; which ones follows from ``seed``,
    or else from the cell's.
    """

    share: Share
    seed: int | None = None


class Recipe(Frozen):
    """Every training setting that is not an axis.

    With 0 ``steps`` a network is scored as it came.
    ``validation`` is how much of each class's training images is held out for choosing: a
    fraction below one, or a number of images; which ones follows from ``validation_seed``, where
    one split is to serve several seeds or a stage and its children, else from the cell's seed.
    ``selection`` names the state that is reported:
    the last step's, or the best on a split. ``batches`` are drawn from all images, or
    ``balanced``: equally many of each class. ``scalar_rate`` multiplies the backbone's learning
    rate for those of its parameters that are one number, such as Fixup's scales and biases
    (Zhang et al. 2019: 0.1). ``forgetting`` scores the source's test split too,
    by the adapted features and the head that the source was trained with, and those of all that
    the source itself goes back to; with statistics of batch normalisations as they are, or (under
    ``forgetting_statistics``) also as they are when re-taken on the earlier task's training rows;
    at the end alone, or (under ``forgetting_curves``) at every validation. ``test_curves``
    scores the test split at every validation too, held-out rows or none, and chooses nothing by
    it. ``head`` is a new one,
    filled by ``head_init``, or that of the stage started from, ``kept``. ``statistics`` of batch
    normalisations are those that came with the weights, or ``averaged-anew`` over the task's
    training rows before the first step; whether they move from there on is the trainable set's
    to say. ``precision`` tf32 is float32 whose matrix products and convolutions run on a GPU's
    tensor cores, with ten bits of fraction; float32 is IEEE's. Data that are no images
    have neither ``image`` nor ``augmentation``. ``penalty_gradients`` records how large each
    penalty's gradient is beside the loss's. ``measurements`` are the settings of those that a
    penalty needs; they act through the cells that measure. ``frozen_features`` are those of a
    backbone that does not change while training, of inputs that do not either: they are computed
    at ``every-step``, or ``computed-once`` and kept for all cells that share them.
    """

    ACTS_BY_PARENTS: ClassVar[frozenset[str]] = frozenset({"measurements"})

    steps: NonNegativeInt = 9000
    batch_size: PositiveInt = 48
    batches: Literal["shuffled", "balanced"] = "shuffled"
    image: Image | None = Image()
    augmentation: Augmentation | None = Augmentation()
    optimizer: Optimizer = Optimizer(sgd=SGD(lr=0.01, backbone_lr=0.001, momentum=0.9))
    scalar_rate: NonNegativeFloat = 1.0
    schedule: Schedule = Schedule(constant=Constant())
    head: Literal["new", "kept"] = "new"
    head_init: Use = Use(name="normal", settings={"std": 0.01})
    head_bias: bool = True
    statistics: Literal["as-loaded", "averaged-anew"] = "as-loaded"
    evaluation: Evaluation = Evaluation()
    selection: Literal["last", "best-on-validation", "best-on-test"] = "last"
    validation: Share = 0.0
    validation_seed: NonNegativeInt | None = None
    validate_every: PositiveInt | None = None
    anytime: Anytime | None = None
    forgetting: bool = False
    forgetting_statistics: Literal["kept", "retaken-too"] = "kept"
    forgetting_curves: bool = False
    test_curves: bool = False
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    channels_last: bool = True
    penalty_gradients: bool = False
    frozen_features: Literal["every-step", "computed-once"] = "every-step"
    measurements: dict[str, Use] = {}

    @property
    def held_out(self) -> HeldOut | None:
        """What is held out of the training images; None where nothing is."""
        if self.validation == 0:
            return None
        return HeldOut(share=self.validation, seed=self.validation_seed)

    @model_validator(mode="after")
    def _selection_has_a_split(self) -> Recipe:
        if self.selection == "best-on-validation" and self.validation == 0:
            raise ValueError("selection best-on-validation needs validation > 0")
        if self.selection != "last" and self.validate_every is None and self.anytime is None:
            raise ValueError(f"selection {self.selection} needs validate_every, or anytime")
        if self.anytime is not None and self.validate_every is not None:
            raise ValueError("anytime has its own validation steps: leave validate_every out")
        if self.anytime is not None and not (self.validation > 0 and self.evaluation.test):
            raise ValueError("anytime needs validation > 0 and evaluation.test")
        if not self.evaluation.test and self.selection == "best-on-test":
            raise ValueError("selection best-on-test needs evaluation.test")
        if self.forgetting and not self.evaluation.test:
            raise ValueError("forgetting scores a test split: it needs evaluation.test")
        if self.forgetting and self.statistics != "as-loaded":
            # What that takes from the source would count as lost before the first step, and never.
            raise ValueError(
                "forgetting is counted from the state before the first step, in which "
                "averaged-anew has replaced the source's statistics: use statistics: as-loaded"
            )
        self._check_forgetting()
        # Until its loss scale fits, float16 skips steps, and their gradients are not finite.
        shown = [n for n in ("anytime", "forgetting", "penalty_gradients") if getattr(self, n)]
        if self.precision == "float16" and shown:
            raise ValueError(
                "float16 skips the first steps until its loss scale fits, which "
                f"{shown[0]} would show as training: use bfloat16 or float32"
            )
        if self.steps == 0 and (self.selection != "last" or self.penalty_gradients):
            raise ValueError(
                "with steps 0 there is no state to select and no gradient: use selection: last "
                "and penalty_gradients: false"
            )
        if not self.evaluation.test and self.validation == 0:
            raise ValueError("evaluation.test false needs validation > 0: nothing would be scored")
        return self

    @model_validator(mode="after")
    def _test_curves_have_points(self) -> Recipe:
        if not self.test_curves:
            return self
        if self.validate_every is None or not self.evaluation.test:
            raise ValueError(
                "test_curves has a point at every validation, of the test split: it needs "
                "validate_every, and evaluation.test"
            )
        if self.selection == "best-on-test":
            raise ValueError("selection best-on-test has such a curve: leave test_curves out")
        return self

    def _check_forgetting(self) -> None:
        given = {
            "forgetting_statistics: retaken-too": self.forgetting_statistics != "kept",
            "forgetting_curves": self.forgetting_curves,
        }
        for name in (name for name, chosen in given.items() if chosen and not self.forgetting):
            raise ValueError(f"{name} is about scores of the source: it needs forgetting: true")
        if self.forgetting_curves and self.validate_every is None and self.anytime is None:
            raise ValueError(
                "forgetting_curves has a point at every validation: it needs validate_every, or "
                "anytime"
            )
