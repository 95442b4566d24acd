"""A Slurm of scripts: it writes down what it is told, and says what a file has for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

_SCRIPTS = {
    "sbatch": 'cp "$1" "$FAKE/script"; echo submitted >> "$FAKE/told"\n'
    'cp "$FAKE/after" "$FAKE/queue" 2>/dev/null\n'
    'if [ -x "$FAKE/amid" ]; then "$FAKE/amid"; fi\n'
    "echo Submitted batch job 17\n",
    "srun": "",
    "squeue": 'if [ -e "$FAKE/down" ]; then echo slurm_load_jobs error >&2; exit 1; fi\n'
    'sed "s/NAME/$(echo "$*" | sed "s/.*--name=\\([^ ,]*\\).*/\\1/")/" "$FAKE/queue" 2>/dev/null\n'
    "true\n",
    "scancel": 'echo "scancel $*" >> "$FAKE/told"; : > "$FAKE/queue"\n',
}


@dataclass(frozen=True)
class FakeSlurm:
    folder: Path

    @property
    def told(self) -> list[str]:
        file = self.folder / "told"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def script(self) -> str:
        return (self.folder / "script").read_text()

    def queue(self, *lines: str, after_submission: bool = False) -> None:
        name = "after" if after_submission else "queue"
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines))

    def amid(self, script: str) -> None:
        """Do something when a job has been accepted, before sbatch returns."""
        file = self.folder / "amid"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def down(self) -> None:
        (self.folder / "down").touch()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in _SCRIPTS.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}")
        (commands / name).chmod(0o755)
    folder = tmp_path / "fake"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE", str(folder))
    return FakeSlurm(folder)
