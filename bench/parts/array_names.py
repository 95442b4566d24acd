"""Names of an array's rows and columns, kept as arrays beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def names_array(names: Sequence[str]) -> Tensor:
    r"""Return names as an array ``(n,)`` uint8: their UTF-8 text, a name a line.

    A measurement whose array ``NAME`` has rows and columns with names of their own, such as a
    network's modules, leaves them as ``NAME/rows`` and ``NAME/columns``; heat maps show them.

    >>> bytes(names_array(["stem", "head"]).tolist())
    b'stem\nhead'

    Raises
    ------
    ValueError
        If a name is empty or has several lines.
    """
    for name in names:
        if len(name.splitlines()) != 1:
            raise ValueError(f"a name is one line of text, not {name!r}")
    return torch.tensor(list("\n".join(names).encode()), dtype=torch.uint8)
