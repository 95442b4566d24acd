"""What lies in a cluster's memory, from where each machine takes it once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from bench.scheduling.engines.remote.tree import Tree

# Bytes of files that are kept there for the next machine.
_ROOM = 1 << 30


class Kept:
    """References to the bytes of trees; the oldest go when there are too many.

    Parameters
    ----------
    ray
        The module, or what stands in for it.
    content
        Gives a tree's bytes.
    """

    def __init__(self, ray: Any, content: Callable[[Tree], bytes], room: int = _ROOM) -> None:
        self._ray = ray
        self._content = content
        self._room = room
        self._refs: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def ref(self, tree: Tree) -> Any:
        """Return the reference to a tree's bytes; raises StoreError if they are others now."""
        if tree.digest not in self._refs:
            self._refs[tree.digest] = (tree.size, self._ray.put(self._content(tree)))
            while len(self._refs) > 1 and sum(size for size, _ in self._refs.values()) > self._room:
                self._refs.popitem(last=False)
        return self._refs[tree.digest][1]
