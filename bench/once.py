"""Values computed once in a process, also where several threads ask at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
# One for all: such functions call each other, in any order.
_LOCK = threading.RLock()


def once(size: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator like ``lru_cache`` that computes no value twice at the same time.

    ``lru_cache`` lets each thread that finds nothing compute the value for itself: of what reads
    a whole package that is minutes instead of a second.
    """

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        cached = lru_cache(maxsize=size)(function)

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            with _LOCK:
                return cached(*args, **kwargs)  # type: ignore[arg-type]

        called.cache_info = cached.cache_info  # type: ignore[attr-defined]
        called.cache_clear = cached.cache_clear  # type: ignore[attr-defined]
        return called

    return decorated
