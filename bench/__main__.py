"""``python -m bench``: the command line where ``bench`` is not on the path."""

import sys

from bench.import_path import import_path

# Before anything else is imported.
sys.path[:] = import_path()

from bench.cli.main import main  # noqa: E402

main()
