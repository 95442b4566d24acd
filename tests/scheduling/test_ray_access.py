from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.scheduling.engines.engine import EngineOptions
from bench.scheduling.engines.registry import make_engine
from bench.scheduling.engines.remote.access import can_ask, check_access, give_token

CLUSTER = "10.0.0.1:6379"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("0" * 64)
    file.chmod(0o600)
    return file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own token is found."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_a_cluster_with_a_token_may_be_used(token: Path) -> None:
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    check_access(CLUSTER, "2.52.0", environment)


def test_a_token_that_is_named_is_used_without_being_asked_for(token: Path) -> None:
    environment = {"RAY_AUTH_TOKEN_PATH": str(token)}
    check_access(CLUSTER, "2.60.0", environment)
    assert environment["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize("address", [CLUSTER, "auto", "head.example:6379", "[fd00::1]:6379"])
@pytest.mark.parametrize(
    "environment", [{}, {"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token"}]
)
def test_a_cluster_is_not_used_without_a_token(address: str, environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match="token") as error:
        check_access(address, "2.60.0", environment)
    assert "RAY_AUTH_MODE=token" in str(error.value)


def test_a_token_does_not_help_where_it_is_turned_off(token: Path) -> None:
    environment = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN_PATH": str(token)}
    with pytest.raises(UserError, match="without a token"):
        check_access(CLUSTER, "2.60.0", environment)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_token_that_others_can_read_is_refused(token: Path, mode: int) -> None:
    token.chmod(mode)
    with pytest.raises(UserError, match="others") as error:
        check_access(CLUSTER, "2.60.0", {"RAY_AUTH_TOKEN_PATH": str(token)})
    assert f"chmod 600 {token}" in str(error.value)


def test_a_ray_that_knows_no_tokens_is_used_on_this_machine_alone(token: Path) -> None:
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    with pytest.raises(UserError, match=r"install ray 2\.52"):
        check_access(CLUSTER, "2.51.3", environment)
    check_access("127.0.0.1:6379", "2.40.0", {})
    check_access("localhost:6379", "2.40.0", {})


def test_versions_are_compared_as_numbers() -> None:
    assert [can_ask(v) for v in ("2.9.3", "2.51.1", "2.52.0", "2.100.0", "3.0.0.dev0")] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_a_ray_of_our_own_gets_a_token_that_nobody_else_can_read(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    give_token(tmp_path, environment)
    file = Path(environment["RAY_AUTH_TOKEN_PATH"])
    assert environment["RAY_AUTH_MODE"] == "token"
    assert len(file.read_text()) == 64
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600


def test_without_ray_the_engine_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(UserError, match=r"retable\[ray\]"):
        make_engine("ray", EngineOptions())
