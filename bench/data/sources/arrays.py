"""A user's own arrays: one safetensors file with the inputs and targets of both splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from bench.data.prepared import SPLITS, Split
from bench.data.sources.source import ArraySource
from bench.errors import DataError, did_you_mean
from bench.spec.catalogue import Modality

NAMES = tuple(f"{split}_{part}" for split in SPLITS for part in ("inputs", "targets"))
LAYOUT = f"save {', '.join(NAMES)} with safetensors.numpy.save_file"
# By modality: the inputs' type, and the fewest and most axes that they may have.
_INPUTS: dict[str, tuple[str, int, int | None]] = {
    "vectors": ("float32", 2, None),
    "tokens": ("int64", 2, 2),
    "trajectories": ("float32", 3, None),
}
_TYPES = {"F32": "float32", "I64": "int64"}


def array_source(file: str | Path, modality: str) -> ArraySource:
    """Return the rows of a file of arrays.

    Inputs are ``(n, …)``, float32, or int64 for tokens ``(n, t)``. Targets are classes ``(n,)``
    int64, or numbers ``(n, …)`` float32. Both splits have rows of one shape.

    Raises
    ------
    DataError
        If the file cannot be read, lacks an array or has another, or if an array has another type
        or shape, holds a number that is not finite, or a class has no row to train on.
    """
    file = Path(file)
    if modality not in _INPUTS:
        known = [name for name in get_args(Modality) if name in _INPUTS]
        raise DataError(
            f"arrays of modality {modality!r} are not known",
            file=file,
            field="modality",
            remedy=did_you_mean(modality, known),
        )
    arrays = _read(file)
    for split in SPLITS:
        _check_inputs(file, f"{split}_inputs", arrays[f"{split}_inputs"], modality)
        _check_targets(file, split, arrays)
    for part in ("inputs", "targets"):
        _check_alike(file, part, arrays[f"train_{part}"], arrays[f"test_{part}"])
    return ArraySource(
        modality=modality,  # type: ignore[arg-type]
        classes=_classes(file, arrays["train_targets"], arrays["test_targets"]),
        train=Split(arrays["train_inputs"], arrays["train_targets"]),
        test=Split(arrays["test_inputs"], arrays["test_targets"]),
    )


def _read(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(file, framework="np") as opened:
            found = sorted(opened.keys())
            strange = sorted(set(found) ^ set(NAMES))
            if strange:
                problem = "is missing" if strange[0] in NAMES else "is none of the four arrays"
                raise DataError(problem, file=file, field=strange[0], remedy=LAYOUT)
            for name in found:
                _check_type(file, name, str(opened.get_slice(name).get_dtype()))
            return {name: opened.get_tensor(name) for name in found}
    except FileNotFoundError:
        raise DataError(
            "there is no such file",
            file=file,
            remedy="correct its path under `datasets:` in the suite",
        ) from None
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"is not a readable safetensors file: {error}",
            file=file,
            remedy=f"{LAYOUT}; pickles are not read",
        ) from None


def _check_type(file: Path, name: str, found: str) -> None:
    if found not in _TYPES:
        raise DataError(
            f"has type {found}, not float32 or int64",
            file=file,
            field=name,
            remedy='convert it with array.astype("float32") or array.astype("int64")',
        )


def _check_inputs(file: Path, name: str, values: NDArray[Any], modality: str) -> None:
    kind, least, most = _INPUTS[modality]
    if values.dtype.name != kind:
        raise DataError(
            f"has type {values.dtype.name}, and {modality} are {kind}",
            file=file,
            field=name,
            remedy=f'convert it with array.astype("{kind}"), or correct `modality:`',
        )
    if values.ndim < least or (most is not None and values.ndim > most) or 0 in values.shape:
        axes = f"{least}" if most == least else f"{least} or more"
        raise DataError(
            f"has shape {values.shape}, and {modality} have {axes} axes, rows first, none empty",
            file=file,
            field=name,
            remedy="reshape it, or correct `modality:`",
        )
    _check_finite(file, name, values)
    if modality == "tokens" and values.min() < 0:
        raise DataError(
            f"holds the token {values.min()}", file=file, field=name, remedy="tokens begin at 0"
        )


def _check_targets(file: Path, split: str, arrays: dict[str, NDArray[Any]]) -> None:
    name = f"{split}_targets"
    inputs, targets = arrays[f"{split}_inputs"], arrays[name]
    if targets.shape[:1] != inputs.shape[:1]:
        raise DataError(
            f"has shape {targets.shape}, and there are {len(inputs)} rows of {split}_inputs",
            file=file,
            field=name,
            remedy="give every row of inputs one of targets",
        )
    if targets.dtype.name == "int64" and targets.ndim != 1:
        raise DataError(
            f"has shape {targets.shape}, and classes are (n,)",
            file=file,
            field=name,
            remedy="reshape it, or save numbers to predict as float32",
        )
    if 0 in targets.shape:
        raise DataError(
            f"has shape {targets.shape}, which holds nothing",
            file=file,
            field=name,
            remedy="give every row of inputs one of targets",
        )
    _check_finite(file, name, targets)


def _check_finite(file: Path, name: str, values: NDArray[Any]) -> None:
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise DataError(
            f"row {int(np.argmin(finite))} holds a number that is not finite",
            file=file,
            field=name,
            remedy="remove the row or mend it",
        )


def _check_alike(file: Path, part: str, train: NDArray[Any], test: NDArray[Any]) -> None:
    if (train.dtype, train.shape[1:]) != (test.dtype, test.shape[1:]):
        raise DataError(
            f"holds rows {test.dtype.name} {test.shape[1:]}, "
            f"and train_{part} rows {train.dtype.name} {train.shape[1:]}",
            file=file,
            field=f"test_{part}",
            remedy="both splits need rows of one type and shape",
        )


def _classes(file: Path, train: NDArray[Any], test: NDArray[Any]) -> int | None:
    """Return the number of classes, each of which has a row to train on; None for numbers."""
    if train.dtype.kind == "f":
        return None
    present = np.unique(train)
    classes = len(present)
    # The first number that is missing from 0 … k - 1, or a negative one.
    if present[0] != 0 or present[-1] != classes - 1:
        odd = int(present[0]) if present[0] < 0 else int(np.argmax(present != np.arange(classes)))
        problem = f"holds the class {odd}" if odd < 0 else f"holds no row of class {odd}"
        raise DataError(
            f"{problem}, and others up to {present[-1]}",
            file=file,
            field="train_targets",
            remedy="number the classes from 0, each with a row to train on",
        )
    strange = test[(test < 0) | (test >= classes)]
    if len(strange):
        raise DataError(
            f"holds the class {strange[0]}, and train_targets has 0 to {classes - 1}",
            file=file,
            field="test_targets",
            remedy="number the classes from 0, each with a row to train on",
        )
    return classes
