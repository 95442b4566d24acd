"""What the Hub says of a repository's files, and which of them are to be brought."""

from __future__ import annotations

import fnmatch
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_url

from bench.errors import DataError, UserError
from bench.fetched import Kind
from bench.fetching.digests import Digests, digests_of
from bench.fetching.needs import Need
from bench.fetching.splits import CARDS, files_of_splits
from bench.fetching.transport import FetchError, NoNetwork, Tell, download, patiently


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository at a commit.

    Attributes
    ----------
    etag
        By which the Hub's clients name its bytes: the SHA-256 of a large file, git's SHA-1 of
        another.
    """

    path: str
    size: int
    etag: str

    def is_of(self, digests: Digests) -> bool:
        """Whether bytes are this file's."""
        return self.size == digests.size and self.etag in (digests.sha256, digests.git_sha1)


@dataclass(frozen=True)
class Wanted:
    """What is to be brought of one commit of a repository.

    Attributes
    ----------
    revision
        As it was asked for: None for the newest.
    splits
        Configuration to split to the paths of its files.
    """

    need: Need
    revision: str | None
    commit: str
    gated: bool
    files: tuple[RemoteFile, ...]
    splits: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """Of the repository."""
        return self.need.kind

    @property
    def repository(self) -> str:
        """Its id."""
        return self.need.repository

    def url(self, file: RemoteFile) -> str:
        """Return from where a file is had."""
        return hf_hub_url(self.repository, file.path, repo_type=self.kind, revision=self.commit)


def wanted(needs: Iterable[Need], tell: Tell) -> list[Wanted]:
    """Ask the Hub what the needed repositories hold; those of one commit become one.

    Raises
    ------
    FetchError
        If it cannot be reached, or refuses; with all that it refuses.
    DataError
        If a dataset has not the splits that the catalogue takes.
    """
    api = HfApi()
    known: dict[tuple[str, str, str | None], tuple[str, bool, list[RemoteFile]]] = {}
    found: dict[tuple[str, str, str], Wanted] = {}
    problems: dict[str, UserError] = {}
    for need in needs:
        asked = (need.kind, need.repository, need.revision)
        try:
            if asked not in known:
                known[asked] = patiently(_asks(api, need), need, tell)
            one = _chosen(need, *known[asked], tell)
        except NoNetwork:
            raise
        except UserError as error:
            problems.setdefault(str(error), error)
            continue
        same = (need.kind, need.repository, one.commit)
        found[same] = _together(found[same], one) if same in found else one
    if len(problems) > 1:
        raise FetchError("\n".join([f"{len(problems)} things cannot be had", *problems]))
    if problems:
        raise next(iter(problems.values()))
    return list(found.values())


def _asks(api: HfApi, need: Need) -> Callable[[], tuple[str, bool, list[RemoteFile]]]:
    def ask() -> tuple[str, bool, list[RemoteFile]]:
        info = api.repo_info(
            need.repository,
            repo_type=need.kind,
            revision=need.revision,
            files_metadata=True,
            timeout=30,
        )
        files = [
            RemoteFile(one.rfilename, one.size, one.lfs.sha256 if one.lfs else one.blob_id)
            for one in getattr(info, "siblings", None) or []
            if one.size is not None and one.blob_id is not None
        ]
        if info.sha is None or not files:
            raise FetchError(f"the Hub does not say what {need.repository} holds")
        return info.sha, bool(getattr(info, "gated", False)), files

    return ask


def _chosen(
    need: Need, commit: str, gated: bool, files: Sequence[RemoteFile], tell: Tell
) -> Wanted:
    """Return what is needed of a repository's files."""
    bare = Wanted(need, need.revision, commit, gated, ())
    if need.kind == "model":
        chosen = [f for f in files if any(fnmatch.fnmatchcase(f.path, p) for p in need.files)]
        if not chosen:
            raise FetchError(f"{need.repository} (for {need.what}) has no {need.files[0]}")
        return Wanted(need, need.revision, commit, gated, tuple(chosen))
    cards = [file for file in files if file.path in CARDS]
    with tempfile.TemporaryDirectory(prefix="retable-") as folder:
        for card in cards:
            bring(bare, card, Path(folder) / card.path, tell)
        by_split = files_of_splits(need, Path(folder), [file.path for file in files])
    of_splits = {path for paths in by_split.values() for path in paths}
    chosen = cards + [file for file in files if file.path in of_splits]
    if missing := of_splits - {file.path for file in files}:
        raise DataError(f"{need.repository} has no {min(missing)}")
    splits = {need.config or "": by_split}
    return Wanted(need, need.revision, commit, gated, tuple(chosen), splits)


def _together(one: Wanted, other: Wanted) -> Wanted:
    splits = {config: dict(by) for config, by in one.splits.items()}
    for config, by in other.splits.items():
        splits[config] = {**splits.get(config, {}), **by}
    files = tuple(dict.fromkeys((*one.files, *other.files)))
    # Who asks for the newest must find that it was asked for.
    revision = one.revision if other.revision is not None else None
    return Wanted(one.need, revision, one.commit, one.gated, files, splits)


def bring(
    repository: Wanted,
    file: RemoteFile,
    part: Path,
    tell: Tell,
    advance: Callable[[int], None] = lambda _: None,
) -> Digests:
    """Bring a file to ``part``, and compare its digest with what the Hub says it is.

    Raises
    ------
    FetchError
        If it cannot be had, or came twice with wrong bytes; these are removed.
    """
    for again in (True, False):
        download(repository.url(file), part, file.size, repository.need, tell, advance)
        digests = digests_of(part)
        if file.is_of(digests):
            return digests
        part.unlink()
        if again:
            tell(f"{repository.repository}: {file.path} came with wrong bytes; once more")
            advance(-file.size)
    raise FetchError(
        f"{repository.repository}: {file.path} came with wrong bytes, twice: "
        f"it should have the digest {file.etag}, and has {digests.sha256}",
        remedy="what came was removed. Something between here and the Hub changes it: a mirror "
        "(HF_ENDPOINT) or a proxy",
    )
