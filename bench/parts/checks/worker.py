"""The process that the checks run in: ``python -m bench.parts.checks.worker FD JOB``."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from bench.parts.checks import each_check


def main(descriptor: int, job: dict[str, Any]) -> None:
    """Check parts one after the other, and tell of each step as a line of JSON.

    Parameters
    ----------
    descriptor
        Where the lines go: what the parts print goes where it always goes.
    job
        ``parts``, each a kind and a name; ``plugins``.
    """

    def tell(**what: Any) -> None:
        os.write(descriptor, (json.dumps(what) + "\n").encode())

    tell(begun=True)
    for kind, name in job["parts"]:
        tell(part=[kind, name])
        for check in each_check(kind, name, job["plugins"], lambda check: tell(running=check)):
            tell(check=check.name, passed=check.passed, detail=check.detail)
    tell(ended=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
