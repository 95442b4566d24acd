"""What kind of failure an exception is, by names and texts: no library is imported to know its."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.records.record import FAILURE_KINDS, FailureKind

# cuDNN, cuBLAS and cuSOLVER have words of their own for a device without memory: a workspace that
# cannot be had is told as an engine that was not found, or as an internal error; a handle, as a
# library that was not initialised.
_NO_MEMORY = re.compile(
    r"out of memory|not enough memory|can't allocate memory"
    r"|get was unable to find an engine|unable to find a valid cudnn"
    r"|cudnn_status_(alloc_failed|internal_error|not_initialized)"
    r"|cublas_status_(alloc_failed|not_initialized)"
    r"|cusolver_status_(alloc_failed|internal_error)"
)
_NO_START = re.compile(
    r"driver on your system is too old|driver version is insufficient"
    r"|no kernel image is available|cuda driver initialization failed"
    r"|no cuda gpus are available|not compiled with cuda|unsupported display driver"
    r"|forward compatibility was attempted|system not yet initialized",
)
_LIBRARIES = frozenset({
    "aiohttp", "datasets", "fsspec", "http", "httpcore", "httpx", "huggingface_hub", "requests",
    "socket", "ssl", "urllib",
})  # fmt: skip
_UNREACHED = frozenset({
    "ChunkedEncodingError", "ClientConnectionError", "ClientPayloadError", "ConnectError",
    "ConnectTimeout", "ConnectTimeoutError", "ConnectionError", "ConnectionTimeout",
    "ContentTooShortError", "FileMetadataError", "IncompleteRead", "MaxRetryError",
    "NameResolutionError", "NetworkError", "NewConnectionError", "PoolTimeout", "ProtocolError",
    "ProxyError", "ReadError", "ReadTimeout", "ReadTimeoutError", "RemoteDisconnected",
    "RemoteProtocolError", "SSLError", "ServerDisconnectedError", "Timeout", "TimeoutException",
    "TransportError", "URLError", "WriteError", "WriteTimeout", "gaierror",
})  # fmt: skip
# What was reached and said no, and what the user has switched off, says so again.
_REFUSED = frozenset({
    "BadRequestError", "DisabledRepoError", "GatedRepoError", "OfflineModeIsEnabled",
    "RemoteEntryNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError",
})  # fmt: skip
_LATER = frozenset({408, 425, 429})


def kind_of(error: BaseException) -> FailureKind:
    """Return what kind of failure an exception is.

    A class of ours says it by its attribute ``kind``; what it was raised from may be a network
    that failed, and then it is that. Torch's out-of-memory error is known by name and text, since
    scheduling does not import torch: it has that name on CUDA and is a plain ``RuntimeError`` on
    the CPU and where a library of CUDA's hides it.
    """
    if is_network(error):
        return "network"
    said = getattr(type(error), "kind", None)
    for kind in FAILURE_KINDS:
        if said == kind:
            return kind
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"OutOfMemoryError", "MemoryError"}:
        return "out-of-memory"
    if isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error).lower()):
        return "out-of-memory"
    return "error"


def is_network(error: BaseException) -> bool:
    """Return whether a network that failed for now is behind an exception.

    Nothing that a server has refused (gated, not found, no permission), and nothing of a network
    that the user has switched off: that would fail again.
    """
    chain = list(_chain(error))
    if any(_refused(each) for each in chain):
        return False
    return any(_unreached(each) for each in chain)


def cannot_start(error: BaseException) -> bool:
    """Return whether CUDA itself cannot be begun with in this process, whatever the cell does."""
    return isinstance(error, RuntimeError | AssertionError) and bool(
        _NO_START.search(" ".join(str(error).lower().split()))
    )


def message_of(error: BaseException, device: str = "cpu") -> str:
    """Return an exception in a line; where CUDA cannot be begun with, what to do about it."""
    lines = str(error).strip().splitlines()
    told = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if device != "cuda" or not cannot_start(error):
        return told
    return (
        f"the GPU cannot be used by this PyTorch: {told}\n"
        "  install a newer driver, or a PyTorch that is built for this driver and GPU, "
        "or use --device cpu"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        # What a class of ours was raised beside, and not from, is another matter.
        beside = None if at.__suppress_context__ or hasattr(type(at), "kind") else at.__context__
        at = at.__cause__ or beside


def _unreached(error: BaseException) -> bool:
    # The system's own have subclasses, which may be of pipes; libraries raise the class itself.
    if type(error) is ConnectionError:
        return True
    status = _status(error)
    if status is not None:
        return status >= 500 or status in _LATER
    return any(
        cls.__name__ in _UNREACHED and _library(cls) in _LIBRARIES for cls in type(error).__mro__
    )


def _refused(error: BaseException) -> bool:
    if any(cls.__name__ in _REFUSED for cls in type(error).__mro__):
        return True
    # `datasets` names the cause in brackets, and keeps nothing else of it.
    if type(error) is ConnectionError and any(f"({name})" in str(error) for name in _REFUSED):
        return True
    if isinstance(error, OSError) and "offline mode is enabled" in str(error).lower():
        return True
    status = _status(error)
    return status is not None and 400 <= status < 500 and status not in _LATER


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an exception of one of the libraries tells."""
    if not any(_library(cls) in _LIBRARIES for cls in type(error).__mro__):
        return None
    answer = getattr(error, "response", None)
    found = getattr(answer, "status_code", None) or getattr(error, "code", None)
    return found if isinstance(found, int) else None


def _library(cls: type) -> str:
    # urllib3, httpx2: a number at the end is an edition.
    return cls.__module__.partition(".")[0].rstrip("0123456789")
