from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import StoreError, UserError
from bench.files import file_sha256
from bench.records.code import code_digests, units_of
from bench.records.record import Artifact, Outcome
from bench.scheduling.engines.remote.depot import Depot
from bench.scheduling.engines.remote.homecoming import checked, forget_progress, place_file, wanted
from bench.scheduling.engines.remote.parcel import Packer, Parcel
from bench.scheduling.engines.remote.tree import File, Tree, tree_below
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import Cell, Resources
from tests.records.built import cell


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    (tmp_path / "node").mkdir()
    return Depot(tmp_path / "node")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folder = tmp_path / "store" / "cell"
    folder.mkdir(parents=True)
    return Job(cell(0), 3, folder)


def delivered(job: Job, depot: Depot, packer: Packer | None = None) -> Job:
    """Return the job as a node has it that has got all trees."""
    packer = packer or Packer()
    parcel: Parcel = pickle.loads(pickle.dumps(packer.pack(job, "cpu")))
    for tree in parcel.trees.values():
        depot.take(tree, packer.content(tree))
    return parcel.unpack(depot)


def owning(job: Job, **resources: object) -> Job:
    return replace(job, resources=Resources(**resources))  # type: ignore[arg-type]


def dataset(of: Cell) -> str:
    return of.datasets[0]


def test_an_image_folder_comes_whole_with_its_empty_classes(
    job: Job, depot: Depot, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    for name in ("train/cat/1.png", "train/dog/1.png", "test/cat/2.png"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(name)
    (own / "train" / "emu").mkdir()

    there = delivered(owning(job, folders={dataset(job.cell): str(own)}), depot)

    came = Path(there.resources.folders[dataset(job.cell)])
    assert came.is_relative_to(depot.root)
    assert tree_below(came) == tree_below(own)
    assert (came / "train" / "emu").is_dir()


def test_a_large_folder_does_not_travel_and_must_be_there_the_same(
    job: Job, depot: Depot, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "a").write_bytes(b"x" * 100)
    job = owning(job, folders={dataset(job.cell): str(own)})
    packer = Packer(large=50)

    assert delivered(job, depot, packer).resources == job.resources

    parcel = packer.pack(job, "cpu")
    (own / "a").write_bytes(b"x" * 101)
    with pytest.raises(UserError, match=r"differs on .* in a ") as error:
        parcel.unpack(depot)
    assert str(own) in str(error.value)
    (own / "a").unlink()
    own.rmdir()
    with pytest.raises(UserError, match="is not on"):
        parcel.unpack(depot)


def test_files_come_and_what_no_cell_reads_does_not(job: Job, depot: Depot, tmp_path: Path) -> None:
    arrays, other = tmp_path / "arrays.safetensors", tmp_path / "other.safetensors"
    arrays.write_bytes(b"rows")
    given = {dataset(job.cell): (str(arrays), "vectors"), "unused": (str(other), "vectors")}

    there = delivered(owning(job, arrays=given), depot)

    path, kind = there.resources.arrays[dataset(job.cell)]
    assert (Path(path).read_bytes(), Path(path).name, kind) == (b"rows", arrays.name, "vectors")
    assert there.resources.arrays["unused"] == given["unused"]


def test_what_was_edited_since_it_was_first_sent_is_not_sent_as_it_was(
    job: Job, tmp_path: Path
) -> None:
    arrays = tmp_path / "arrays.safetensors"
    arrays.write_bytes(b"rows")
    packer = Packer()
    job = owning(job, arrays={dataset(job.cell): (str(arrays), "vectors")})
    (tree,) = packer.pack(job, "cpu").trees.values()
    arrays.write_bytes(b"rowz")
    with pytest.raises(StoreError, match="other bytes"):
        packer.content(tree)


def test_a_plug_in_comes_with_its_package_and_has_the_same_digest(
    job: Job, depot: Depot, tmp_path: Path
) -> None:
    package = tmp_path / "mine" / "parts"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "scale.py").write_text("SCALE = 2.0\n")
    plugin = package / "louder.py"
    code = (
        "from bench.parts import Penalty, penalty\n{}\n\n\n@penalty('{}')\n"
        "class Own(Penalty):\n    def __call__(self, step):\n        return SCALE\n"
    )
    plugin.write_text(code.format("from parts.scale import SCALE", "louder"))
    lone = tmp_path / "lone.py"
    lone.write_text(code.format("SCALE = 1.0", "alone"))
    job = owning(job, plugins=(str(plugin), str(lone)))
    mine = cell(0, {"louder": {}})

    there = delivered(replace(job, cell=mine), depot)

    assert all(Path(path).is_relative_to(depot.root) for path in there.resources.plugins)
    here = code_digests(units_of(mine, job.resources))
    assert code_digests(units_of(mine, there.resources)) == here
    assert "penalty:louder" in here


def test_a_parents_artifact_comes_under_its_name(job: Job, depot: Depot, tmp_path: Path) -> None:
    path = tmp_path / "0001.checkpoint.safetensors"
    path.write_bytes(b"weights")
    parent = ParentArtifact(cell(1), "checkpoint", 1, path, file_sha256(path))

    there = delivered(replace(job, parents={"start": parent}), depot).parents["start"]

    assert there.path.is_relative_to(depot.root)
    assert (there.path.name, there.path.read_bytes()) == (path.name, b"weights")
    assert replace(there, path=path) == parent


def test_an_artifact_with_other_bytes_than_its_record_says_is_not_sent(
    job: Job, tmp_path: Path
) -> None:
    path = tmp_path / "0001.checkpoint.safetensors"
    path.write_bytes(b"weights")
    packer = Packer()
    parcel = packer.pack(
        replace(job, parents={"start": ParentArtifact(cell(1), "checkpoint", 1, path, "0" * 64)}),
        "cpu",
    )
    (tree,) = parcel.trees.values()
    with pytest.raises(StoreError, match="other bytes"):
        packer.content(tree)


def test_saved_progress_comes_and_goes(job: Job, depot: Depot) -> None:
    (job.folder / "progress.safetensors").write_bytes(b"half")
    packer = Packer()
    there = delivered(job, depot, packer)
    saved = there.folder / "progress.safetensors"
    assert saved.read_bytes() == b"half"
    saved.write_bytes(b"three quarters")

    came = tree_below(there.folder)
    assert wanted(job, came) == ["progress.safetensors"]
    name = "progress.safetensors"
    place_file(job, name, came.files[name], saved.read_bytes())
    assert (job.folder / name).read_bytes() == b"three quarters"
    forget_progress(job, [name], Tree({}))
    assert not (job.folder / name).exists()


def test_what_comes_back_is_the_attempts_own_and_never_a_record(job: Job) -> None:
    names = ["0003.json", "0003.lease", "0002.log", "0003.log", "0003.checkpoint.bin", "other"]
    files = Tree({name: File(1, "0" * 64) for name in names})
    assert wanted(job, files) == ["0003.checkpoint.bin", "0003.log"]


def test_an_artifact_must_come_as_its_record_says(job: Job) -> None:
    done = Outcome("done", artifacts={"checkpoint": Artifact("0003.checkpoint.bin", "a" * 64)})
    good = Tree({"0003.checkpoint.bin": File(1, "a" * 64)})
    bad = Tree({"0003.checkpoint.bin": File(1, "b" * 64)})
    assert checked(job, done, good) is done
    assert checked(job, done, bad).status == "failed"
    assert checked(job, done, Tree({})).status == "failed"
    outside = replace(done, artifacts={"checkpoint": Artifact("0002.checkpoint.bin", "a" * 64)})
    assert checked(job, outside, Tree({"0002.checkpoint.bin": File(1, "a" * 64)})).failure


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", ""])
def test_a_tree_does_not_leave_its_folder(name: str) -> None:
    with pytest.raises(ValueError, match="leaves"):
        Tree({name: File(0, "")})


def test_a_tree_that_came_otherwise_is_not_kept(depot: Depot, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a").write_bytes(b"abc")
    tree = tree_below(tmp_path / "own")
    for content in (b"abd", b"ab", b"abcd"):
        with pytest.raises(ValueError, match="bytes"):
            depot.take(tree, content)
        assert not depot.path(tree).exists()
    depot.take(tree, b"abc")
    assert (depot.path(tree) / "a").read_bytes() == b"abc"


def test_what_a_killed_node_left_is_removed_and_what_a_living_one_has_is_not(
    tmp_path: Path,
) -> None:
    living = Depot(tmp_path)
    dead = tmp_path / living.root.name.replace(living.root.name[-8:], "deadbeef")
    dead.mkdir()
    (dead / "alive").touch()
    other = Depot(tmp_path)
    assert not dead.exists()
    assert living.root.exists()
    living.close()
    other.close()
    assert not list(tmp_path.glob("retable-node-*"))
