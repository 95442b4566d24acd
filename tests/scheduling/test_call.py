"""Whatever a cell's code does becomes an outcome that says what kind of failure it was."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench import sources
from bench.errors import UserError
from bench.files import bytes_sha256
from bench.records.code import code_digests, units_of
from bench.records.record import Outcome
from bench.scheduling.device import Device
from bench.scheduling.engines.call import call
from bench.scheduling.engines.failures import kind_of
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.engines.installed import is_installed
from bench.scheduling.engines.watch import Watch
from bench.scheduling.job import Job
from bench.spec.cell import Resources
from tests.records.built import cell
from tests.scheduling import fake_cells


def job(folder: Path, **penalties: dict[str, object]) -> Job:
    return Job(cell(penalties=penalties), attempt=1, folder=folder / "cells" / "ab" / "abc")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        ("raise", "error", "RuntimeError: the third layer went wrong"),
        ("oom", "out-of-memory", "OutOfMemoryError: CUDA out of memory"),
        ("nan", "not-a-number", "Diverged: the loss is NaN at step 3"),
        ("user", "user-error", "photos: the folder is empty\n  put images there"),
    ],
)
def test_an_exception_is_told_by_kind(tmp_path: Path, act: str, kind: str, message: str) -> None:
    outcome = call(fake_cells.TARGET, job(tmp_path, **{act: {}}))
    assert outcome.status == "failed"
    assert outcome.failure is not None
    assert outcome.failure.kind == kind
    assert outcome.failure.message.startswith(message)
    # A user's error has said all; the others come with their traceback.
    assert ("Traceback" in outcome.failure.detail) == (kind != "user-error")


def test_texts_of_memory_errors_are_known() -> None:
    cuda = RuntimeError("CUDA error: out of memory")
    cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 800 bytes")
    assert kind_of(cuda) == kind_of(cpu) == kind_of(MemoryError()) == "out-of-memory"
    assert kind_of(ValueError("out of memory is what this text says")) == "error"


def test_an_exit_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(fake_cells.ACTS, "look", lambda job: exit(3))
    outcome = call(fake_cells.TARGET, job(tmp_path, look={}))
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message) == ("exit", "the code called exit(3)")


@pytest.mark.parametrize(
    "target", ["no.such.module:f", "bench.errors:no_such_function", "json:dumps"]
)
def test_a_target_that_is_none_is_a_failure(tmp_path: Path, target: str) -> None:
    outcome = call(target, job(tmp_path))
    assert outcome.failure is not None
    assert outcome.failure.kind == "error"


def test_other_code_than_the_runner_expects_is_not_executed(tmp_path: Path) -> None:
    given = Job(cell(), attempt=1, folder=tmp_path / "cells" / "ab" / "abc")
    code = code_digests(units_of(given.cell, Resources()))
    target = f"{fake_cells.__name__}:noop"
    assert call(target, replace(given, code=code)).status == "done"
    outcome = call(target, replace(given, code={**code, "train": "0" * 64}))
    assert outcome.failure is not None
    assert outcome.failure.kind == "user-error"
    assert outcome.failure.message.startswith("the code of train was edited since this run began")


PART = """
from pathlib import Path

def penalty(name):
    return lambda cls: cls


class Penalty:
    pass


@penalty("mine")
class Mine(Penalty):
    weight: float = 1.0
"""
# A part in use: its module is executed as a cell imports it.
TARGET = f"{__name__}:imports_the_part"
INSTALLED = "installed_of_test_call"


def imports_the_part(job: Job) -> Outcome:
    for plugin in job.resources.plugins if "penalty" in dict(job.cell.parts) else ():
        spec = sources.spec_of("part_of_test_call", Path(plugin))
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return Outcome("done")


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Job]:
    """A function from a part's further lines to a job that uses it.

    Beside it lie ``beside.py``, ``far/stray.py``, ``far/stray.json``; a package is installed.
    """
    site, far = tmp_path / "site", tmp_path / "far"
    about = site / f"{INSTALLED}-1.dist-info"
    about.mkdir(parents=True)
    far.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {INSTALLED}\nVersion: 1\n")
    (about / "top_level.txt").write_text(INSTALLED)
    for file in (site / f"{INSTALLED}.py", far / f"{INSTALLED}.py", far / "stray.py"):
        file.write_text("x = 1\n")
    (far / "stray.json").write_text('{"x": "1 + 1"}')
    (tmp_path / "beside.py").write_text("import json\nx = 1\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)

    def make(lines: str) -> Job:
        plugin = tmp_path / f"mine{bytes_sha256(lines.encode())[:8]}.py"
        plugin.write_text(PART + lines)
        resources = Resources(plugins=(str(plugin),))
        return Job(cell(penalties={"mine": {}}), 1, tmp_path, resources=resources)

    # A worker is a process of its own; this one has imported other tests since the first of these.
    monkeypatch.setattr("bench.scheduling.engines.origin.watch", Watch())
    yield make
    for name in (INSTALLED, "stray", "beside"):
        sys.modules.pop(name, None)


BY_PATH = """
import importlib.util
spec = importlib.util.spec_from_file_location("helper", "{file}")
helper = importlib.util.module_from_spec(spec)
spec.loader.exec_module(helper)
"""
READ = "Path('far/stray.py').read_text()"


@pytest.mark.parametrize(
    ("lines", "stray"),
    [
        (BY_PATH.format(file="far/stray.py"), "stray.py"),
        (BY_PATH.format(file="beside.py"), "beside.py"),
        ("import runpy\nrunpy.run_path('far/stray.py')\n", "stray.py"),
        (f"exec(compile({READ}, 'far/stray.py', 'exec'))\n", "stray.py"),
        (f"exec({READ})\n", "stray.py"),
        (f"import json\nx = eval(json.loads({READ.replace('py', 'json')})['x'])\n", "stray.json"),
        ("import sys\nsys.path.insert(0, 'far')\nname = 'stray'\n__import__(name)\n", "stray.py"),
        (f"import sys\nsys.path.insert(0, 'far')\nimport {INSTALLED}\n", f"{INSTALLED}.py"),
        # That the part swallows it helps nothing.
        (f"try:\n    exec({READ})\nexcept Exception:\n    pass\n", "stray.py"),
    ],
)  # fmt: skip
def test_what_a_part_executes_and_no_digest_counts_fails_the_cell(
    given: Callable[[str], Job], tmp_path: Path, lines: str, stray: str
) -> None:
    job = given(lines)
    path = list(sys.path)
    # In one process the second attempt may find it imported.
    for _ in range(2):
        outcome = call(TARGET, job)
        assert outcome.failure is not None
        assert outcome.failure.kind == "user-error"
        found = tmp_path / ("" if stray == "beside.py" else "far") / stray
        assert f"executes {found}, which is in no digest" in outcome.failure.message
        assert job.resources.plugins[0] in outcome.failure.message
    sys.path[:] = path
    # Where no part is the user's, nothing is looked at.
    assert call(TARGET, replace(job, cell=cell())).status == "done"


@pytest.mark.parametrize(
    "lines",
    [
        f"import {INSTALLED}\n",
        "import json\ntable = json.loads(Path('far/stray.json').read_text())\n",
        "import beside\n",
        BY_PATH.format(file="beside.py") + "import beside\n",
        "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\nx = eval('1')\n",
        # By a name of its own: the standard library's, not imported before.
        "import sys\nsys.modules.pop('this', None)\nimport this\n",
    ],
)
def test_a_part_may_execute_what_is_counted_or_installed(
    given: Callable[[str], Job], tmp_path: Path, lines: str
) -> None:
    sources.offer({"beside": tmp_path / "beside.py"})
    try:
        assert call(TARGET, given(lines)) == Outcome("done")
    finally:
        sources._finder.offered.clear()


def test_a_package_that_is_installed_in_place_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "site" / "in_place-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: in-place\nVersion: 1\n")
    origin = {"url": (tmp_path / "my work").as_uri(), "dir_info": {"editable": True}}
    (about / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert is_installed(str(tmp_path / "my work" / "src" / "in_place" / "a.py"))
    assert is_installed(str(tmp_path / "my work" / "in_place.py"))
    assert not is_installed(str(tmp_path / "my work" / "src" / "other.py"))
    assert not is_installed(str(tmp_path / "elsewhere" / "in_place.py"))
    assert is_installed(json.__file__)
    assert is_installed(pytest.__file__)


def test_the_inline_engine_executes_in_this_process(tmp_path: Path) -> None:
    engine = InlineEngine(target=f"{fake_cells.__name__}:noop")
    (device,) = engine.devices
    assert device == Device("cpu", "", 1)
    given = job(tmp_path)
    engine.start(given, device)
    (ended,) = engine.poll(0)
    assert ended.outcome == Outcome("done")
    assert ended.job == given
    assert engine.poll(0) == []


def meets_the_part(job: Job) -> Outcome:
    """Say in which process this is, and whether a cell with the user's part was in it before."""
    before = "PART_MET" in os.environ
    if "penalty" in dict(job.cell.parts):
        os.environ["PART_MET"] = "yes"
    return Outcome("done", metrics={"pid": float(os.getpid()), "before": float(before)})


def test_a_users_part_changes_nothing_in_the_inline_engines_process(
    given: Callable[[str], Job],
) -> None:
    engine = InlineEngine(target=f"{__name__}:meets_the_part")
    mine = given("")
    found = []
    for job in (mine, mine, replace(mine, cell=cell(penalties={}))):
        (mine.folder / "log").mkdir(exist_ok=True)
        engine.start(job, *engine.devices)
        (ended,) = engine.poll(0)
        assert ended.outcome.status == "done", ended.outcome.failure
        found.append(ended.outcome.metrics)
    engine.close()
    assert [metrics["before"] for metrics in found] == [0.0, 0.0, 0.0]
    first, second, third = (metrics["pid"] for metrics in found)
    assert third == os.getpid()
    assert len({first, second, third}) == 3


def test_an_exception_says_its_kind_and_only_a_known_one_counts() -> None:
    class Odd(ValueError):
        kind = "of my own"

    class Mine(UserError):
        """Says nothing new."""

    class Stops(UserError):
        kind = "not-a-number"

    assert kind_of(Odd()) == "error"
    assert kind_of(Mine("x")) == "user-error"
    assert kind_of(Stops("x")) == "not-a-number"
    # The spelling of a class says nothing.
    assert kind_of(type("NotANumberAtAll", (ValueError,), {})()) == "error"
