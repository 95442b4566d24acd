"""A file as it was at a revision of a git repository."""

from __future__ import annotations

import subprocess

from bench.errors import UserError


def file_at_revision(named: str) -> str:
    """Return the text of ``REVISION:PATH``, as ``git show`` has it.

    Raises
    ------
    UserError
        If git is missing, this is no repository, or it has no such revision or file.
    """
    try:
        # A name that begins with a dash would be an option.
        shown = subprocess.run(
            ["git", "show", "--end-of-options", named], capture_output=True, check=False
        )
    except FileNotFoundError:
        raise UserError(
            "git is not installed here", remedy="name two files or stores instead"
        ) from None
    if shown.returncode != 0:
        reason = shown.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(
            f"git has no {named}: {reason[0].removeprefix('fatal: ') if reason else 'unknown'}",
            remedy="REVISION:PATH, with the path from the repository's root, such as "
            "HEAD~3:leaderboards/bss/table2.offline.csv",
        )
    return shown.stdout.decode("utf-8", errors="replace")
