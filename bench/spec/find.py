"""Where suites lie: a path, or a name such as ``bss/table2`` below a ``suites`` folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.errors import SpecError, did_you_mean

NOT_SUITES = ("paper.yaml", "reported.yaml")


def suites_folder() -> Path:
    """Return ``./suites`` if it is there, else the one beside the installed package.

    Raises
    ------
    SpecError
        If neither exists.
    """
    for folder in (Path.cwd() / "suites", Path(__file__).parents[2] / "suites"):
        if folder.is_dir():
            return folder
    raise SpecError("there is no folder 'suites' here", remedy="name the suite by its path")


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
        return known[found[0]].resolve()
    if found:
        raise SpecError(f"{name!r} stands for {', '.join(found)}", remedy="name the paper too")
    raise SpecError(f"there is no suite {name!r}", remedy=did_you_mean(name, known))


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
    """Return every suite by its name, ``PAPER/SUITE``."""
    folder = suites_folder()
    return {"/".join(f.relative_to(folder).with_suffix("").parts): f for f in list_suites(folder)}


def _called(name: str, known: Iterable[str]) -> list[str]:
    """Return the suites that a name stands for: that of its paper, or all of the bare name."""
    return [name] if name in known else [key for key in known if key.split("/")[-1] == name]


def own_papers() -> list[Path]:
    """Return the folders of the user's own: this one and those in it, with a ``paper.yaml``."""
    here = Path.cwd()
    return [file.parent for file in sorted([*here.glob("paper.yaml"), *here.glob("*/paper.yaml")])]


def find_suites(names: Sequence[str]) -> list[Path]:
    """Return the files of the named suites or papers' folders; all suites where none is named."""
    if not names:
        names = [str(suites_folder())]
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
    known = sorted(file.parent.name for file in suites_folder().glob("*/paper.yaml"))
    raise SpecError(f"there is no paper {name!r}", remedy=did_you_mean(name, known))


def _folder_of_paper(name: str) -> Path | None:
    try:
        return suites_folder() / name
    except SpecError:
        return None
