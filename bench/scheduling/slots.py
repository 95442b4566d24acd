"""Which slots of which devices are taken; no cell and no engine is known here."""

from __future__ import annotations

from collections.abc import Sequence

from bench.scheduling.device import Device


class Slots:
    """Slots of several devices; a device can be given to one job alone."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = {device.name: device for device in devices}
        self._used = dict.fromkeys(self.devices, 0)
        self._alone: set[str] = set()
        self._gone: set[str] = set()

    def follow(self, devices: Sequence[Device]) -> None:
        """Take in what has come, and hand out no more what has gone."""
        there = {device.name: device for device in devices}
        self._gone = {name for name in self.devices if name not in there and self._used[name]}
        self.devices = {**{name: self.devices[name] for name in self._gone}, **there}
        self._used = {name: self._used.get(name, 0) for name in self.devices}
        self._alone &= self.devices.keys()

    def lacks(self, device: str) -> bool:
        """Return whether a device has gone."""
        return device not in self.devices or device in self._gone

    @property
    def total(self) -> int:
        """Number of all slots."""
        return sum(d.slots for name, d in self.devices.items() if name not in self._gone)

    @property
    def used(self) -> tuple[tuple[Device, int], ...]:
        """Each device with the number of jobs on it."""
        return tuple((device, self._used[name]) for name, device in self.devices.items())

    def room(self, avoid: str | None = None) -> bool:
        """Return whether a slot is free on another device than ``avoid``."""
        return self._emptiest(avoid) is not None

    def idle(self, device: str) -> bool:
        """Return whether all of a device's slots are free."""
        return not self.lacks(device) and self._used[device] == 0

    def take(self, avoid: str | None = None) -> Device:
        """Take a slot of the emptiest device but ``avoid``.

        Raises
        ------
        RuntimeError
            If none is free.
        """
        name = self._emptiest(avoid)
        if name is None:
            raise RuntimeError("no slot is free")
        self._used[name] += 1
        return self.devices[name]

    def take_alone(self, device: str) -> Device:
        """Take an idle device as a whole.

        Raises
        ------
        RuntimeError
            If it is not idle.
        """
        if not self.idle(device):
            raise RuntimeError(f"{device} is not idle")
        self._alone.add(device)
        self._used[device] += 1
        return self.devices[device]

    def give_back(self, device: Device) -> None:
        """Free a slot."""
        self._used[device.name] -= 1
        if not self._used[device.name]:
            self._alone.discard(device.name)

    def _emptiest(self, avoid: str | None) -> str | None:
        free = [
            name
            for name, device in self.devices.items()
            if name != avoid
            and name not in self._alone
            and name not in self._gone
            and self._used[name] < device.slots
        ]
        return min(free, key=self._used.__getitem__, default=None)
