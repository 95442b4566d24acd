"""How a page is made again."""

from __future__ import annotations

import shlex

from bench.report.sections import Board


def again(board: Board) -> str:
    """Return the commands that make this page."""
    return "## Run it again\n\n```sh\n" + "\n".join(commands(board)) + "\n```"


def commands(board: Board) -> list[str]:
    """Return the lines of a shell that make this page."""
    paper, profile, file = board.plan.paper.id, board.plan.profile, board.plan.file
    ours = file.parts[-3:-1] == ("suites", paper)
    suite = shlex.quote(f"{paper}/{file.stem}" if ours else "/".join(file.parts[-2:]))
    excerpt = board.plan.excerpt
    given = shlex.join(["--profile", profile, *(excerpt.options if excerpt is not None else ())])
    lines = [f"bench run {suite} {given}", f"bench report {suite} {given}"]
    if excerpt is None and ours and file.stem != "pretrain":
        make = f"make reproduce-{paper} PROFILE={profile}"
        lines = [make, "# or, where Retable is installed", *lines]
    return lines
