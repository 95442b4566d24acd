"""Fewer points that draw the same line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def extremes(x: NDArray[np.float64], y: NDArray[np.float64], most: int) -> NDArray[np.intp]:
    """Return at most ``most`` positions whose line covers the same pixels as all of it.

    Of the points of each of ``most // 4`` equal intervals of ``x`` the first, the last, the
    lowest and the highest are kept, so that no sudden drop is lost (the M4 aggregation of Jugel
    et al. 2014).

    Parameters
    ----------
    x
        ``(n,)``, ascending, as it is drawn (the logarithm on a logarithmic axis).
    y
        ``(n,)``, finite.

    Returns
    -------
    array
        Ascending positions; all of them where there are no more than ``most``.
    """
    if len(x) <= most:
        return np.arange(len(x))
    edges = np.linspace(x[0], x[-1], most // 4 + 1)[1:-1]
    groups = np.split(np.arange(len(x)), np.searchsorted(x, edges))
    kept = {
        int(position)
        for group in groups
        if len(group)
        for position in (group[0], group[-1], group[y[group].argmin()], group[y[group].argmax()])
    }
    return np.array(sorted(kept), dtype=np.intp)
