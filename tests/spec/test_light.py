"""The light commands stay light: they import none of the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "datasets", "pandas", "scipy", "sklearn", "matplotlib")
CODE = """
import sys
sys.argv = ["bench", *sys.argv[1:]]
from bench.cli.main import main
try:
    main()
except SystemExit:
    pass
heavy = [name for name in {heavy!r} if name in sys.modules]
print("HEAVY", heavy, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["validate"],
        ["validate", "bss/table2"],
        ["plan", "bss/table2", "--profile", "paper"],
        ["plan", "bss/table2", "--profile", "offline", "--json"],
        ["status", "bss/table2"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_no_heavy_library_is_imported(arguments, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", CODE.format(heavy=HEAVY), *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "", "RETABLE_STORE": str(tmp_path / "store"), "HOME": str(tmp_path)},
    )
    assert ran.stdout.strip(), ran.stderr
    assert ran.stderr.strip().splitlines()[-1] == "HEAVY []"
