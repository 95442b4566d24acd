"""What pyproject.toml cannot say: suites and the bundles of published pages lie in the wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# Folder beside this file, which is its folder in the package too, and what of it is taken.
SHIPPED = {"suites": "*/*.yaml", "leaderboards": "*/*.zip"}


class BuildWithSuites(build_py):
    """Builds the package with what lies beside it in a clone."""

    def run(self) -> None:
        """Build, and copy."""
        super().run()
        for folder in SHIPPED:
            # An earlier build in this folder may have left suites that are there no more.
            shutil.rmtree(self._package / folder, ignore_errors=True)
        for source, target in self._shipped().items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return every file that is built."""
        return [*super().get_outputs(include_bytecode), *map(str, self._shipped().values())]

    @property
    def _package(self) -> Path:
        return Path(self.build_lib) / "bench"

    def _shipped(self) -> dict[Path, Path]:
        """Return each file with where it goes; none where the package stays where it is."""
        if self.editable_mode:
            return {}
        return {
            file: self._package / file
            for folder, pattern in SHIPPED.items()
            for file in sorted(Path(folder).glob(pattern))
        }


setup(cmdclass={"build_py": BuildWithSuites})
