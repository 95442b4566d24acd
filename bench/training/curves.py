"""Metrics over steps, collected while training."""

from __future__ import annotations

from bench.records.record import Curve

POINTS = 50


def is_report_step(done: int, steps: int) -> bool:
    """Say whether the curves get a point after ``done`` steps: about fifty, and the last."""
    return done == steps or done % max(1, round(steps / POINTS)) == 0


class CurveBook:
    """Named curves that grow point by point."""

    def __init__(self) -> None:
        self._points: dict[str, list[tuple[int, float]]] = {}

    def add(self, name: str, step: int, value: float) -> None:
        """Append a point; step 0 is before the first update."""
        self._points.setdefault(name, []).append((step, value))

    def state(self) -> dict[str, list[tuple[int, float]]]:
        """Return all points."""
        return self._points

    def restore(self, state: dict[str, list[tuple[int, float]]]) -> None:
        """Put all points back."""
        self._points = state

    def curves(self) -> dict[str, Curve]:
        """Return what was collected."""
        return {
            name: Curve(at=tuple(s for s, _ in points), value=tuple(v for _, v in points))
            for name, points in self._points.items()
        }
