"""Pages in Chromium: what they complain of, what they ask for, whether they fit the screen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

# A laptop's window and a phone's.
WIDTHS = (1200, 390)


class Reader:
    """A page in the browser, with all that it complains of and asks for."""

    def __init__(self, browser: Any, **given: Any) -> None:
        self.page = browser.new_context(**given).new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, file: Path) -> Any:
        self.page.goto(file.as_uri())
        return self.page


def check_pages(browser: Any, files: Iterable[Path], width: int, scheme: str = "light") -> None:
    """Load pages without a network; none complains, lacks a picture or is wider than the screen."""
    screen = {"width": width, "height": 844}
    reader = Reader(browser, viewport=screen, color_scheme=scheme, offline=True)
    for file in files:
        page = reader.open(file)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, file
        loaded = "[...document.images].every(i => (i.loading = 'eager', i.complete))"
        page.wait_for_function(loaded)
        assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)"), file
    assert reader.complaints == []
    assert reader.asked
    assert all(url.startswith(("file://", "data:,")) for url in reader.asked)
