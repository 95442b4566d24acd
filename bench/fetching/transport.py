"""Bytes from the Hub: requests that wait as they are told, files that go on where they ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import get_session
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    hf_raise_for_status,
)

from bench.errors import UserError
from bench.fetching.needs import Need

T = TypeVar("T")
Tell = Callable[[str], None]
Advance = Callable[[int], None]
# Longer than the Hub's window of five minutes nobody should wait without being asked.
LONGEST_WAIT = 330
_TRIES = 5
_SECONDS = 30.0
_BUSY = (429, 500, 502, 503, 504)


class FetchError(UserError):
    """Something cannot be brought from the Hub."""


class NoNetwork(FetchError):
    """The Hub cannot be reached at all."""


def patiently(call: Callable[[], T], need: Need, tell: Tell) -> T:
    """Return what a request gives; it is repeated while the Hub is busy or does not answer.

    Raises
    ------
    FetchError
        If it fails for good.
    """
    for tried in range(_TRIES):
        try:
            return call()
        except HfHubHTTPError as error:
            response = error.response
            if response is None or response.status_code not in _BUSY or tried == _TRIES - 1:
                raise refusal(error, need) from error
            wait(response, tried, need, tell)
        except Exception as error:
            if not is_of_network(error):
                raise
            if tried == _TRIES - 1 or _never_connects(error):
                raise _no_network(error, need) from error
            time.sleep(2**tried)
    raise AssertionError("the last try returns or raises")


def download(url: str, part: Path, size: int, need: Need, tell: Tell, advance: Advance) -> None:
    """Bring a file's bytes, after those that are there; nothing is said of what they are.

    Parameters
    ----------
    part
        Where they go; what an earlier call has left there is gone on from.
    advance
        Told of how many bytes have come, or, below zero, were lost.

    Raises
    ------
    FetchError
        If it fails for good; what has come stays.
    """
    if size == 0:
        part.touch()
    tried = 0
    while (have := _length(part, size)) < size:
        try:
            response = _append(url, part, have, size, advance)
        except HfHubHTTPError as error:
            raise refusal(error, need) from error
        except Exception as error:
            if not is_of_network(error):
                raise
            if _never_connects(error) and tried:
                raise _no_network(error, need) from error
            response = None
        came = _length(part, size) > have
        tried = 0 if came else tried + 1
        if tried >= _TRIES:
            raise FetchError(
                f"{need.repository}: nothing more comes of {part.stem}, {_TRIES} times over",
                remedy="run the same command later: it goes on where it was",
            )
        if response is not None and response.status_code in _BUSY:
            wait(response, tried, need, tell)
        elif not came:
            time.sleep(2 ** (tried - 1))


def _append(url: str, part: Path, have: int, size: int, advance: Advance) -> Any:
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers, timeout=_SECONDS) as response:
        if response.status_code in _BUSY:
            return response
        hf_raise_for_status(response)
        on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and not (response.status_code == 206 and on):
            # The whole file comes again: after what is here it would be another file.
            advance(-have)
            have = 0
        with part.open("ab" if have else "wb") as file:
            # Without a size of its own: a chunk that is cut would be lost.
            for chunk in response.iter_bytes():
                file.write(chunk)
                advance(len(chunk))
        return response


def _length(part: Path, size: int) -> int:
    """Return how much of a file is there; what is longer than it should be is removed."""
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        return 0
    return have


def wait(response: Any, tried: int, need: Need, tell: Tell) -> None:
    """Wait as long as the Hub says, or longer each time where it does not say."""
    said = str(response.headers.get("Retry-After", ""))
    seconds = int(said) if said.isdigit() else 2**tried
    if seconds > LONGEST_WAIT:
        raise FetchError(
            f"{need.repository}: the Hub asks to wait {seconds:,} s ({response.status_code})",
            remedy="run the same command then: it goes on where it was. Who is logged in "
            "(`hf auth login`) may ask more often",
        )
    tell(f"{need.repository}: the Hub is busy ({response.status_code}); going on in {seconds} s")
    time.sleep(seconds)


def is_of_network(error: Exception) -> bool:
    """Whether a request did not get through, or not to its end."""
    # The client's library has had two names; both call it so.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"TransportError", "ConnectionError", "OfflineModeIsEnabled"})


def _never_connects(error: Exception) -> bool:
    return type(error).__name__ in ("ConnectError", "OfflineModeIsEnabled", "UnsupportedProtocol")


def _no_network(error: Exception, need: Need) -> NoNetwork:
    return NoNetwork(
        f"{need.repository}: the Hub cannot be reached ({str(error) or type(error).__name__})",
        remedy="run this where there is a network (behind a proxy set HTTPS_PROXY), and carry the "
        "folder; what has come already stays",
    )


def page_of(need: Need) -> str:
    """Return the address of a repository's page."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{'datasets/' if need.kind == 'dataset' else ''}{need.repository}"


def refusal(error: HfHubHTTPError, need: Need) -> FetchError:
    """Return what the Hub has refused, for who can act on it."""
    where = f"{need.repository} (for {need.what})"
    if isinstance(error, GatedRepoError):
        return FetchError(
            f"{where} is gated, and you have no access to it",
            remedy=f"accept the terms at {need.terms or page_of(need)}, then run "
            "`hf auth login` or set HF_TOKEN",
        )
    if isinstance(error, RevisionNotFoundError):
        return FetchError(
            f"{where} has no revision {need.revision}",
            remedy=f"see {page_of(need)}: it may have been removed since it was pinned",
        )
    if isinstance(error, RepositoryNotFoundError):
        return FetchError(
            f"{where} is not there, or is private",
            remedy=f"see {page_of(need)}; if you may read it: `hf auth login` or HF_TOKEN",
        )
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return FetchError(f"{where} cannot be had: {first}")
