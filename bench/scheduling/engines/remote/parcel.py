"""A job as it travels to a node, with all that it needs and the node may not have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import DataError, UserError
from bench.records.code import is_ours, modules_beside
from bench.scheduling.engines.remote.depot import Depot
from bench.scheduling.engines.remote.tree import File, Tree, tree_below, tree_of, walk
from bench.scheduling.job import Job
from bench.spec.cell import FILE, Resources

LARGE = 256 << 20
"""Bytes of a dataset's folder above which it does not travel, but must be on each node."""
PROGRESS = "progress"
"""How the names of files begin by which a cell goes on where an attempt at it was stopped."""


@dataclass(frozen=True)
class Move:
    """Where a path of the runner's machine is found on a node: in a tree, by a relative name."""

    tree: Tree
    name: str


@dataclass(frozen=True)
class Listing:
    """A folder that must be on each node at the same path: its files' sizes, its empty folders."""

    path: str
    files: Mapping[str, int]
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parcel:
    """A job with the paths of the runner's machine, and how to translate them.

    Attributes
    ----------
    device
        The node's own name of the device.
    moves
        A path on the runner's machine to where it is found.
    progress
        What earlier attempts have left in the cell's folder for this one to go on from.
    """

    job: Job
    device: str
    moves: Mapping[str, Move]
    listings: tuple[Listing, ...] = ()
    progress: Tree = field(default_factory=lambda: Tree({}))

    @property
    def trees(self) -> dict[str, Tree]:
        """All trees that the job needs, by digest."""
        trees = {move.tree.digest: move.tree for move in self.moves.values()}
        if self.progress.files:
            trees[self.progress.digest] = self.progress
        return trees

    def unpack(self, depot: Depot) -> Job:
        """Return the job with the paths of a node on which all trees are.

        Raises
        ------
        DataError
            If a folder that does not travel is not here, or is another one.
        """
        for listing in self.listings:
            check_listing(listing)

        def moved(path: str) -> str:
            move = self.moves.get(path)
            return path if move is None else str(depot.path(move.tree) / move.name)

        job = self.job
        folder = depot.job_folder(job.cell.id, job.attempt)
        for name in self.progress.files:
            # A copy: who goes on from it writes the next one in its place.
            content = (depot.path(self.progress) / name).read_bytes()
            (folder / name).write_bytes(content)
        given = job.resources
        resources = Resources(
            folders={name: moved(path) for name, path in given.folders.items()},
            arrays={name: (moved(path), kind) for name, (path, kind) in given.arrays.items()},
            files={name: (moved(path), count) for name, (path, count) in given.files.items()},
            plugins=tuple(moved(path) for path in given.plugins),
            lists=given.lists,
        )
        parents = {
            role: replace(parent, path=Path(moved(str(parent.path))))
            for role, parent in job.parents.items()
        }
        return replace(job, folder=folder, parents=parents, resources=resources)


class Packer:
    """Makes parcels; what is the same for all jobs is looked at once.

    Parameters
    ----------
    large
        Bytes of a folder above which it does not travel.
    """

    def __init__(self, large: int = LARGE) -> None:
        self._large = large
        self._known: dict[tuple[str, str], Move | Listing] = {}
        self._code: dict[tuple[str, ...], dict[str, Move]] = {}
        self._roots: dict[str, Path] = {}

    def pack(self, job: Job, device: str) -> Parcel:
        """Return a job's parcel.

        Raises
        ------
        UserError
            If something that it needs cannot be read.
        """
        moves: dict[str, Move] = {}
        listings = []
        for kind, path in needed(job):
            found = self._look_at(kind, path)
            if isinstance(found, Listing):
                listings.append(found)
            else:
                moves[path] = found
        for parent in job.parents.values():
            moves[str(parent.path)] = self._artifact(parent.path, parent.sha256)
        moves.update(self._plugins(job.resources.plugins))
        return Parcel(job, device, moves, tuple(listings), self._progress(job))

    def content(self, tree: Tree) -> bytes:
        """Return the bytes of a tree of a parcel; raises StoreError if they are others now."""
        return tree.pack(self._roots[tree.digest])

    def _look_at(self, kind: str, path: str) -> Move | Listing:
        key = kind, path
        if key not in self._known:
            try:
                self._known[key] = self._found(kind, Path(path))
            except OSError as error:
                raise DataError(
                    f"cannot be read: {error.strerror or error}", file=error.filename or path
                ) from error
        return self._known[key]

    def _found(self, kind: str, path: Path) -> Move | Listing:
        if kind == "folder":
            files, folders = walk(path)
            if sum(files.values()) > self._large:
                return Listing(str(path), files, folders)
            return self._move(tree_below(path), path, ".")
        return self._move(tree_of(path.parent, [path]), path.parent, path.name)

    def _plugins(self, paths: tuple[str, ...]) -> dict[str, Move]:
        """Return the moves of plug-ins: all in one tree, since they may import each other."""
        theirs = tuple(path for path in paths if not is_ours(Path(path)))
        if theirs and theirs not in self._code:
            files = {file for path in theirs for file in _with_imports(Path(path))}
            root = Path(os.path.commonpath([_above_package(file) for file in files]))
            try:
                tree = tree_of(root, files)
            except OSError as error:
                raise DataError(
                    f"cannot be read: {error.strerror or error}", file=error.filename
                ) from error
            self._code[theirs] = {
                path: self._move(tree, root, Path(path).relative_to(root).as_posix())
                for path in theirs
            }
        return self._code.get(theirs, {})

    def _artifact(self, path: Path, sha256: str) -> Move:
        try:
            size = path.stat().st_size
        except OSError as error:
            raise UserError(
                f"the artifact cannot be read: {error.strerror or error}", file=path
            ) from error
        return self._move(Tree({path.name: File(size, sha256)}), path.parent, path.name)

    def _progress(self, job: Job) -> Tree:
        try:
            tree = tree_of(job.folder, sorted(job.folder.glob(f"{PROGRESS}*")))
        except OSError:
            # It only saves time.
            return Tree({})
        self._roots[tree.digest] = job.folder
        return tree

    def _move(self, tree: Tree, root: Path, name: str) -> Move:
        self._roots[tree.digest] = root
        return Move(tree, name)


def needed(job: Job) -> Iterable[tuple[str, str]]:
    """Yield kind and path of each of the suite's own things that a job may read.

    They are those of its own data and weights, and of its parents', which it may be tested on.
    """
    cells = [job.cell, *(parent.cell for parent in job.parents.values())]
    datasets = {name for cell in cells for name in cell.datasets}
    weights = {name.removeprefix(FILE) for cell in cells for name in cell.weights}
    given = job.resources
    yield from (("folder", path) for name, path in given.folders.items() if name in datasets)
    yield from (("file", path) for name, (path, _) in given.arrays.items() if name in datasets)
    yield from (("file", path) for name, (path, _) in given.files.items() if name in weights)


def check_listing(listing: Listing) -> None:
    """Compare a folder of this machine with what it was on the runner's.

    Raises
    ------
    DataError
        If it is not there, or differs in the name or size of a file.
    """
    remedy = f"copy it there: folders above {LARGE >> 20} MiB do not travel"
    try:
        files, folders = walk(Path(listing.path))
    except OSError as error:
        raise DataError(
            f"is not on {os.uname().nodename}: {error.strerror or error}",
            file=listing.path,
            remedy=remedy,
        ) from None
    wrong = sorted(dict(files.items() ^ listing.files.items()))
    wrong += sorted({*folders} ^ {*listing.folders})
    if wrong:
        raise DataError(
            f"differs on {os.uname().nodename} from the runner's machine in {wrong[0]} "
            f"and {len(wrong) - 1} more",
            file=listing.path,
            remedy=remedy,
        )


def _with_imports(plugin: Path) -> list[Path]:
    """Return a plug-in, what it imports from beside it, and the packages that these are in."""
    found = [plugin, *modules_beside(plugin).values()]
    for file in list(found):
        folder = file.parent
        while (package := folder / "__init__.py").is_file():
            found.append(package)
            folder = folder.parent
    return found


def _above_package(file: Path) -> Path:
    """Return the folder in which a file's package is looked for, or the file's own."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder
