"""The rule by which a suite's claims are settled, fixed in the store before the first look.

Another choice of looks after some of them were made would void the rule's error rate, so the file
is written once and never changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bench.errors import StoreError
from bench.files import write_once
from bench.records.layout import Layout
from bench.spec.plan import Plan
from bench.spec.recipe import Frozen


class SettlingRule(Frozen):
    """Numbers of seeds at which to look, the two-sided level of a claim, and how it is spent."""

    looks: tuple[int, ...]
    alpha: float = 0.05
    spending: Literal["obrien-fleming", "pocock"] = "pocock"


def settling_rule(layout: Layout, plan: Plan) -> SettlingRule | None:
    """Return the rule of a plan's suite and profile in this store; None where there is none yet.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    file = _file(layout, plan)
    try:
        return SettlingRule.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror or error}", file=file) from None
    except ValidationError as error:
        raise StoreError(
            f"is not a settling rule: {error.errors()[0]['msg']}",
            file=file,
            remedy="restore it; without its looks the verdicts have no known error rate",
        ) from None


def fix_settling_rule(layout: Layout, plan: Plan, rule: SettlingRule) -> SettlingRule:
    """Fix the rule of a plan's suite and profile, unless one is; return the one that holds.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    file = _file(layout, plan)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # As with leases: of two runners one fixes the rule, with its whole content.
        write_once(file, rule.model_dump_json() + "\n")
    except FileExistsError:
        return settling_rule(layout, plan) or rule
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", file=file) from None
    return rule


def _file(layout: Layout, plan: Plan) -> Path:
    return layout.settling(plan.paper.id, plan.suite.name, plan.profile)
