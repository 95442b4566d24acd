"""How a page is made again."""

from __future__ import annotations

import shlex

from bench.report.sections import Board
from bench.spec.find import shipped_folder


def again(board: Board) -> str:
    """Return the commands that make this page."""
    return "## Run it again\n\n```sh\n" + "\n".join(commands(board)) + "\n```"


def commands(board: Board) -> list[str]:
    """Return the lines of a shell that make this page."""
    paper, profile, file = board.plan.paper.id, board.plan.profile, board.plan.file
    named = file.parts[-3:-1] == ("suites", paper)
    suite = shlex.quote(f"{paper}/{file.stem}" if named else "/".join(file.parts[-2:]))
    excerpt = board.plan.excerpt
    given = shlex.join(["--profile", profile, *(excerpt.options if excerpt is not None else ())])
    lines = [f"bench run {suite} {given}", f"bench report {suite} {given}"]
    # The targets of make are those of the papers that come with Retable, and of whole suites.
    if excerpt is None and named and _comes_along(paper) and file.stem != "pretrain":
        make = f"make reproduce-{paper} PROFILE={profile}"
        lines = [make, "# or, where Retable is installed", *lines]
    return lines


def _comes_along(paper: str) -> bool:
    shipped = shipped_folder("suites")
    return shipped is not None and (shipped / paper / "paper.yaml").is_file()
