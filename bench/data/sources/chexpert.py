"""CheXpert, from the licensed files: five findings in chest radiographs.

Lists, labels and pixels are those of the code of Neyshabur et al. 2020 (``libdata/chexpert_index/
split_trainset.py``, ``third_party/chexpert_data/chexpert.py``) but for its random affine maps of
training images, and for OpenCV's way to resize.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image as Pillow

from bench.data.decode import fitted, picture_of
from bench.data.draw import drawn_order
from bench.data.prepared import SPLITS
from bench.data.sources.source import Blob, Source, SourceSplit
from bench.errors import DataError
from bench.spec.catalogue import DatasetEntry
from bench.spec.recipe import Image

FOLDER = "RETABLE_CHEXPERT"
LIST = "train.csv"
_PATH = "Path"
# Each finding, and what is said of it where the report is uncertain (-1).
FINDINGS: Mapping[str, int] = {
    "Cardiomegaly": 0,
    "Edema": 1,
    "Consolidation": 0,
    "Atelectasis": 1,
    "Pleural Effusion": 0,
}
# Training rows with one of these are taken twice.
_TWICE = ("Cardiomegaly", "Consolidation")
_REMEDY = (
    "accept Stanford's agreement at https://stanfordmlgroup.github.io/competitions/chexpert, "
    f"download CheXpert-v1.0 or CheXpert-v1.0-small, and set {FOLDER} to the folder that holds "
    f"{LIST} and train/"
)


class Rows(NamedTuple):
    """Paths within the folder, and for each the findings ``(n, 5)``, zeros and ones."""

    paths: tuple[str, ...]
    findings: NDArray[np.float32]


def folder() -> Path:
    """Return the folder of the licensed files.

    Raises
    ------
    DataError
        If it is not named.
    """
    named = os.environ.get(FOLDER)
    if not named:
        raise DataError(
            f"CheXpert may not be passed on, and {FOLDER} names no folder", remedy=_REMEDY
        )
    return Path(named)


def listed(top: Path, entry: DatasetEntry) -> dict[str, Rows]:
    """Return the rows of both splits, in the order of the draw.

    The first ``draw.rows`` train and as many after them test. Where nothing is said of a finding,
    it is absent.

    Raises
    ------
    DataError
        If the list cannot be read, is too short, or says anything but 1, 0, -1 or nothing.
    """
    assert entry.draw is not None
    table = _table(top / LIST)
    each = entry.draw.rows
    if len(table) < 2 * each:
        raise DataError(
            f"has {len(table):,} rows, and {2 * each:,} are drawn",
            file=top / LIST,
            remedy="use the official list of 223,414 rows",
        )
    order = drawn_order(len(table), entry.draw)
    findings = _findings(table, top / LIST)
    paths = [_inside(path, row, top / LIST) for row, path in enumerate(table[_PATH].tolist(), 2)]
    return {
        split: Rows(tuple(paths[row] for row in rows), findings[rows])
        for split, rows in zip(SPLITS, (order[:each], order[each : 2 * each]), strict=True)
    }


def chexpert_source(entry: DatasetEntry) -> Source:
    """Return radiographs with five findings each.

    Raises
    ------
    DataError
        If the folder is not named, or its list is not CheXpert's.
    """
    top = folder()
    splits = listed(top, entry)
    doubled = _doubled(splits["train"])
    return Source(
        class_names=(),
        train=_split(top, doubled),
        test=_split(top, splits["test"]),
        decode=decode_radiograph,
        facts={"train_rows_doubled": len(doubled.paths) - len(splits["train"].paths)},
    )


def _table(file: Path) -> pd.DataFrame:
    columns = [_PATH, *FINDINGS]
    try:
        return pd.read_csv(file, usecols=columns)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=file, remedy=_REMEDY) from None
    except ValueError as error:
        # pandas names the columns that are missing; of bytes that are no text it says so.
        raise DataError(f"is not CheXpert's list: {error}", file=file, remedy=_REMEDY) from None


def _findings(table: pd.DataFrame, file: Path) -> NDArray[np.float32]:
    """Return ``(n, 5)`` zeros and ones."""
    found = np.zeros((len(table), len(FINDINGS)), dtype=np.float32)
    for column, (name, uncertain) in enumerate(FINDINGS.items()):
        said = table[name].fillna(0)
        strange = ~said.isin([0, 1, -1])
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            raise DataError(
                f"line {row + 2} says {said[row]} of {name}, not 1, 0, -1 or nothing",
                file=file,
                remedy="use the list as it was released",
            )
        found[:, column] = said.replace(-1, uncertain)
    return found


def _inside(path: str, line: int, file: Path) -> str:
    """Return a path of the list within the folder, by whichever release's name it begins."""
    parts = PurePosixPath(str(path)).parts
    if "train" not in parts or ".." in parts:
        raise DataError(
            f"line {line} names no image below train/: {path}",
            file=file,
            remedy="use the list as it was released",
        )
    return str(PurePosixPath(*parts[parts.index("train") :]))


def _doubled(rows: Rows) -> Rows:
    """Return rows with those twice, one after the other, that have a finding of `_TWICE`."""
    columns = [list(FINDINGS).index(name) for name in _TWICE]
    twice = rows.findings[:, columns].any(axis=1)
    taken = np.repeat(np.arange(len(rows.paths)), np.where(twice, 2, 1))
    return Rows(tuple(rows.paths[row] for row in taken), rows.findings[taken])


def _split(top: Path, rows: Rows) -> SourceSplit:
    def blobs() -> Iterator[Blob]:
        for path in rows.paths:
            file = top / path
            try:
                yield Blob(file.read_bytes(), str(file))
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", file=file) from None

    return SourceSplit(rows.findings, blobs)


def decode_radiograph(data: bytes, image: Image) -> NDArray[np.uint8]:
    """Return ``(resize, resize, 3)`` uint8: grey, equalised, fitted into the square, blurred.

    In the paper's order, which is that of its code. There the square is fitted by ``pad``.

    Raises
    ------
    ValueError
        If the bytes are not a whole image.
    """
    grey = equalised(np.asarray(picture_of(data).convert("L")))
    blurred = _blurred(fitted(Pillow.fromarray(grey), image))
    return np.repeat(blurred[:, :, None], 3, axis=2)


def equalised(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image ``(h, w)`` with its histogram equalised, as OpenCV's ``equalizeHist`` does.

    The darkest value becomes 0 and the lightest 255; an image of one value stays as it is.
    """
    counts = np.bincount(grey.ravel(), minlength=256)
    darkest = int(np.flatnonzero(counts)[0])
    above = grey.size - counts[darkest]
    if not above:
        return grey
    cumulative = np.cumsum(counts) - counts[darkest]
    scale = np.float32(255) / np.float32(above)
    table = np.rint(cumulative.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)
    equal: NDArray[np.uint8] = table[grey]
    return equal


def _blurred(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image after a Gaussian of 3 by 3 pixels, ¼ ½ ¼, mirrored at its border."""
    values = np.pad(grey.astype(np.float64), 1, mode="reflect")
    values = (values[:-2] + 2 * values[1:-1] + values[2:]) / 4
    values = (values[:, :-2] + 2 * values[:, 1:-1] + values[:, 2:]) / 4
    return np.rint(values).astype(np.uint8)
