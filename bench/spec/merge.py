"""How a profile or a ``when:`` overlays what stands below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Mappings with exactly one key: another choice replaces the first instead of joining it.
CHOICES = frozenset(
    {"optimizer", "schedule", "head_init", "trainable", "update", "objective", "part"}
)


def merge(base: Any, overlay: Any, *, name: str = "") -> Any:
    """Return ``overlay`` laid over ``base``: mappings merge by key, all else is replaced.

    A null value removes its key. A different choice (``optimizer: {adam: …}`` over
    ``optimizer: {sgd: …}``) replaces the choice below it.
    """
    if not (isinstance(base, Mapping) and isinstance(overlay, Mapping)):
        return overlay
    if name in CHOICES and overlay and set(overlay) != set(base):
        return dict(overlay)
    result = dict(base)
    for key, value in overlay.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value, name=key)
    return result
