"""Can the Hub be reached, from which most datasets and weights come?"""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from bench.doctor.disks import hub_home
from bench.doctor.finding import Asked, Finding

KEYS = ("endpoint", "offline", "token", "status", "seconds", "error")
PATIENCE = 5.0
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def hub(asked: Asked) -> Finding:
    """Ask the Hub for its first page's head."""
    offline = [name for name in _OFFLINE if _is_on(os.environ.get(name, ""))]
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    token = "a token" if _has_token() else "no token"
    measured: dict[str, object] = {
        "endpoint": without_secrets(endpoint),
        "offline": bool(offline),
        "token": _has_token(),
    }
    if offline:
        fact = f"offline mode ({offline[0]}); {token}"
        return Finding("not here", fact, measured=measured)
    began = time.monotonic()
    status, why = head(endpoint)
    seconds = round(time.monotonic() - began, 3)
    measured |= {"status": status, "seconds": seconds, "error": why or None}
    name = without_secrets(endpoint).removeprefix("https://")
    if status is not None and status < 500:
        return Finding("ok", f"{name} answers in {seconds:.1f} s; {token}", measured=measured)
    remedy = "set HTTPS_PROXY, or HF_ENDPOINT to a mirror; HF_HUB_OFFLINE=1 for cached data alone"
    return Finding("look", f"{name}: {why or f'answers {status}'}; {token}", remedy, measured)


def head(endpoint: str, patience: float = PATIENCE) -> tuple[int | None, str]:
    """Return the status of an endpoint's answer, or None and why there is none."""
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.urlopen(request, timeout=patience) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, ""
    except TimeoutError:
        return None, f"no answer within {patience:.0f} s"
    except (OSError, ValueError) as error:
        reason: object = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return None, f"no answer within {patience:.0f} s"
        why = getattr(reason, "strerror", None)
        return None, "not reached" + (f" ({why})" if why else "")


def without_secrets(address: str) -> str:
    """Return an address without what may be a password in it."""
    parts = urllib.parse.urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def _has_token() -> bool:
    """Whether a token is set or stored; it is not read."""
    if os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    named = os.environ.get("HF_TOKEN_PATH")
    file = Path(named).expanduser() if named else hub_home() / "token"
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def _is_on(value: str) -> bool:
    return value.upper() in ("1", "ON", "YES", "TRUE")
