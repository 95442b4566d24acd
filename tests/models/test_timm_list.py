from __future__ import annotations

import json

from bench.spec.backbones import FILE

from .timm_list import listing

RENEW = "renew it with timm's newest: python -m tests.models.timm_list"


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def test_the_list_is_that_of_the_newest_timm():
    ours, theirs = json.loads(FILE.read_text()), listing()
    if number(theirs["version"]) >= number(ours["version"]):
        missing = {n for n, tags in theirs["models"].items() if ours["models"].get(n) != tags}
        assert not missing, RENEW
    if theirs["version"] == ours["version"]:
        assert ours == theirs, RENEW
