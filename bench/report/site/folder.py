"""The folder a site is written to: whole files, and nothing touched that is not ours."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from bench.errors import UserError
from bench.files import write_whole

MARKER = ".retable-site"
_FIRST = "retable site, format 1: the files below are made by `bench site`\n"


class SiteFolder:
    """A folder that is empty or carries our marker, which lists the files that are ours.

    Raises
    ------
    UserError
        If it holds anything and has no marker, or cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._marker = root / MARKER
        self._made: set[str] = set()
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._before = self._read_marker()
            if self._before is None and any(root.iterdir()):
                raise UserError(
                    "the folder is not empty, and no site of ours",
                    file=root,
                    remedy="name an empty or a new folder with --to",
                )
            if self._before is None:
                self._marker.write_text(_FIRST, encoding="utf-8")
        except OSError as error:
            raise _cannot(error, root) from None
        self._known = set(self._before or ())

    def has(self, name: str) -> bool:
        """Whether an earlier build of ours left the file; if so it stays."""
        if name not in self._known or not (self.root / name).is_file():
            return False
        self._made.add(name)
        return True

    def write(self, name: str, text: str) -> None:
        """Write a file whole or not at all; one that would not change is left alone."""
        path, data = self.root / name, text.encode()
        try:
            # Known before it is there: a build that is killed leaves nothing that is not listed.
            if name not in self._known:
                with self._marker.open("a", encoding="utf-8") as marker:
                    marker.write(f"{name}\n")
                self._known.add(name)
            self._made.add(name)
            if not (path.is_file() and path.read_bytes() == data):
                path.parent.mkdir(parents=True, exist_ok=True)
                _replace(path, data)
        except OSError as error:
            raise _cannot(error, self.root) from None

    def finish(self) -> int:
        """Remove what earlier builds made and this one did not; return how many files."""
        stale = sorted(self._known - self._made)
        try:
            removed = sum(self._remove(name) for name in stale)
            _replace(
                self._marker, (_FIRST + "".join(f"{n}\n" for n in sorted(self._made))).encode()
            )
        except OSError as error:
            raise _cannot(error, self.root) from None
        return removed

    def _read_marker(self) -> list[str] | None:
        if not self._marker.is_file():
            return None
        lines = self._marker.read_text(encoding="utf-8").splitlines(keepends=True)
        if lines[:1] != [_FIRST]:
            return None
        # A line without its end is what a killed build was about to say.
        names = [line.rstrip("\n") for line in lines[1:] if line.endswith("\n")]
        return [name for name in names if _inside(name)]

    def _remove(self, name: str) -> bool:
        path = self.root / name
        # A link would lead out of the folder.
        if path.parent.resolve() != (self.root.resolve() / name).parent or not path.is_file():
            return False
        path.unlink()
        if path.parent != self.root and not any(path.parent.iterdir()):
            path.parent.rmdir()
        return True


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _replace(path: Path, data: bytes) -> None:
    # Not durable: a site can be built again, and syncing ten thousand files takes minutes.
    write_whole(path, data, durable=False)


def _cannot(error: OSError, root: Path) -> UserError:
    return UserError(
        f"the site cannot be written: {error.strerror or error}",
        file=root,
        remedy="name another folder with --to",
    )
