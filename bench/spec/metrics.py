"""The names that records give to metrics and curves, and which cells measure them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.spec.cell import Method
from bench.spec.recipe import Recipe

SPLITS = ("test", "validation", "source")
SCORES = ("top1", "top5", "mean_class_accuracy", "loss")
# Shown by the report as one less what is recorded.
ERRORS = ("top1_error", "top5_error")

METRICS = (
    *(f"{split}/{score}" for split in SPLITS for score in (*SCORES, *ERRORS)),
    "source/forgotten",
    "features/distance",
    "head/norm",
    "warmup/steps",
    "warmup/ended",
    "warmup/drop",
)
CURVES = (
    *(f"{split}/{score}" for split in ("validation", "test") for score in ("top1", "top1_error")),
    *(f"anytime/{s}/{score}" for s in ("test", "source") for score in ("top1", "top5", *ERRORS)),
    "anytime/test/loss",
    "anytime/source/loss",
    "anytime/step",
    "features/distance",
    "head/norm",
    "train/loss",
    "train/cross_entropy",
    "train/learning_rate",
)
_PENALTY = re.compile(r"penalty/[^/\s]+")
_ERROR = re.compile(r"(.*/top[15])_error")


@dataclass(frozen=True)
class Lack:
    """Why a cell never measures something, and what would change that."""

    reason: str
    remedy: str


def is_metric(name: str) -> bool:
    """Whether records may have a metric of this name, or the report can derive it."""
    return name in METRICS


def is_curve(name: str) -> bool:
    """Whether records may have a curve of this name, or the report can derive it."""
    return name in CURVES or _PENALTY.fullmatch(name) is not None


def complement_of(name: str) -> str | None:
    """Return what a name is one less: ``test/top1`` for ``test/top1_error``, else None.

    >>> complement_of("anytime/test/top5_error"), complement_of("test/top1")
    ('anytime/test/top5', None)
    """
    match = _ERROR.fullmatch(name)
    return match.group(1) if match else None


def metric_lack(name: str, recipe: Recipe, method: Method | None) -> Lack | None:
    """Return why a ``train`` cell never records a metric; None where it does."""
    if name.startswith("warmup/"):
        return _warmup_lack(method)
    return _split_lack(name.partition("/")[0], recipe)


def curve_lack(name: str, recipe: Recipe, method: Method | None) -> Lack | None:
    """Return why a ``train`` cell never records a curve; None where it does, or may."""
    kind, _, rest = name.partition("/")
    if kind == "anytime" or name in ("features/distance", "head/norm"):
        if recipe.anytime is None:
            return Lack("the recipe follows no curve of it", "set recipe.anytime")
        return _split_lack(rest.partition("/")[0], recipe)
    if kind == "penalty" and (method is None or rest not in method.penalties):
        return Lack("the method has no such penalty", "choose methods that have it by `where:`")
    if kind == "validation":
        return _split_lack(kind, recipe) or _validations_lack(recipe, method)
    if kind == "test" and recipe.selection != "best-on-test":
        return Lack("the test split is scored at the end alone", "show anytime/test/top1")
    return None


def _split_lack(split: str, recipe: Recipe) -> Lack | None:
    if split == "source" and not recipe.forgetting:
        return Lack("the recipe does not score the source", "set recipe.forgetting")
    if (split == "test" and not recipe.evaluation.test) or (
        split == "validation" and recipe.validation == 0
    ):
        return Lack(
            "the recipe does not score that split", "set recipe.validation, or evaluation.test"
        )
    return None


def _validations_lack(recipe: Recipe, method: Method | None) -> Lack | None:
    warms_up = method is not None and method.warmup is not None
    if recipe.validate_every is None and recipe.anytime is None and not warms_up:
        return Lack("the recipe does not validate while it trains", "set recipe.validate_every")
    return None


def _warmup_lack(method: Method | None) -> Lack | None:
    if method is None or method.warmup is None:
        return Lack("the method has no warm-up", "give a method a `warmup:`")
    return None
