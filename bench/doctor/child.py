"""The process of one check: reads what is asked, writes what it found, both as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bench.doctor.finding import Asked, Finding
from bench.doctor.registry import check_of


def main() -> None:
    """Look, and answer; what libraries print meanwhile is no answer."""
    question = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = Asked(Path(question["store"]), question["device"])
    try:
        finding = check_of(sys.argv[1]).look(asked)
    except ImportError as error:
        finding = Finding("fails", f"cannot be imported: {error}", "see the line on libraries")
    except OSError as error:
        finding = Finding("fails", str(error), "mend the folder's permissions, or name another")
    with answer:
        json.dump(finding.plain(), answer)


if __name__ == "__main__":
    main()
