"""``python -m bench``: the command line where ``bench`` is not on the path."""

from bench.cli.main import main

main()
