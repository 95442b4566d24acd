"""Calls what a job is executed by, and turns whatever happens into an outcome."""

from __future__ import annotations

import importlib
import math
import traceback
from collections.abc import Callable

from bench.errors import UserError
from bench.records.record import Failure, FailureKind, Outcome
from bench.scheduling.engines.failures import kind_of, message_of
from bench.scheduling.engines.origin import check_expected_code, watched
from bench.scheduling.job import Job


def resolve(target: str) -> Callable[[Job], Outcome]:
    """Return the function named ``package.module:function``, importing its module."""
    module, _, name = target.partition(":")
    function: Callable[[Job], Outcome] = getattr(importlib.import_module(module), name)
    return function


def call(target: str, job: Job) -> Outcome:
    """Return the target's outcome, or a failed one for any exception.

    An attempt by other code than the runner expects, or by code of which its record would say
    nothing, is a failed one. ``KeyboardInterrupt`` passes; ``SystemExit`` is a failure of kind
    ``exit``.
    """
    try:
        function = resolve(target)
        check_expected_code(job)
        with watched(job):
            outcome = function(job)
        if not isinstance(outcome, Outcome):
            raise TypeError(f"{target} returned {type(outcome).__name__}, not an Outcome")
        # A record that is done has none but finite metrics.
        for name, value in outcome.metrics.items():
            if not math.isfinite(value):
                return failed("not-a-number", f"{name} became {value}")
    except SystemExit as error:
        return failed("exit", f"the code called exit({error.code!r})", traceback.format_exc())
    except UserError as error:
        return failed(kind_of(error), str(error))
    except Exception as error:
        return failed(kind_of(error), message_of(error, job.device), traceback.format_exc())
    return outcome


def failed(kind: FailureKind, message: str, detail: str = "") -> Outcome:
    """Return a failed outcome."""
    return Outcome("failed", failure=Failure(kind, message, detail))
