"""On which file system a folder lies, and what is known of that kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench.doctor.disks import existing
from bench.doctor.finding import Asked, Finding

KEYS = ("kind", "mount", "network", "options")
_NETWORK = re.compile(
    r"nfs\d?|lustre|beegfs|gpfs|cifs|smb\d?|smbfs|ceph|glusterfs|9p|afs|orangefs|pvfs2|panfs|"
    r"wekafs|virtiofs|vboxsf|fuse\..+|fuse"
)
# Options by which a node's locks are seen by no other node.
_LOCAL_LOCKS = {"nolock", "localflock", "noflock", "local_lock=all", "local_lock=flock"}


@dataclass(frozen=True)
class Mount:
    """A line of the system's table."""

    point: str
    kind: str
    options: frozenset[str]

    @property
    def network(self) -> bool:
        """Whether other machines may see its files."""
        return _NETWORK.fullmatch(self.kind) is not None


def file_system(asked: Asked) -> Finding:
    """Look at the kind of the store's file system."""
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    return judge(mount_of(existing(asked.store).resolve(), table))


def mount_of(folder: Path, table: str) -> Mount | None:
    """Return where a folder is mounted, by ``/proc/self/mountinfo``; the last hides others."""
    found: Mount | None = None
    for line in table.splitlines():
        before, dash, after = line.partition(" - ")
        fields, more = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(more) < 3:
            continue
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[4])
        inside = folder == Path(point) or Path(point) in folder.parents
        if inside and (found is None or len(point) >= len(found.point)):
            options = frozenset([*fields[5].split(","), *more[2].split(",")])
            found = Mount(point, more[0], options)
    return found


def judge(mount: Mount | None) -> Finding:
    """Return what the kind of a file system means for a store."""
    if mount is None:
        return Finding("look", "the system does not say", "see `df -T`")
    measured = {
        "kind": mount.kind,
        "mount": mount.point,
        "network": mount.network,
        "options": sorted(mount.options),
    }
    where = "of a network: other machines may share it" if mount.network else "of this machine"
    fact = f"{mount.kind}, {where}"
    if "ro" in mount.options:
        return Finding("fails", f"{fact}; read-only", "give another folder with --store", measured)
    local = sorted(_LOCAL_LOCKS & mount.options)
    if mount.network and local:
        remedy = "prepare data on one machine first, or mount it with locks (Lustre: flock)"
        return Finding("look", f"{fact}; locks stay local ({local[0]})", remedy, measured)
    if mount.kind in ("tmpfs", "ramfs"):
        return Finding(
            "look",
            f"{mount.kind}: records are gone with the machine's next start",
            "give a folder on a disk with --store",
            measured,
        )
    return Finding("ok", fact, measured=measured)
