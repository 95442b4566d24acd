"""What jobs run on, as an engine offers it and the runner hands it out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """Something that jobs run on.

    Attributes
    ----------
    visible
        Value of ``CUDA_VISIBLE_DEVICES`` that shows a process this device and no other.
    slots
        Number of jobs at once.
    threads
        Threads that torch may use in each.
    here
        Whether it is a GPU of this machine, so that this machine's driver knows its load.
    """

    name: str
    visible: str
    slots: int
    threads: int = 1
    here: bool = False

    @property
    def kind(self) -> str:
        """``cpu`` or ``cuda``."""
        return "cuda" if self.visible else "cpu"
