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
        Number of jobs at once; of a packed device the most that there may ever be.
    threads
        Threads that torch may use in each.
    here
        Whether it is a GPU of this machine, so that this machine's driver knows its load.
    model
        The GPU's name as the driver has it; empty where it is not known for certain.
    packed
        Whether the runner opens as many slots as fit and help.
    """

    name: str
    visible: str
    slots: int
    threads: int = 1
    here: bool = False
    model: str = ""
    packed: bool = False

    @property
    def kind(self) -> str:
        """``cpu`` or ``cuda``."""
        return "cuda" if self.visible else "cpu"

    @property
    def packed_as(self) -> str:
        """Devices of one such name are alike; one of an unknown model is like itself alone."""
        return self.model or self.name
