"""Which slots of which devices are taken; no cell and no engine is known here."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.scheduling.device import Device
from bench.scheduling.packing import Packing


class Slots:
    """Slots of several devices; a device can be given to one job alone, or to none any more.

    On a packed device a slot is open to a kind of job only if the packing lets it join those that
    are there.
    """

    def __init__(self, devices: Sequence[Device], packing: Packing | None = None) -> None:
        self.devices = {device.name: device for device in devices}
        self.packing = packing or Packing()
        self._kinds: dict[str, list[str]] = {name: [] for name in self.devices}
        self._alone: set[str] = set()
        self._benched: set[str] = set()
        self._gone: set[str] = set()
        self._most = dict.fromkeys(self.devices, 1)

    def follow(self, devices: Sequence[Device]) -> None:
        """Take in what has come, and hand out no more what has gone."""
        there = {device.name: device for device in devices}
        self._gone = {name for name in self.devices if name not in there and self._kinds[name]}
        self.devices = {**{name: self.devices[name] for name in self._gone}, **there}
        self._kinds = {name: self._kinds.get(name, []) for name in self.devices}
        self._most = {name: self._most.get(name, 1) for name in self.devices}
        self._alone &= self.devices.keys()

    @property
    def total(self) -> int:
        """Number of all slots; of a packed device as many as were taken at once so far."""
        return sum(
            self._most[name] if device.packed else device.slots
            for name, device in self.devices.items()
            if name not in self._gone
        )

    @property
    def used(self) -> tuple[tuple[Device, int], ...]:
        """Each device with the number of jobs on it."""
        return tuple((device, len(self._kinds[name])) for name, device in self.devices.items())

    @property
    def usable(self) -> tuple[str, ...]:
        """Names of the devices that are there and not benched."""
        return tuple(name for name in self.devices if name not in self._benched | self._gone)

    def bench(self, device: str) -> None:
        """Give a device to no job any more; those on it go on."""
        self._benched.add(device)

    def room(self, avoid: str | None = None) -> bool:
        """Return whether a slot may be free on another device than ``avoid``."""
        return any(self._open(name) for name in self.devices if name != avoid)

    def idle(self, device: str) -> bool:
        """Return whether all of a device's slots are free."""
        return device in self.devices and device not in self._gone and not self._kinds[device]

    def place(self, kind: str = "", avoid: Collection[str] = ()) -> Device | None:
        """Return the emptiest device on which a job of a kind may run now, without taking it."""
        fit = [
            name
            for name in self.devices
            if name not in avoid and self._open(name) and self._joins(name, kind)
        ]
        name = min(fit, key=lambda name: len(self._kinds[name]), default=None)
        return None if name is None else self.devices[name]

    def drained_soonest(self, avoid: Collection[str] = ()) -> str | None:
        """Return the device with the fewest jobs, to be kept free for one that needs it."""
        names = [name for name in self.usable if name not in avoid]
        return min(names, key=lambda name: len(self._kinds[name]), default=None)

    def take(self, avoid: str | None = None, *, kind: str = "", on: str | None = None) -> Device:
        """Take a slot of the emptiest device but ``avoid``, or of the device ``on``.

        Raises
        ------
        RuntimeError
            If none is free.
        """
        others = {name for name in self.devices if on is not None and name != on}
        device = self.place(kind, others | ({avoid} if avoid is not None else set()))
        if device is None:
            raise RuntimeError("no slot is free")
        self._add(device.name, kind)
        return device

    def take_alone(self, device: str, *, kind: str = "") -> Device:
        """Take an idle device as a whole.

        Raises
        ------
        RuntimeError
            If it is not idle.
        """
        if not self.idle(device):
            raise RuntimeError(f"{device} is not idle")
        self._alone.add(device)
        self._add(device, kind)
        return self.devices[device]

    def give_back(self, device: Device, *, kind: str = "") -> None:
        """Free a slot."""
        self._kinds[device.name].remove(kind)
        if not self._kinds[device.name]:
            self._alone.discard(device.name)

    def _open(self, name: str) -> bool:
        taken = name in self._alone or name in self._benched or name in self._gone
        return not taken and len(self._kinds[name]) < self.devices[name].slots

    def _joins(self, name: str, kind: str) -> bool:
        device = self.devices[name]
        there = self._kinds[name]
        return not device.packed or self.packing.joins(device.packed_as, kind, there)

    def _add(self, name: str, kind: str) -> None:
        self._kinds[name].append(kind)
        self._most[name] = max(self._most[name], len(self._kinds[name]))
