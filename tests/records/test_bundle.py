"""Bundles give the same bytes for the same records, and nothing in one is trusted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.files import bytes_sha256
from bench.records import bundle
from bench.records.bundle import MANIFEST, RECORDS, SETTLING, arrays_name, pack, unpack
from bench.records.codec import dump_record
from bench.records.record import Record
from bench.records.settling import SettlingRule
from tests.records.built import cell, record

RECORDS_OF_TWO = [record(cell(seed)) for seed in (1, 0)]
Contents = dict[str, bytes]


def packed(records: list[Record] = RECORDS_OF_TWO, **files: bytes) -> bytes:
    return pack("bss", "table2", "offline", records, files)


def contents(data: bytes) -> Contents:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, files: Contents) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def sealed(path: Path, files: Contents) -> Path:
    """Zip files with a manifest that fits them, as an adversary would."""
    facts = {n: {"size": len(c), "sha256": bytes_sha256(c)} for n, c in files.items()}
    manifest = {"format": 1, "paper": "p", "suite": "s", "profile": "o", "files": facts}
    return zipped(path, {**files, MANIFEST: json.dumps(manifest).encode()})


def test_the_bytes_depend_on_nothing_but_the_records() -> None:
    rule = SettlingRule(looks=(5, 10)).model_dump_json().encode()
    data = packed(**{SETTLING: rule})
    assert data == packed(list(reversed(RECORDS_OF_TWO)), **{SETTLING: rule})
    assert (
        contents(data)[RECORDS]
        == "".join(dump_record(r) for r in sorted(RECORDS_OF_TWO, key=lambda r: r.id)).encode()
    )


def test_what_was_packed_is_read(tmp_path: Path) -> None:
    rule = SettlingRule(looks=(5, 10))
    name = arrays_name(cell().id, "0001.arrays.safetensors")
    file = tmp_path / "b.zip"
    file.write_bytes(packed(**{SETTLING: rule.model_dump_json().encode(), name: b"maps"}))
    found = unpack(file)
    assert sorted(found.records, key=lambda r: r.cell["seed"], reverse=True) == RECORDS_OF_TWO
    assert (found.rule, found.broken) == (rule, {})
    assert found.arrays == {(cell().id, "0001.arrays.safetensors"): b"maps"}
    assert (found.manifest.paper, found.manifest.suite) == ("bss", "table2")


def test_no_byte_of_a_bundle_changes_a_record_unseen(tmp_path: Path) -> None:
    data, file = packed(), tmp_path / "b.zip"
    for place in range(len(data)):
        file.write_bytes(bytes([*data[:place], data[place] ^ 1, *data[place + 1 :]]))
        try:
            found = unpack(file)
        except StoreError:
            continue
        # What may change is of no consequence: a time, a comment, a flag.
        assert sorted(found.records, key=lambda r: r.cell["seed"]) == RECORDS_OF_TWO[::-1]


def test_a_broken_record_is_told_of_and_the_others_are_read(tmp_path: Path) -> None:
    lines = [dump_record(r).encode() for r in RECORDS_OF_TWO]
    lines.insert(1, lines[0].replace(b'"seconds":5.0', b'"seconds":6.0'))
    found = unpack(sealed(tmp_path / "b.zip", {RECORDS: b"".join(lines)}))
    assert list(found.records) == RECORDS_OF_TWO
    assert list(found.broken) == [2]


def too_large(files: Contents, monkeypatch: pytest.MonkeyPatch) -> Contents:
    monkeypatch.setattr(bundle, "MOST_BYTES", 1000)
    return {**files, "suite/zeros": bytes(2000)}


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (lambda files, _: {n: c for n, c in files.items() if n != MANIFEST}, "has no bundle.json"),
        (lambda files, _: {**files, RECORDS: files[RECORDS] + b"\n"}, "is not as it was packed"),
        (lambda files, _: {**files, "more": b""}, "not those of its manifest: more"),
        (lambda files, _: {n: c for n, c in files.items() if n != RECORDS}, "records.jsonl"),
        (lambda files, _: {**files, MANIFEST: b"[" * 100_000}, "bundle.json: "),
        (lambda files, _: {**files, MANIFEST: b'{"format": 2}'}, "bundle.json: "),
        (too_large, "would unpack to more than 1,000 bytes"),
    ],
)
def test_a_bundle_that_is_none_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forge: Callable[[Contents, pytest.MonkeyPatch], Contents],
    why: str,
) -> None:
    file = zipped(tmp_path / "b.zip", forge(contents(packed()), monkeypatch))
    with pytest.raises(StoreError, match=why):
        unpack(file)


def test_what_is_no_zip_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK" + bytes(100))
    with pytest.raises(StoreError, match="is not a bundle"):
        unpack(tmp_path / "b.zip")
    with pytest.raises(StoreError, match="cannot be read"):
        unpack(tmp_path / "c.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "b.zip"
    file.write_bytes(packed())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(RECORDS, b"")
    with pytest.raises(StoreError, match="two files of one name"):
        unpack(file)
