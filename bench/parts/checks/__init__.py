"""The checks that every built-in part passes, run by ``bench test-method`` on a user's."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from bench.parts.checks.common import Check, Subject, run_checks
from bench.parts.compose import part_class
from bench.spec.parts import Kind

__all__ = ["Check", "check_part"]


def check_part(kind: Kind, name: str, plugins: Sequence[str] = ()) -> list[Check]:
    """Run all checks of its kind on a part with its default parameters.

    A few seconds; needs no data, no network and no GPU.

    Parameters
    ----------
    name
        As in YAML: a built-in, one of the ``plugins``' or an installed package's.
    plugins
        Python files.

    Raises
    ------
    SpecError
        If there is no such part, or its file cannot be read or imported.
    """
    subject = Subject(kind, name, part_class(kind, name, plugins), tuple(plugins))
    # A module a kind, named as the kind is; each offers `checks(subject)`.
    module = importlib.import_module(f"bench.parts.checks.{kind}")
    return run_checks(module.checks(subject))
