"""Which files of a repository hold a dataset's splits, as ``datasets`` itself says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench.errors import DataError
from bench.fetching.needs import Need

# What `datasets` reads of a repository beside the rows.
CARDS = ("README.md", ".huggingface.yaml", "dataset_infos.json")


def files_of_splits(need: Need, cards: Path, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the files of the splits that are needed, by split.

    Parameters
    ----------
    cards
        Folder with those of ``CARDS`` that the repository has.
    names
        All its files.

    Raises
    ------
    DataError
        If it has no such split, or no such configuration.
    """
    import datasets

    with tempfile.TemporaryDirectory(prefix="retable-") as temporary:
        # Names alone decide: empty files stand for gigabytes.
        folder = Path(temporary).resolve() / "repository"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        for card in cards.iterdir():
            shutil.copyfile(card, folder / card.name)
        try:
            builder = datasets.load_dataset_builder(
                str(folder), need.config, cache_dir=f"{temporary}/cache"
            )
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(
                f"{need.what} ({need.repository}): its files cannot be told apart ({first})",
                remedy="the catalogue's entry describes another version of it",
            ) from error
        found = {
            str(split): tuple(Path(file).resolve().relative_to(folder).as_posix() for file in files)
            for split, files in (builder.config.data_files or {}).items()
        }
    absent = [split for split in need.splits if split not in found]
    if absent:
        raise DataError(
            f"{need.what} ({need.repository}) has no split {', '.join(absent)}; "
            f"it has {', '.join(found)}",
            remedy="the catalogue's entry describes another version of it; compare the revisions",
        )
    return {split: found[split] for split in need.splits}
