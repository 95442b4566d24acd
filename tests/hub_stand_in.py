"""A stand-in for the Hugging Face Hub on the loopback: what its clients ask, and what can go wrong.

Written from the Hub's documented interface: information on a repository with its files, tree and
paths, files by ``resolve`` with their headers, large ones by a redirect to where bytes lie.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".parquet", ".safetensors", ".bin")


@dataclass
class Repository:
    """What the Hub has of a repository: the files of its newest commit, which others may name."""

    kind: Literal["model", "dataset"]
    name: str
    commit: str
    files: Mapping[str, bytes]
    gated: bool = False

    def entry(self, path: str) -> tuple[str, str | None]:
        """Return git's name of a file's blob, and its SHA-256 where it is a large one."""
        data = self.files[path]
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return blob, hashlib.sha256(data).hexdigest() if path.endswith(LARGE) else None


@dataclass
class Fault:
    """What goes wrong with requests whose path holds ``where``, the first ``times`` times.

    ``cut``: the connection ends after ``value`` bytes. ``wrong``: a byte is another. ``busy``: 429,
    and the request to come again after ``value`` seconds. ``whole``: no ranges are known.
    """

    kind: Literal["cut", "wrong", "busy", "whole"]
    where: str
    value: int = 0
    times: int = 1
    methods: tuple[str, ...] = ("GET",)


@dataclass
class Hub:
    """The stand-in while it is served: what it holds, what goes wrong, and what it was asked."""

    url: str
    repositories: list[Repository] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def gets(self, where: str) -> list[str | None]:
        """Return the ranges of the requests for files whose path holds ``where``."""
        return [r for method, path, r in self.asked if method == "GET" and where in path]

    def fault(self, method: str, path: str, *kinds: str) -> Fault | None:
        """Take a fault that is due."""
        for one in self.faults:
            if one.times and one.where in path and method in one.methods and one.kind in kinds:
                one.times -= 1
                return one
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        path = unquote(address.path)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        busy = self.hub.fault(self.command, path, "busy")
        if busy is not None:
            self._send(429, b"{}", {"Retry-After": str(busy.value)})
            return
        if path.startswith("/bytes/"):
            self._file(path, *self._bytes(path))
            return
        for one in self.hub.repositories:
            prefix = "/datasets/" if one.kind == "dataset" else "/"
            if path == (api := f"/api/{one.kind}s/{one.name}") or path.startswith(f"{api}/"):
                self._of_api(one, path[len(api) :].strip("/"), sent, parse_qs(address.query))
                return
            if path.startswith(start := f"{prefix}{one.name}/resolve/"):
                self._resolve(one, *path[len(start) :].split("/", 1))
                return
        self._refuse(404, "RepoNotFound", "Repository not found")

    def _of_api(self, one: Repository, asked: str, sent: bytes, query: dict[str, Any]) -> None:
        what, _, rest = asked.partition("/")
        revision, _, below = rest.partition("/")
        if not self._known(one, revision or "main"):
            return
        if what in ("", "revision"):
            self._json(_info(one, blobs="blobs" in query))
        elif what == "tree":
            self._json(_tree(one, below, recursive=query.get("recursive") in (["True"], ["true"])))
        elif what == "paths-info":
            named = parse_qs(sent.decode()).get("paths", []) or json.loads(sent or b"{}")["paths"]
            every = {entry["path"]: entry for entry in _tree(one, "", recursive=True)}
            self._json([every[path] for path in named if path in every])
        else:
            self._refuse(404, "EntryNotFound", "not found")

    def _known(self, one: Repository, revision: str) -> bool:
        if revision in ("main", one.commit):
            return True
        self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return False

    def _resolve(self, one: Repository, revision: str, path: str) -> None:
        if not self._known(one, revision):
            return
        if one.gated and self.headers.get("Authorization") != "Bearer hf_accepted":
            status = 403 if self.headers.get("Authorization") else 401
            self._refuse(status, "GatedRepo", f"Access to dataset {one.name} is restricted.")
            return
        if path not in one.files:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        blob, sha256 = one.entry(path)
        headers = {"X-Repo-Commit": one.commit, "ETag": f'"{sha256 or blob}"'}
        if sha256 is None:
            self._file(f"{one.name}/{path}", one.files[path], headers)
            return
        size = str(len(one.files[path]))
        headers |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": size}
        to = f"{self.hub.url}/bytes/{one.name}/{path}"
        self._send(302, b"", {**headers, "Location": to})

    def _bytes(self, path: str) -> tuple[bytes, dict[str, str]]:
        for one in self.hub.repositories:
            start = f"/bytes/{one.name}/"
            if path.startswith(start):
                # Where bytes lie nobody is to say who he is.
                assert self.headers.get("Authorization") in (None, "Bearer hf_accepted")
                return one.files[path[len(start) :]], {}
        raise AssertionError(path)

    def _file(self, path: str, data: bytes, headers: dict[str, str]) -> None:
        status, begin = 200, 0
        wanted = self.headers.get("Range")
        fault = self.hub.fault(self.command, path, "cut", "wrong", "whole")
        if fault is not None and fault.kind == "wrong":
            data = bytes([data[0] ^ 1]) + data[1:]
        if wanted and not (fault is not None and fault.kind == "whole"):
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
            status = 206
            headers = {**headers, "Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
        cut = fault.value if fault is not None and fault.kind == "cut" else None
        self._send(status, data[begin:], {**headers, "Accept-Ranges": "bytes"}, cut)

    def _json(self, data: object) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(
        self, status: int, data: bytes, headers: Mapping[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if cut is None else data[:cut])
        if cut is not None:
            self.close_connection = True


def _info(one: Repository, *, blobs: bool) -> dict[str, Any]:
    files = []
    for path, data in one.files.items():
        blob, sha256 = one.entry(path)
        file: dict[str, Any] = {"rfilename": path}
        if blobs:
            file |= {"size": len(data), "blobId": blob}
        if blobs and sha256:
            file["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
        files.append(file)
    gated = "auto" if one.gated else False
    return {"id": one.name, "sha": one.commit, "gated": gated, "siblings": files, "tags": []}


def _tree(one: Repository, below: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Return files and folders below a folder, or only those directly in it."""
    start = f"{below}/" if below else ""
    folders = {str(parent) for path in one.files for parent in PurePosixPath(path).parents}
    found = [_in_tree(one, path) for path in one.files]
    found += [{"type": "directory", "path": f, "oid": "0" * 40} for f in folders - {"."}]
    return [
        entry
        for entry in found
        if entry["path"].startswith(start)
        and (recursive or "/" not in entry["path"].removeprefix(start))
    ]


def _in_tree(one: Repository, path: str) -> dict[str, Any]:
    blob, sha256 = one.entry(path)
    size = len(one.files[path])
    large = {"lfs": {"oid": sha256, "size": size, "pointerSize": 130}} if sha256 else {}
    return {"type": "file", "path": path, "size": size, "oid": blob, **large}


def repository_of(kind: Literal["model", "dataset"], name: str, snapshot: Path) -> Repository:
    """Return a repository with the files of a snapshot's folder, whose name is its commit."""
    files = {
        file.relative_to(snapshot).as_posix(): file.read_bytes()
        for file in sorted(snapshot.rglob("*"))
        if file.is_file()
    }
    return Repository(kind, name, snapshot.name, files)


@contextmanager
def served(*repositories: Repository) -> Iterator[Hub]:
    """Serve repositories while the block runs."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_port}", list(repositories))
    handler.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
