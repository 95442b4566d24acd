"""Files that travel between machines: named by the digest of all that they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from bench.errors import StoreError
from bench.files import bytes_sha256
from bench.spec.work import canonical_json


@dataclass(frozen=True)
class File:
    """What a file's bytes must be."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Tree:
    """Files by their path below a folder, and folders without any file.

    An empty folder counts too: of images it may be a class.

    Raises
    ------
    ValueError
        If a path leaves the folder.
    """

    files: Mapping[str, File]
    folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.files, *self.folders):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{name!r} leaves its folder")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the names, sizes and digests."""
        files = {name: [file.size, file.sha256] for name, file in self.files.items()}
        return bytes_sha256(canonical_json([files, sorted(self.folders)]).encode())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    def pack(self, root: Path) -> bytes:
        """Return the bytes of all files, as they lie below a folder, in the order of their names.

        Raises
        ------
        StoreError
            If a file cannot be read, or has other bytes than it should.
        """
        return b"".join(_read(root / name, self.files[name]) for name in sorted(self.files))

    def unpack(self, content: bytes | memoryview, folder: Path) -> None:
        """Write what :meth:`pack` gave into an empty folder; nobody is to change it there.

        Raises
        ------
        ValueError
            If it is not what was packed.
        """
        left = memoryview(content)
        if len(left) != self.size:
            raise ValueError(f"{len(left)} bytes have come of {self.size}")
        for name in self.folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name in sorted(self.files):
            file = self.files[name]
            part, left = left[: file.size], left[file.size :]
            if bytes_sha256(part) != file.sha256:
                raise ValueError(f"other bytes of {name} have come than were sent")
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(part)
            path.chmod(0o444)


def tree_of(root: Path, files: Iterable[Path]) -> Tree:
    """Return the tree of some files below a folder.

    Raises
    ------
    OSError
        If one cannot be read.
    """
    found = {}
    for path in files:
        content = path.read_bytes()
        found[path.relative_to(root).as_posix()] = File(len(content), bytes_sha256(content))
    return Tree(found)


def tree_below(root: Path) -> Tree:
    """Return the tree of all that lies below a folder.

    Raises
    ------
    OSError
        If something cannot be read.
    """
    files, folders = walk(root)
    return Tree(tree_of(root, (root / name for name in files)).files, folders)


def walk(root: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the size of each file below a folder by its relative path, and the empty folders.

    Raises
    ------
    OSError
        If something cannot be looked at.
    """

    def refuse(error: OSError) -> None:
        raise error

    files, empty = {}, []
    for folder, inner, names in os.walk(root, onerror=refuse, followlinks=True):
        below = Path(folder).relative_to(root)
        if not inner and not names and below.parts:
            empty.append(below.as_posix())
        for name in names:
            files[(below / name).as_posix()] = os.stat(os.path.join(folder, name)).st_size
    return files, tuple(sorted(empty))


def _read(path: Path, file: File) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror or error}", file=path) from None
    if bytes_sha256(content) != file.sha256:
        raise StoreError(
            "has other bytes than it had",
            file=path,
            remedy="if it was edited, run again; an artifact may be removed, and is made again",
        )
    return content
