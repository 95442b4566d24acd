"""What ``bench measure`` is given: a cell of the store, a file of the user's, or known weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.records.record import Record
    from bench.records.store import Store
    from bench.spec.measuring import Data, Weights

_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True)
class Subject:
    """A network, or the predictions of one, as it was given and where it lies.

    Attributes
    ----------
    told
        What is said of it in the output: its file with the digest, its cell.
    task
        Of a cell: what it was trained by; None else, and of a cell with several tasks.
    image
        How the images were made that it saw, of a cell of one task and of shipped weights.
    """

    weights: Weights
    told: Mapping[str, Any]
    cell: str | None = None
    task: Mapping[str, Any] | None = None
    image: Mapping[str, Any] | None = field(default=None)


def subject(given: str, store: Path, backbone: Any, *, predictions: bool) -> Subject:
    """Return what a name, an id's beginning or a path stands for.

    Parameters
    ----------
    backbone
        Of files that do not say it: a name, or a part's to its parameters.
    predictions
        Whether predictions are asked for, and no weights.

    Raises
    ------
    UserError
        If there is nothing such, or it is not what is asked for.
    """
    from bench.errors import WeightsError

    path = Path(given).expanduser()
    if path.is_file():
        return _of_file(given, path.resolve(), backbone, predictions)
    if path.suffix in _ENDINGS or "/" in given:
        raise WeightsError("there is no such file", file=given)
    if given.partition("@")[0] in ("random", "timm") or given.startswith("shipped:"):
        return _of_name(given, backbone)
    return _of_cell(given, store, predictions)


def _of_file(given: str, path: Path, backbone: Any, predictions: bool) -> Subject:
    from bench.errors import WeightsError
    from bench.files import file_sha256
    from bench.models.own_file import described, described_predictions
    from bench.spec.backbones import is_backbone
    from bench.spec.measuring import Weights

    told = {"given": given, "file": str(path), "sha256": file_sha256(path)}
    if predictions:
        described_predictions(path)
        return Subject(Weights(file=path), {**told, "artifact": "predictions"})
    name = backbone.removeprefix("timm:") if isinstance(backbone, str) else None
    of_timm = name is not None and (is_backbone(name) or name != backbone)
    found = described(path, name if of_timm else None)
    backbone = backbone or found.backbone
    if backbone is None:
        raise WeightsError(
            "does not say of which network it is",
            file=given,
            remedy="add --backbone NAME, timm's name of it",
        )
    return Subject(
        Weights(file=path, classes=found.classes, backbone=backbone),
        {**told, "backbone": backbone, "classes": found.classes or None},
    )


def _of_name(given: str, backbone: Any) -> Subject:
    from bench.errors import WeightsError
    from bench.models.shipped import shipped_weights
    from bench.spec.measuring import Weights

    if backbone is None:
        raise WeightsError(
            f"{given} are weights of a network that is not named", remedy="add --backbone NAME"
        )
    kind, _, name = given.partition(":")
    return Subject(
        Weights(name=given, backbone=backbone),
        {"given": given, "backbone": backbone},
        image=shipped_weights(name).image if kind == "shipped" else None,
    )


def _of_cell(given: str, store: Path, predictions: bool) -> Subject:
    from bench.errors import StoreError, UserError
    from bench.models.own_file import described
    from bench.records.store import Store
    from bench.spec.measuring import Weights

    begins, _, state = given.partition("@")
    opened = Store(store)
    try:
        cell_id = opened.find(begins)
    except StoreError as error:
        raise StoreError(
            f"{given!r} is no file, and {error.message}", file=error.file, remedy=error.remedy
        ) from None
    artifact = "predictions" if predictions else _checkpoint(state)
    record, path, sha256 = _artifact(opened, cell_id, artifact)
    settings = record.cell["settings"]
    if "recipe" not in settings:
        raise UserError(f"cell {cell_id} is a measurement, and has no network")
    told = {"given": given, "cell": cell_id, "attempt": record.attempt, "artifact": artifact,
            "file": str(path), "sha256": sha256}  # fmt: skip
    tasks, recipe = settings["tasks"], settings["recipe"]
    (task,) = tasks.values() if len(tasks) == 1 else (None,)
    network = settings["network"]
    weights = Weights(file=path, seed=int(record.cell["seed"]), frozen=_frozen(settings))
    if not predictions:
        classes = described(path, None).classes
        told |= {"backbone": network, "classes": classes or None}
        weights = replace(weights, classes=classes, backbone=network)
    return Subject(
        weights,
        told,
        cell_id,
        task and _as_written(task),
        task and (task.get("image") or recipe.get("image")),
    )


def _frozen(settings: Mapping[str, Any]) -> bool:
    """Whether a training left the running statistics of its start as they were."""
    return any(of.get("statistics") == "frozen" for of in settings.get("trainable", {}).values())


def _checkpoint(state: str) -> str:
    if not state:
        return "checkpoint"
    return f"checkpoint@step {int(state)}" if state.isdigit() else f"checkpoint@{state}"


def _artifact(store: Store, cell_id: str, name: str) -> tuple[Record, Path, str]:
    """Return the newest done record of a cell that has an artifact, its file and digest."""
    from bench.errors import StoreError

    records = [record for record in store.attempts(cell_id) if record.done][::-1]
    found = store.artifact(records, name)
    if found is None:
        has = sorted({name for record in records for name in record.outcome.artifacts})
        remedy = "run its suite again with --keep" if name == "checkpoint" else (
            "a stage keeps it where a measurement of its suite asks for it"
        )  # fmt: skip
        raise StoreError(
            f"cell {cell_id} has no {name} here; it has: {', '.join(has) or 'nothing'}",
            file=store.root,
            remedy=remedy,
        )
    return found


def _as_written(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell's task as a suite writes it: what follows from nothing else."""
    kept = ("dataset", "sampling_rate", "long_tail", "train_classes", "objective")
    transforms = {name: given for each in task["transforms"] for name, given in each.items()}
    return {
        **{key: task[key] for key in kept if task.get(key) is not None},
        **({"transforms": transforms} if transforms else {}),
    }


def data_of(
    subjects: Mapping[str, Subject],
    on: str | None,
    *,
    image: int | None,
    sampling_rate: float | None,
    objective: Any,
) -> Data:
    """Return what is measured on: what is asked for, or else what the cells were trained on.

    Raises
    ------
    UserError
        If it is not said, and does not follow from the cells.
    """
    from bench.errors import UserError
    from bench.spec.measuring import Data

    cells = [each for each in subjects.values() if each.task is not None]
    of_cells = _shared([each.task for each in cells])
    complete = len(cells) == len(subjects) and _shared([each.image for each in cells]) is not None
    dataset, own = _dataset(on, of_cells, complete=complete)
    task: dict[str, Any] = {"dataset": dataset}
    if of_cells is not None and of_cells["dataset"] == dataset:
        task = dict(of_cells)
    else:
        scored = _shared([each.task.get("objective") for each in cells if each.task is not None])
        task |= {"objective": scored} if scored is not None else {}
    asked = {"sampling_rate": sampling_rate, "objective": objective}
    task |= {key: value for key, value in asked.items() if value is not None}
    if own is None and _unknown(dataset):
        raise UserError(
            f"the cells' data, {dataset}, are their suite's own, and the store does not say where "
            "they lie",
            field="--on",
            remedy="add --on FOLDER, or the file of arrays",
        )
    size = {"resize": image, "size": image} if image is not None else {}
    seen = [each for each in subjects.values() if each.image is not None]
    return Data(task, own, {**_image(seen, size), **size} or None)


def _shared(values: Sequence[Any]) -> Any:
    """Return what all values are; None where they differ, or there are none."""
    return values[0] if values and all(value == values[0] for value in values) else None


def _image(seen: Sequence[Subject], asked: Mapping[str, int]) -> dict[str, Any]:
    """Return how the networks' images were made, all of them, whatever they were images of.

    Raises
    ------
    UserError
        If they were not made in one way, and it is not said in which.
    """
    from bench.errors import UserError

    images = [each.image or {} for each in seen]
    keys = {key for each in images for key in each}
    differing = sorted(k for k in keys - asked.keys() if len({str(i.get(k)) for i in images}) > 1)
    if differing:
        raise UserError(
            f"the networks were trained on images of different {', '.join(differing)}",
            field="--image",
            remedy="add --image SIZE"
            if {*differing} <= {"resize", "size"}
            else "measure networks whose images were made in one way",
        )
    return {key: images[0][key] for key in sorted(keys - asked.keys())}


def _dataset(
    on: str | None, of_cells: Mapping[str, Any] | None, *, complete: bool
) -> tuple[str, dict[str, Any] | None]:
    """Return the dataset's name, and where it lies if it is the user's.

    Parameters
    ----------
    complete
        Whether all networks are cells that saw the same images.
    """
    from bench.errors import UserError, did_you_mean
    from bench.spec.catalogue import names
    from bench.spec.naming import joined_name

    if on is None:
        if of_cells is None or not complete:
            raise UserError(
                "it is not said what to measure on, and the networks are not all cells of one task",
                field="--on",
                remedy="add --on DATASET, a folder of images, or a file of arrays",
            )
        return str(of_cells["dataset"]), None
    if not _unknown(on):
        return on, None
    path = Path(on).expanduser().resolve()
    # Rows are drawn by the dataset's name: the cells' own data keep theirs.
    theirs = str(of_cells["dataset"]) if of_cells is not None else ""
    name = theirs if theirs and _unknown(theirs) else joined_name(path.stem)
    if path.is_dir():
        return name, {"folder": str(path)}
    if path.is_file():
        return name, {"file": str(path), "modality": _modality(path)}
    raise UserError(
        f"{on!r} is neither a dataset of the catalogue nor a folder or file here",
        field="--on",
        remedy=did_you_mean(on, names()),
    )


def _unknown(dataset: str) -> bool:
    from bench.spec.catalogue import names

    return dataset not in names()


def _modality(path: Path) -> str:
    """Return what a file of arrays holds: whole numbers are tokens."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            kind = file.get_slice("train_inputs").get_dtype()
    except (SafetensorError, OSError):
        # What is wrong with the file, the source says.
        return "vectors"
    return "tokens" if kind == "I64" else "vectors"
