"""Who may connect to a Ray cluster: whoever may, can run any code on all of its machines."""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from bench.errors import UserError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
FIRST = (2, 52)
"""The first version of Ray that asks for a token."""
_START = (
    f"start every machine's Ray with {MODE}=token and {TOKEN_PATH}=FILE, with the same token in "
    "a file of mode 600, and set both here"
)


def check_access(address: str, version: str, environment: MutableMapping[str, str]) -> None:
    """Refuse a cluster that others on the network could use too; ask for its token.

    Parameters
    ----------
    address
        ``HOST:PORT``, or ``auto``.
    version
        Ray's.
    environment
        Where the token is named; the mode is set there where a token is found without it.

    Raises
    ------
    UserError
        If the cluster is not on this machine's loopback and there is no token, Ray is too old to
        ask for one, or others can read its file.
    """
    file = token_file(environment)
    mode = environment.get(MODE, "").lower()
    has_token = bool(environment.get(TOKEN)) or file.is_file()
    if has_token and mode in ("", "token"):
        if not environment.get(TOKEN):
            check_private(file)
        if can_ask(version):
            environment[MODE] = mode = "token"
    if is_loopback(address):
        return
    if not can_ask(version):
        raise UserError(
            f"Ray {version} asks nobody who he is: whoever reaches {address} can run any code",
            remedy="install ray 2.52 or later on all machines: uv pip install 'retable[ray]'",
        )
    if mode != "token":
        raise UserError(f"the Ray at {address} is to be used without a token", remedy=_START)
    if not has_token:
        raise UserError("there is no token", file=file, remedy=_START)


def can_ask(version: str) -> bool:
    """Return whether a version of Ray can ask for a token."""
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return tuple(numbers) >= FIRST


def token_file(environment: Mapping[str, str]) -> Path:
    """Return the file in which Ray looks for the token."""
    given = environment.get(TOKEN_PATH)
    return Path(given) if given else Path.home() / ".ray" / "auth_token"


def check_private(file: Path) -> None:
    """Refuse a token that others can read.

    Raises
    ------
    UserError
        If they can.
    """
    if file.stat().st_mode & 0o077:
        raise UserError(
            "others on this machine can read the token", file=file, remedy=f"chmod 600 {file}"
        )


def is_loopback(address: str) -> bool:
    """Return whether an address can only be reached from this machine."""
    host = address.rpartition(":")[0] or address
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def give_token(folder: Path, environment: MutableMapping[str, str]) -> None:
    """Let a Ray that this process is about to start ask for a token, made here if none is given."""
    environment[MODE] = "token"
    if environment.get(TOKEN):
        return
    file = token_file(environment)
    if file.is_file():
        check_private(file)
        return
    made = folder / "token"
    with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secrets.token_hex(32))
    environment[TOKEN_PATH] = str(made)
