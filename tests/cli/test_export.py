"""``bench export``: artifacts under names that tell cells apart, with what they belong to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from bench.errors import StoreError
from bench.files import bytes_sha256
from bench.spec.plan import Plan
from tests.cli.conftest import enter
from tests.cli.laid import SUITE, lay

Run = Callable[..., Result]
# The method b trains a part; a, and the stage, train everything.
PATCHED = SUITE.replace("  b: {", "  b: {trainable: head, ")


@pytest.fixture
def patched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    enter(tmp_path, monkeypatch)
    return lay(tmp_path, PATCHED)


def test_patches_are_written_beside_the_checkpoint_that_they_belong_to(
    patched: Plan, bench: Run
) -> None:
    assert bench("export", "laid/table", "--patch", "--to", "out").exit_code == 0
    names = [f"{d}.b.seed-{seed}" for d in ("digits", "glyphs") for seed in range(3)]
    body = "glyphs-source.stage-source.safetensors"
    files = [f"{name}.patch{end}" for name in names for end in (".json", ".safetensors")]
    assert sorted(path.name for path in Path("out").iterdir()) == sorted([*files, body])
    (source,) = (planned.cell for planned in patched.behind)
    assert (Path("out") / body).read_text() == f"checkpoint of {source.id}"
    for planned in patched.shown:
        if planned.place["method"] == "b":
            name = f"{planned.cell.dataset}.b.seed-{planned.seed}.patch"
            content = (Path("out") / f"{name}.safetensors").read_bytes()
            assert content.decode() == f"patch of {planned.cell.id}"
            about = json.loads((Path("out") / f"{name}.json").read_text())
            assert about["cell"]["id"] == planned.cell.id
            assert about["sha256"] == bytes_sha256(content)
            assert about["body"]["files"] == {"start": body}
            # Of the weights as they were loaded: what the patch says that it belongs to.
            assert about["body"]["sha256"] == bytes_sha256(planned.cell.id.encode())


def test_a_cell_without_its_patch_is_named_with_the_remedy(patched: Plan, bench: Run) -> None:
    (gone, *_) = [planned.cell for planned in patched.shown if planned.place["method"] == "b"]
    next(Path("store").rglob(f"{gone.id}/*patch.safetensors")).unlink()
    error = bench("export", "laid/table", "--patch", "--to", "out").exception
    assert isinstance(error, StoreError)
    assert f"cell {gone.id}" in str(error)
    assert "has no patch here" in str(error)
    assert "--keep-patches" in error.remedy


def test_a_body_that_was_made_again_is_not_passed_off_as_the_patches_own(
    patched: Plan, bench: Run
) -> None:
    (checkpoint,) = Path("store").rglob("*.checkpoint.safetensors")
    checkpoint.write_text("another")
    error = bench("export", "laid/table", "--patch", "--to", "out").exception
    assert "has no more the checkpoint here that another cell started from" in str(error)


def test_where_everything_trains_there_is_no_patch(laid: Path, bench: Run) -> None:
    error = bench("export", "laid/table", "--patch", "--to", "out").exception
    assert isinstance(error, StoreError)
    assert "no cell of table can leave a patch" in str(error)


def test_checkpoints_of_one_dataset_have_names_of_their_own(
    patched: Plan, tmp_path: Path, bench: Run
) -> None:
    from bench.cli.export import export_names

    names = export_names(patched.cells)
    assert len(set(names.values())) == len(patched.unique()) == 13
    assert {"glyphs.a.seed-2", "digits.b.seed-0", "glyphs-source.stage-source"} <= {*names.values()}
