"""Where suites lie: a path, or a name such as ``bss/table2`` below a folder of suites."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from bench.errors import SpecError, did_you_mean

NOT_SUITES = ("paper.yaml", "reported.yaml", "slurm.yaml")
VARIABLE = "RETABLE_SUITES"
_PACKAGE = Path(__file__).parents[1]
_asked: ContextVar[tuple[Path, ...]] = ContextVar("asked", default=())


@contextmanager
def looking_in(folders: Sequence[Path]) -> Iterator[None]:
    """Look for suites in these folders in place of those that ``RETABLE_SUITES`` names."""
    before = _asked.set(tuple(folders))
    try:
        yield
    finally:
        _asked.reset(before)


def asked_folders() -> tuple[Path, ...]:
    """Return the folders of :func:`looking_in`; none outside it."""
    return _asked.get()


def suites_folders() -> list[Path]:
    """Return the folders in which suites are looked up, in this order.

    ``./suites``; those asked for, else those in ``RETABLE_SUITES``; what comes with Retable.

    Raises
    ------
    SpecError
        If one that is asked for is not there, or there is none at all.
    """
    shipped = shipped_folder("suites")
    found = [*_own_folders(), *([shipped] if shipped is not None else [])]
    if not found:
        raise SpecError("there is no folder 'suites' here", remedy="name the suite by its path")
    return list(dict.fromkeys(folder.resolve() for folder in found))


def _own_folders() -> list[Path]:
    here = Path.cwd() / "suites"
    named = [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    asked = list(_asked.get()) or named
    for folder in asked:
        if not folder.is_dir():
            by = "--suites" if _asked.get() else VARIABLE
            raise SpecError(f"there is no such folder of suites; {by} names it", file=folder)
    return [*([here] if here.is_dir() else []), *asked]


def shipped_folder(name: str) -> Path | None:
    """Return a folder that comes with Retable: in the package, else in the clone around it."""
    inside, around = _PACKAGE / name, _PACKAGE.parent / name
    if inside.is_dir():
        return inside
    return around if (_PACKAGE.parent / "pyproject.toml").is_file() and around.is_dir() else None


def list_suites(folder: Path) -> list[Path]:
    """Return every suite file below a folder, sorted."""
    return sorted(file for file in folder.rglob("*.yaml") if file.name not in NOT_SUITES)


def find_suite(name: str) -> Path:
    """Return a suite's file from a path, ``paper/suite``, or a suite's bare name.

    Raises
    ------
    SpecError
        If there is none, or a bare name stands for several.
    """
    path = Path(name)
    if _is_path(path):
        if path.is_file():
            return path.resolve()
        # Those beside it, and none below: it may be said to be at the root of the disk.
        near = [f for f in path.parent.glob("*.yaml") if f.name not in NOT_SUITES]
        raise SpecError("there is no such file", file=path, remedy=did_you_mean(path, near))
    known = known_suites()
    found = _called(name, known)
    if len(found) == 1:
        return known[found[0]]
    if found:
        raise SpecError(f"{name!r} stands for {', '.join(found)}", remedy="name the paper too")
    raise SpecError(
        f"there is no suite {name!r}", remedy=did_you_mean(name, known, "bench list suites")
    )


def paper_called(name: str) -> Path | None:
    """Return the folder of the paper that a name stands for; None where it stands for none.

    It is the folder's path, or its name below ``suites``.

    Raises
    ------
    SpecError
        If the name stands for a suite too.
    """
    folders = [Path(name)]
    if (below := _folder_of_paper(name)) is not None:
        folders.append(below)
    paper = next((folder for folder in folders if (folder / "paper.yaml").is_file()), None)
    if paper is None:
        return None
    suites = [] if _is_path(paper) and paper == Path(name) else _called(name, known_suites())
    if suites:
        raise SpecError(
            f"{name!r} stands for {', '.join(suites)} and for the paper in {paper}",
            remedy="name the suite with its paper, or the paper by its path",
        )
    return paper.resolve()


def _is_path(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml") or path.is_absolute()


def known_suites() -> dict[str, Path]:
    """Return every suite by its name, ``PAPER/SUITE``, those of earlier folders first.

    A paper's folder hides one of its name in a later folder whole: its claims are about the
    suites beside it.
    """
    found: dict[str, Path] = {}
    for folder in suites_folders():
        hidden = {key.split("/")[0] for key in found}
        for file in list_suites(folder):
            name = "/".join(file.relative_to(folder).with_suffix("").parts)
            if name.split("/")[0] not in hidden:
                found[name] = file
    return found


def _called(name: str, known: Iterable[str]) -> list[str]:
    """Return the suites that a name stands for: that of its paper, or all of the bare name."""
    return [name] if name in known else [key for key in known if key.split("/")[-1] == name]


def own_papers() -> list[Path]:
    """Return the folders of the user's own: this one and those in it, with a ``paper.yaml``."""
    here = Path.cwd()
    return [file.parent for file in sorted([*here.glob("paper.yaml"), *here.glob("*/paper.yaml")])]


def find_suites(names: Sequence[str]) -> list[Path]:
    """Return the files of the named suites or papers' folders.

    Where none is named, all suites of the user's own folders; those that come with Retable where
    there is no such folder.
    """
    if not names:
        names = [str(folder) for folder in _own_folders() or suites_folders()]
    found: list[Path] = []
    for name in names:
        for folder in (Path(name), _folder_of_paper(name)):
            if folder is not None and folder.is_dir():
                inside = [file.resolve() for file in list_suites(folder)]
                if not inside:
                    raise SpecError("there is no suite below this folder", file=folder)
                found += inside
                break
        else:
            found.append(find_suite(name))
    return found


def find_paper(name: str) -> Path:
    """Return a paper's folder from a path, or from its name below ``suites``.

    Raises
    ------
    SpecError
        If there is none with a ``paper.yaml``.
    """
    for folder in (Path(name), _folder_of_paper(name)):
        if folder is not None and (folder / "paper.yaml").is_file():
            return folder.resolve()
    folders = suites_folders()
    known = sorted(f.parent.name for folder in folders for f in folder.glob("*/paper.yaml"))
    raise SpecError(f"there is no paper {name!r}", remedy=did_you_mean(name, known))


def _folder_of_paper(name: str) -> Path | None:
    """Return the first folder of this name below those of suites."""
    try:
        folders = suites_folders()
    except SpecError:
        return None
    return next((folder / name for folder in folders if (folder / name).is_dir()), None)
