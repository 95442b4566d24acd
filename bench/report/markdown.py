"""Markdown as GitHub renders it: text that stays text, tables, foldable parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tabulate import tabulate

_SPECIAL = re.compile(r"([\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_]))")


def escape(text: object) -> str:
    """Return text on one line with everything that Markdown would interpret escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Return a pipe table of Markdown cells (escaped by the caller); ``left`` columns align left.

    Raises
    ------
    ValueError
        If there are no rows, or a row is not as long as the header.
    """
    body = [[*row] for row in rows]
    if not body or any(len(row) != len(header) for row in body):
        raise ValueError("a table needs rows as long as its header")
    align = ["left" if i < left else "right" for i in range(len(header))]
    return tabulate(body, [*header], tablefmt="pipe", disable_numparse=True, colalign=align)


def terms(explained: Iterable[tuple[str, str]]) -> str:
    """Return words and what they mean as a list; both are Markdown already."""
    return "\n".join(f"- **{term}**: {meaning}" for term, meaning in explained)


def details(summary: str, body: str) -> str:
    """Return a part that is folded until the reader opens it."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def web_address(url: str | None) -> str | None:
    """Return an address if it is one that a page may link to: http or https, nothing that runs."""
    return url if url and re.match(r"https?://[^\s<>]+\Z", url) else None


def link(text: str, url: str | None) -> str:
    """Return a link to the web or to a file beside the page; the text alone for any other."""
    beside = url and re.match(r"(?![^/]*:)[^/\n<>][^\n<>]*\Z", url)
    return f"[{escape(text)}](<{url}>)" if beside or web_address(url) else escape(text)


def code(text: object) -> str:
    """Return text as inline code, safe inside a table."""
    plain = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""
