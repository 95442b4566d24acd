"""What has been asked of nodes and not yet answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Then = Callable[[Any], None]
Else = Callable[[Exception], None]


@dataclass(frozen=True)
class _Asked:
    node: str
    then: Then
    otherwise: Else


class Pending:
    """Answers that are waited for, and what is done with each.

    Parameters
    ----------
    ray
        The module, or what stands in for it.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._asked: dict[Any, _Asked] = {}

    def add(self, node: str, ref: Any, then: Then, otherwise: Else) -> None:
        """Wait for what a node was asked; ``otherwise`` gets the error if there is no answer."""
        self._asked[ref] = _Asked(node, then, otherwise)

    def forget(self, node: str) -> None:
        """Wait no more for a node."""
        self._asked = {ref: asked for ref, asked in self._asked.items() if asked.node != node}

    def answer(self, timeout: float) -> None:
        """Do what is to be done with all answers that are there, waiting for the first."""
        refs = list(self._asked)
        if not refs:
            time.sleep(timeout)
            return
        ready, _ = self._ray.wait(refs, num_returns=1, timeout=timeout)
        if ready:
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        for ref in ready:
            # An answer may have lost a node, and with it the others of that node.
            asked = self._asked.pop(ref, None)
            if asked is None:
                continue
            try:
                value = self._ray.get(ref)
            except Exception as error:
                asked.otherwise(error)
            else:
                asked.then(value)
