"""Our own sentences as HTML: what ``bench.report.markdown`` writes within a line, and no more."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from bench.report.markdown import web_address

# In this order: an escaped sign is itself, code is not looked into, then links and emphasis.
_PARTS = re.compile(
    r"\\(?P<sign>[\\`*\[\]<>|~$&_])"
    r"|`(?P<code>[^`]*)`"
    r"|\[(?P<text>(?:\\.|[^\]\\])*)\]\(<(?P<url>[^<>\s]*)>\)"
    r"|(?P<stars>\*\*?)"
)
_TAGS = {"*": "em", "**": "strong"}


def inline(text: str) -> Markup:
    """Return a line of Markdown as HTML; every character that is not ours to interpret is escaped.

    >>> inline("**bold**, `a|b` and \\\\*stars\\\\*")
    Markup('<strong>bold</strong>, <code>a|b</code> and *stars*')
    """
    out, last = [Markup()], 0
    opened: list[str] = []
    for match in _PARTS.finditer(text):
        out.append(escape(text[last : match.start()]))
        out.append(_html(match, opened))
        last = match.end()
    out.append(escape(text[last:]))
    out += [Markup(f"</{_TAGS[stars]}>") for stars in reversed(opened)]
    return Markup().join(out)


def breakable(text: str | Markup) -> Markup:
    """Return plain text as HTML that a narrow column breaks within names: behind / and _.

    >>> breakable("test/top1_error")
    Markup('test/<wbr>top1_<wbr>error')
    """
    if isinstance(text, Markup):
        return text
    return Markup(re.sub(r"([/_])(?=\w)", r"\1<wbr>", str(escape(text))))


def paragraphs(text: str) -> list[Markup]:
    """Return what blank lines part, each as HTML."""
    return [inline(part) for part in text.split("\n\n") if part.strip()]


def _html(match: re.Match[str], opened: list[str]) -> Markup:
    if match["sign"] is not None:
        return escape(match["sign"])
    if match["code"] is not None:
        return Markup("<code>{}</code>").format(match["code"].replace("\\|", "|"))
    if match["stars"] is not None:
        return _emphasis(match["stars"], opened)
    url = web_address(match["url"])
    shown = inline(match["text"])
    return Markup('<a href="{}">{}</a>').format(url, shown) if url else shown


def _emphasis(stars: str, opened: list[str]) -> Markup:
    if opened and opened[-1] == stars:
        opened.pop()
        return Markup(f"</{_TAGS[stars]}>")
    if stars in opened:
        return escape(stars)
    opened.append(stars)
    return Markup(f"<{_TAGS[stars]}>")
