"""Bundles: records, and what a page reads beside them, as one file that may come from anywhere.

A bundle is a zip file with ``bundle.json``, which has size and SHA-256 of every other file in it;
``records.jsonl``, one record a line as the store has them; ``arrays/CELL/FILE``, artifacts that
figures draw, and what trials and choices of a search left; ``carried/SHA256.json``, attestations
that some of the records need; the rule of settling; and files for people and archives, which an
import passes over.
Nothing of it is ever extracted by its name.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bench.errors import StoreError
from bench.files import bytes_sha256
from bench.records.codec import BrokenRecord, OtherFormat, dump_record, load_record
from bench.records.freshness import beyond_range
from bench.records.record import Record
from bench.records.settling import SettlingRule, load_rule
from bench.spec.recipe import Frozen

MANIFEST, RECORDS, SETTLING = "bundle.json", "records.jsonl", "settling.json"
FORMAT: Literal[1] = 1
# Unpacked; the largest pages have some tens of megabytes.
MOST_BYTES = 2**30
_ARRAYS = re.compile(r"arrays/([0-9a-f]{20})/([^/\\]+)")
_CARRIED = re.compile(r"carried/[0-9a-f]{64}\.json")
_MEMORY = zipfile.ZIP_DEFLATED


class FileFacts(Frozen):
    """Size in bytes and SHA-256 of a file in a bundle."""

    size: int
    sha256: str


class Manifest(Frozen):
    """What ``bundle.json`` says."""

    format: Literal[1]
    paper: str
    suite: str
    profile: str
    files: dict[str, FileFacts]


@dataclass(frozen=True)
class Bundle:
    """A bundle as it was read.

    Attributes
    ----------
    arrays
        Cell and file name to an artifact's bytes, not yet compared with a record.
    attestations
        File name to what carries some of the records to later code, not yet looked at.
    broken
        Line of ``records.jsonl``, counted from 1, to what is wrong with it.
    """

    manifest: Manifest
    records: tuple[Record, ...]
    arrays: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    rule: SettlingRule | None = None
    broken: Mapping[int, str] = field(default_factory=dict)
    attestations: Mapping[str, bytes] = field(default_factory=dict)


def pack(
    paper: str, suite: str, profile: str, records: list[Record], files: Mapping[str, bytes]
) -> bytes:
    """Return a bundle's bytes, the same for the same content.

    Parameters
    ----------
    files
        Further files by their name in the bundle.
    """
    ordered = sorted(records, key=lambda record: (record.cell["kind"], record.id, record.attempt))
    text = "".join(map(dump_record, ordered)).encode()
    inside = {**files, RECORDS: text}
    facts = {
        name: FileFacts(size=len(content), sha256=bytes_sha256(content))
        for name, content in sorted(inside.items())
    }
    manifest = Manifest(format=FORMAT, paper=paper, suite=suite, profile=profile, files=facts)
    inside[MANIFEST] = manifest.model_dump_json(indent=1).encode() + b"\n"
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", _MEMORY, compresslevel=9) as archive:
        for name in sorted(inside):
            # A fixed time and system: else the bytes would tell when and where they were made.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            entry.compress_type = _MEMORY
            archive.writestr(entry, inside[name], compresslevel=9)
    return packed.getvalue()


def arrays_name(cell_id: str, file: str) -> str:
    """Return the name of an artifact in a bundle."""
    return f"arrays/{cell_id}/{file}"


def attestation_name(file: Path) -> str:
    """Return the name of an attestation in a bundle."""
    return f"carried/{file.name}"


def unpack(path: Path) -> Bundle:
    """Read a bundle, trusting nothing in it.

    Raises
    ------
    StoreError
        If the file cannot be read, is no bundle, or is not as its manifest says; records that are
        broken one by one are told of in the bundle.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            contents = dict(_contents(path, archive))
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror or error}", file=path) from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, RuntimeError, EOFError) as error:
        raise StoreError(f"is not a bundle: {error}", file=path) from None
    except Exception as error:
        # What the decompressor says of damaged bytes.
        raise StoreError(f"cannot be unpacked: {error}", file=path) from None
    manifest = _manifest(path, contents)
    _check_digests(path, manifest, contents)
    records, broken = _records(contents.get(RECORDS, b""))
    arrays = {
        (match[1], match[2]): content
        for name, content in contents.items()
        if (match := _ARRAYS.fullmatch(name))
    }
    attestations = {name: text for name, text in contents.items() if _CARRIED.fullmatch(name)}
    text = contents.get(SETTLING)
    rule = load_rule(text, path) if text is not None else None
    return Bundle(manifest, records, arrays, rule, broken, attestations)


def _contents(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise StoreError(f"would unpack to more than {MOST_BYTES:,} bytes", file=path)
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise StoreError("has two files of one name", file=path)
    for entry in entries:
        # No more is read than the entry's header says, which was counted above.
        yield entry.filename, archive.read(entry)


def _manifest(path: Path, contents: Mapping[str, bytes]) -> Manifest:
    try:
        return Manifest.model_validate_json(contents[MANIFEST])
    except KeyError:
        raise StoreError(f"is not a bundle: it has no {MANIFEST}", file=path) from None
    except ValidationError as error:
        raise StoreError(f"{MANIFEST}: {error.errors()[0]['msg']}", file=path) from None


def _check_digests(path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    if (missing := set(manifest.files) ^ (set(contents) - {MANIFEST})) or RECORDS not in contents:
        told = ", ".join(sorted(missing or {RECORDS}))
        raise StoreError(f"its files are not those of its manifest: {told}", file=path)
    for name, facts in manifest.files.items():
        if bytes_sha256(contents[name]) != facts.sha256:
            raise StoreError(f"{name} is not as it was packed: its digest is another", file=path)


def _records(text: bytes) -> tuple[tuple[Record, ...], dict[int, str]]:
    found, broken = [], {}
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        try:
            record = load_record(line)
            if wrong := beyond_range(record):
                raise BrokenRecord(wrong)
            found.append(record)
        except (BrokenRecord, OtherFormat) as error:
            broken[number] = str(error)
    return tuple(found), broken
