from __future__ import annotations

import pytest

from bench.errors import StoreError
from bench.records import published
from bench.records.published import bundles_called


@pytest.fixture(autouse=True)
def pages(tmp_path, monkeypatch):
    for name in (
        "bss/table2.offline",
        "bss/table2.paper",
        "bss/tuned.offline",
        "fast/slow.offline",
    ):
        file = tmp_path / f"{name}.zip"
        file.parent.mkdir(exist_ok=True)
        file.touch()
    monkeypatch.setattr(published, "shipped_folder", lambda name: tmp_path)


@pytest.mark.parametrize(
    ("name", "stems"),
    [
        ("bss", ["table2.offline", "table2.paper", "tuned.offline"]),
        ("bss/table2", ["table2.offline", "table2.paper"]),
        ("bss/table2.paper", ["table2.paper"]),
    ],
)
def test_a_name_stands_for_the_bundles_of_a_paper_of_a_suite_or_of_a_page(name, stems):
    assert [file.stem for file in bundles_called(name)] == stems


def test_an_unknown_page_is_told_of_with_the_nearest():
    with pytest.raises(StoreError, match=r"did you mean 'bss/table2'\?"):
        bundles_called("bss/tabel2")
