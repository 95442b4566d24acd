"""Files of a stand-in Hub are brought whole, verified, and never used half or wrong."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, hf_hub_download

from bench.errors import UserError
from bench.fetched import MANIFEST, fetched
from bench.fetching import fetch as fetching
from bench.fetching import transport
from bench.fetching.fetch import amount, fetch
from bench.fetching.needs import Need
from bench.fetching.place import Place
from bench.fetching.remote import Wanted, wanted
from bench.fetching.transport import FetchError
from tests.hub_stand_in import Fault, Hub, Repository, served

COMMIT = "a" * 40
DATA = random.Random(0).randbytes(300_000)
NAME = "model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve one model, and let the clients of this process ask there."""
    model = Repository("model", "some/model", COMMIT, {NAME: DATA, "config.json": b"{}"})
    with served(model) as hub:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub
    huggingface_hub.close_session()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sleep no more, and tell how long it would have been."""
    times: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", times.append)
    return times


def need(revision: str | None = COMMIT, repository: str = "some/model") -> Need:
    return Need("model", repository, revision, "net", (NAME, "*.json"))


def brought(place: Place, *needs: Need) -> list[str]:
    """Fetch, and return what was told."""
    told: list[str] = []
    fetch(wanted(needs or [need()], told.append), place, told.append, lambda _: None)
    return told


def found_offline(place: Place, revision: str | None = COMMIT) -> Path:
    return Path(
        hf_hub_download(
            "some/model", NAME, revision=revision, cache_dir=place.hub, local_files_only=True
        )
    )


def test_what_is_fetched_is_found_by_the_client_and_listed(hub: Hub, tmp_path: Path) -> None:
    place = Place(tmp_path / "hub")
    assert brought(place) == []
    assert found_offline(place).read_bytes() == DATA
    known = fetched(place.hub, "model", "some/model", COMMIT)
    assert known is not None
    assert known.complete
    assert known.files[NAME].sha256 == hashlib.sha256(DATA).hexdigest()
    assert known.files["config.json"].size == 2
    # All is there: no byte of it is asked for again.
    hub.asked.clear()
    brought(place)
    assert hub.gets("resolve") == []


def test_of_an_unpinned_repository_the_newest_commit_is_noted(hub: Hub, tmp_path: Path) -> None:
    place = Place(tmp_path / "hub")
    brought(place, need(None))
    assert found_offline(place, None).read_bytes() == DATA
    known = fetched(place.hub, "model", "some/model", None)
    assert known is not None
    assert (known.revision, known.commit) == (None, COMMIT)


def test_a_cut_connection_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(Fault("cut", f"bytes/some/model/{NAME}", 100_000))
    place = Place(tmp_path / "hub")
    brought(place)
    assert found_offline(place).read_bytes() == DATA
    assert hub.gets("bytes") == [None, "bytes=100000-"]


def test_a_killed_fetch_goes_on_and_leaves_nothing_to_be_used(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "hub")
    told: list[str] = []
    repositories = wanted([need()], told.append)

    def kill(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(repositories, place, told.append, kill)
    with pytest.raises(FileNotFoundError):
        found_offline(place)
    known = fetched(place.hub, "model", "some/model", COMMIT)
    assert known is not None
    assert not known.complete
    file = next(f for f in repositories[0].files if f.path == NAME)
    part = place.part(repositories[0], file)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(DATA[:1000])
    assert place.missing(repositories[0], file) == len(DATA) - 1000
    hub.asked.clear()
    brought(place)
    assert hub.gets("bytes") == ["bytes=1000-"]
    assert found_offline(place).read_bytes() == DATA


def test_a_server_that_knows_no_ranges_gives_no_mixed_file(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("cut", "bytes", 1000), Fault("whole", "bytes")]
    place = Place(tmp_path / "hub")
    brought(place)
    assert found_offline(place).read_bytes() == DATA


def test_wrong_bytes_are_brought_once_more(hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(Fault("wrong", "bytes"))
    place = Place(tmp_path / "hub")
    told = brought(place)
    assert told == [f"some/model: {NAME} came with wrong bytes; once more"]
    assert found_offline(place).read_bytes() == DATA


@pytest.mark.parametrize("name", [NAME, "config.json"])
def test_bytes_that_stay_wrong_are_never_used(name: str, hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(Fault("wrong", name, times=9))
    place = Place(tmp_path / "hub")
    with pytest.raises(FetchError, match=rf"{name} came with wrong bytes, twice"):
        brought(place)
    with pytest.raises(FileNotFoundError):
        found_offline(place)
    assert not list(place.hub.rglob("*retable-part"))


def test_what_a_killed_download_has_left_wrong_is_brought_again(hub: Hub, tmp_path: Path) -> None:
    place = Place(tmp_path / "hub")
    brought(place)
    found_offline(place).resolve().write_bytes(DATA[:-1] + b"?")
    told = brought(place)
    assert told == [f"some/model: {NAME} was here with wrong bytes; it is brought again"]
    assert found_offline(place).read_bytes() == DATA


def test_the_hub_is_asked_again_when_it_says(hub: Hub, tmp_path: Path, slept: list[float]) -> None:
    hub.faults += [Fault("busy", "/api/", 7), Fault("busy", "bytes", 3)]
    told = brought(Place(tmp_path / "hub"))
    assert slept == [7, 3]
    assert told[0] == "some/model: the Hub is busy (429); going on in 7 s"
    hub.faults.append(Fault("busy", "/api/", 4000))
    with pytest.raises(FetchError, match="asks to wait 4,000 s"):
        brought(Place(tmp_path / "hub"))
    assert slept == [7, 3]


def test_a_gated_repository_says_what_to_do(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[0].gated = True
    place = Place(tmp_path / "hub")
    for token in (None, "hf_stranger"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(FetchError, match="gated") as caught:
            brought(place)
        assert "accept the terms at" in str(caught.value)
        assert "hf auth login" in str(caught.value)
        assert f"{hub.url}/some/model" in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_accepted")
    brought(place)
    known = fetched(place.hub, "model", "some/model", COMMIT)
    assert known is not None
    assert known.gated


def test_all_that_the_hub_refuses_is_told_at_once(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="2 things cannot be had") as caught:
        brought(Place(tmp_path / "hub"), need("b" * 40), need(repository="some/other"), need())
    assert f"some/model (for net) has no revision {'b' * 40}" in str(caught.value)
    assert "some/other (for net) is not there, or is private" in str(caught.value)
    assert not tmp_path.joinpath("hub").exists()


def test_without_a_network_it_says_so(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens there: the port is not given to who asks for any.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(FetchError, match="the Hub cannot be reached") as caught:
        brought(Place(tmp_path / "hub"))
    assert "where there is a network" in str(caught.value)


def test_too_little_room_is_told_before_the_first_byte(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Place, "free", lambda self: 1000)
    with pytest.raises(FetchError, match=r"only 0\.0 MB are free"):
        brought(Place(tmp_path / "hub"))
    assert hub.gets("resolve") == []
    assert not (tmp_path / "hub").exists()


def test_two_fetches_do_not_work_on_one_folder(hub: Hub, tmp_path: Path) -> None:
    place = Place(tmp_path / "hub")
    tmp_path.mkdir(exist_ok=True)
    with (
        fetching.FileLock(tmp_path / fetching.LOCK),
        pytest.raises(UserError, match="another fetch is at work"),
    ):
        brought(place)


def test_a_disk_without_links_gets_copies(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", no_link)
    place = Place(tmp_path / "hub")
    brought(place)
    shutil.rmtree(found_offline(place).parents[2] / "blobs")
    assert found_offline(place).read_bytes() == DATA


def test_amounts_count_what_is_still_to_come(hub: Hub, tmp_path: Path) -> None:
    place = Place(tmp_path / "hub")
    repositories: list[Wanted] = wanted([need()], print)
    assert amount(repositories[0], place).missing == len(DATA) + 2
    brought(place)
    assert amount(repositories[0], place) == fetching.Amount(2, len(DATA) + 2, 0)
    assert json.loads((tmp_path / MANIFEST).read_text())["format"] == 1


def test_the_newest_stays_the_one_that_was_fetched_as_such_last(tmp_path: Path) -> None:
    place = Place(tmp_path / "hub")
    place.hub.mkdir()
    first, second = "a" * 40, "b" * 40

    def note(revision: str | None, commit: str) -> None:
        place.note(Wanted(need(revision), revision, commit, False, ()), {})

    def found(revision: str | None) -> str | None:
        known = fetched(place.hub, "model", "some/model", revision)
        return known.commit if known is not None else None

    note(None, first)
    note(None, second)
    # A suite that pins the older one does not make it the newest again.
    note(first, first)
    assert (found(None), found(first), found(second)) == (second, first, second)
    note("v1", first)
    note(first, first)
    assert (found("v1"), found(None)) == (first, second)
    note(second, second)
    assert found(None) == second
