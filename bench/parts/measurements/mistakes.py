"""Which images two networks get wrong: both, or one alone, and how hard these images are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import UserError
from bench.parts import Measured, Measurement, Measuring, measurement
from bench.parts.kinds import Tensors

Booleans = NDArray[np.bool_]
Ints = NDArray[np.int64]
_TEST_ROWS = "test_rows"
_JUDGES = "judge"


@measurement("mistakes")
class Mistakes(Measurement):
    """Common and uncommon mistakes of two networks on the test split (Neyshabur et al. 2020, 3.2).

    Shares of all test images: those that ``first`` and ``second`` get wrong, ``common`` both;
    ``same-answer`` both with one and the same wrong class; ``first-only`` and ``second-only`` one
    of them while the other is right. Two networks of error rates p and q that err independently
    have p q in common. So ``lift`` is the common share over p q, and ``kappa`` Cohen's of right
    and wrong, (o - e) / (1 - e) with o the share on which both are right or both wrong, and
    e = p q + (1 - p)(1 - q), that of independent ones (Geirhos et al. 2020, equation 3).

    Judges, other networks scored on the same images, say how hard those of a set are:
    ``judged-wrong`` is the mean share of the judges that are wrong on them, the set's ambiguity,
    and ``easy`` the share of the set that every judge gets right. ``judged`` names the sets that
    are judged; ``{}`` needs no judges. Neither of the two is a judge, and no judge is one twice.

    The array ``wrong`` has a row a role, in the order first, second, judge1, …, and a column an
    image.
    """

    roles = ("first", "second", "judge*")
    data = "none"
    reads = "predictions"
    metrics = {
        "mistakes/first": ("%", "lowest"),
        "mistakes/second": ("%", "lowest"),
        "mistakes/common": ("%", "lowest"),
        "mistakes/same-answer": ("%", "lowest"),
        "mistakes/first-only": ("%", "lowest"),
        "mistakes/second-only": ("%", "lowest"),
        "mistakes/lift": ("", "highest"),
        "mistakes/kappa": ("", "highest"),
        "mistakes/{judged}/judged-wrong": ("%", "highest"),
        "mistakes/{judged}/easy": ("%", "lowest"),
    }
    judged: dict[str, Literal["first-only", "second-only", "common"]] = {
        "first-only": "first-only",
        "second-only": "second-only",
        "common": "common",
    }

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the shares, what they are relative to chance, and what judges say."""
        predictions = {role: measuring.parent(role) for role in measuring.roles}
        _check_comparable(predictions)
        said = {role: _classes(tensors) for role, tensors in predictions.items()}
        targets = predictions["first"]["targets"].numpy()
        wrong = np.stack([answers != targets for answers in said.values()])
        first, second = wrong[:2]
        sets = {
            "first": first,
            "second": second,
            "common": first & second,
            "same-answer": first & (said["first"] == said["second"]),
            "first-only": first & ~second,
            "second-only": second & ~first,
        }
        shares = {f"mistakes/{name}": float(chosen.mean()) for name, chosen in sets.items()}
        return Measured(
            {
                **shares,
                "mistakes/lift": lift(first, second),
                "mistakes/kappa": kappa(first, second),
                **self._judged(sets, wrong[2:]),
            },
            arrays={"wrong": torch.from_numpy(wrong.astype(np.uint8))},
        )

    def _judged(self, sets: Mapping[str, Booleans], judges: Booleans) -> dict[str, float]:
        if self.judged and not len(judges):
            raise UserError(
                "sets of mistakes are to be judged, and there are no judges",
                field="measure.roles",
                remedy=f"give {_JUDGES}1, {_JUDGES}2, … or set judged: {{}}",
            )
        found = {}
        for shown, name in self.judged.items():
            hard = judges[:, sets[name]].mean(axis=0)
            if not len(hard):
                raise UserError(
                    f"no test image is in {name}, so that judges say nothing of it",
                    field=f"measure.part.mistakes.judged.{shown}",
                    remedy="leave it out of judged, or use more test images",
                )
            found[f"mistakes/{shown}/judged-wrong"] = float(hard.mean())
            found[f"mistakes/{shown}/easy"] = float((hard == 0).mean())
        return found


def lift(first: Booleans, second: Booleans) -> float:
    """Return the common mistakes over those of networks that err independently.

    Raises
    ------
    UserError
        If one of the two makes no mistake.
    """
    expected = float(first.mean()) * float(second.mean())
    if not expected:
        raise UserError("one of the two networks makes no mistake: the lift of common ones is 0/0")
    return float((first & second).mean()) / expected


def kappa(first: Booleans, second: Booleans) -> float:
    """Return Cohen's kappa of right and wrong.

    Raises
    ------
    UserError
        If both are right on all images, or both wrong.
    """
    p, q = float(first.mean()), float(second.mean())
    expected = p * q + (1 - p) * (1 - q)
    if p == q and p in (0, 1):
        raise UserError("both networks are right on all images, or both wrong: kappa is 0/0")
    return (float((first == second).mean()) - expected) / (1 - expected)


def _classes(tensors: Tensors) -> Ints:
    classes: Ints = tensors["outputs"].numpy().argmax(axis=1)
    return classes


def _check_comparable(predictions: Mapping[str, Tensors]) -> None:
    """Refuse predictions of other images, in another order, or of one network twice."""
    for role, tensors in predictions.items():
        _check_classes(role, tensors)
    ours = predictions["first"]
    for role, tensors in predictions.items():
        if not _same_images(ours, tensors):
            raise UserError(
                f"the predictions of {role} and of first are not of the same test images in the "
                "same order",
                field=f"measure.roles.{role}",
                remedy="give all roles one dataset",
            )
        if tensors["outputs"].shape != ours["outputs"].shape:
            widths = tensors["outputs"].shape[1], ours["outputs"].shape[1]
            raise UserError(
                f"{role} chooses among {widths[0]} classes, and first among {widths[1]}",
                field=f"measure.roles.{role}",
            )
    for one, other in combinations(predictions, 2):
        if _JUDGES in other and predictions[one]["outputs"].equal(predictions[other]["outputs"]):
            raise UserError(
                f"{other} says the same as {one} of every image, to the last bit: it is the same "
                "network",
                field=f"measure.roles.{other}",
                remedy="let each judge be a network of its own, of another seed",
            )


def _check_classes(role: str, tensors: Tensors) -> None:
    problem = ""
    if "outputs" not in tensors or "targets" not in tensors:
        problem = "has predictions of several tasks, and mistakes are those of one"
    elif tensors["targets"].is_floating_point() or tensors["targets"].ndim != 1:
        problem = "was trained on other targets than classes, and has no mistakes to count"
    elif not tensors["outputs"].isfinite().all():
        problem = "has outputs that are not finite"
    if problem:
        raise UserError(f"{role} {problem}", field=f"measure.roles.{role}")


def _same_images(one: Tensors, other: Tensors) -> bool:
    # Two test sets may have the same classes in the same order; files of one's own say no rows.
    rows = one.get(_TEST_ROWS), other.get(_TEST_ROWS)
    if rows[0] is not None and rows[1] is not None and not rows[0].equal(rows[1]):
        return False
    return one["targets"].equal(other["targets"])
