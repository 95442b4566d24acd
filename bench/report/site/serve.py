"""A site over HTTP, on this machine alone, whose open pages load anew when it is built again."""

from __future__ import annotations

import http
import io
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from bench.errors import UserError

HOST = "127.0.0.1"
BUILD = "/.retable-build"
# Put into pages as they are sent: the files of a site know of no server.
_RELOAD = """<script>
setInterval(async () => {
  try {
    const answer = await fetch("%s", {cache: "no-store"});
    if (answer.ok && await answer.text() !== "%d") location.reload();
  } catch { /* The server has ended: the page stays as it is. */ }
}, 2000);
</script>
"""
_END = b"</body>"


class SiteServer(ThreadingHTTPServer):
    """Serves a folder; ``build`` is counted up whenever its files have changed.

    Parameters
    ----------
    port
        0 takes a free one.

    Raises
    ------
    UserError
        If the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.build = 1
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UserError(
                f"port {port} cannot be had: {error.strerror or error}",
                field="--port",
                remedy="name another, or 0 for any that is free",
            ) from None

    @property
    def address(self) -> str:
        """Where the site is."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    server: SiteServer

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, directory=str(given[2].folder), **named)

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        if self.path == BUILD:
            return self._sent(str(self.server.build).encode(), "text/plain")
        # Before the file is read: a build that ends meanwhile makes the page load once more.
        build = self.server.build
        path = Path(self.translate_path(self.path))
        page = path / "index.html" if path.is_dir() and self.path.endswith("/") else path
        if page.suffix != ".html" or not page.is_file():
            return super().send_head()
        before, end, after = page.read_bytes().rpartition(_END)
        return self._sent(before + (_RELOAD % (BUILD, build)).encode() + end + after, "text/html")

    def list_directory(self, path: Any) -> None:
        self.send_error(http.HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *said: Any) -> None:
        """Say nothing: the terminal tells of builds."""

    def _sent(self, content: bytes, kind: str) -> io.BytesIO:
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return io.BytesIO(content)
