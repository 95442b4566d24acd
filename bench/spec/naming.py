"""Names that become files: of a paper, a profile, a dataset, weights or a stage."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

# One component of a path on every system, and no option of a command.
_NAME = re.compile(r"[^\W_][\w.+-]{0,99}(?<!\.)")


def is_name(text: str) -> bool:
    """Whether a text can name a file: letters, digits, ``.``, ``_``, ``+``, ``-``; at most 100.

    >>> is_name("cub-200-2011"), is_name("../../x"), is_name("a/b"), is_name("")
    (True, False, False, False)
    """
    return _NAME.fullmatch(text) is not None


def joined_name(*texts: str) -> str:
    """Return the name that texts make; what no name may hold becomes a ``-``.

    >>> joined_name("flowers-102", "stage:far@patch", "seed-0")
    'flowers-102.stage-far-patch.seed-0'
    """
    return ".".join(re.sub(r"[^\w.+-]", "-", text) for text in texts)


def _checked(text: str) -> str:
    if not is_name(text):
        raise ValueError(
            "names files, so it is up to 100 letters, digits, dots, _, + and -, "
            "and begins with a letter or a digit"
        )
    return text


Name = Annotated[str, AfterValidator(_checked)]
