"""The catalogue: every dataset of the papers, typed, pinned where it can be."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from bench.errors import SpecError
from bench.spec.catalogue import DatasetEntry, entry, names

EVERY = [entry(name) for name in names()]
HUB = [e for e in EVERY if e.kind == "hub"]


@pytest.mark.parametrize(
    ("paper", "datasets"),
    [
        ("bss", "cub-200-2011 stanford-dogs stanford-cars oxford-iiit-pet fgvc-aircraft"),
        ("bss", "mit-indoor-67 glue-mnli glue-qnli glue-mrpc glue-sst2 mnist"),
        ("fast", "cifar-100 mnist caltech-256 imagenet-1k"),
        ("modelpatch", "flowers-102 stanford-cars fgvc-aircraft cifar-100 places-365 imagenet-1k"),
        ("goodfit", "cifar-10 cifar-100 waymo-open-motion vtab-1k-dtd vtab-1k-svhn"),
        ("transferred", "domainnet-real domainnet-clipart domainnet-quickdraw chexpert"),
    ],
)
def test_the_papers_datasets_are_there(paper, datasets):
    for name in datasets.split():
        assert paper in entry(name).papers


def test_there_are_19_vtab_tasks():
    assert len([name for name in names() if name.startswith("vtab-1k-")]) == 19


def test_sizes_are_those_of_the_released_lists():
    # Line counts of the lists released with Chen et al. 2019.
    counted = {
        "cub-200-2011": (5994, 5794, 200),
        "stanford-dogs": (12000, 8580, 120),
        "stanford-cars": (8144, 8041, 196),
        "oxford-iiit-pet": (3680, 3669, 37),
        "fgvc-aircraft": (6667, 3333, 100),
    }
    found = {name: (entry(name).rows.train, entry(name).rows.test, entry(name).classes) for name in counted}  # fmt: skip  # noqa: E501
    assert found == counted


def test_aircraft_trains_on_train_and_validation():
    assert entry("fgvc-aircraft").splits.train == ("train", "validation")
    assert entry("fgvc-aircraft").label == "variant"


def test_domains_have_the_hubs_numbers():
    domains = ["clipart", "infograph", "painting", "quickdraw", "real", "sketch"]
    assert [entry(f"domainnet-{d}").keep.value for d in domains] == [0, 1, 2, 3, 4, 5]


def test_gated_sets_say_where_their_terms_are():
    assert entry("imagenet-1k").gated
    assert entry("imagenet-1k").terms.startswith("https://huggingface.co/datasets/ILSVRC/")
    assert not entry("mnist").gated


@pytest.mark.parametrize("known", HUB, ids=lambda e: e.name)
def test_hub_entries_have_a_pin_or_say_why_not(known):
    assert known.revision or "revision" in known.notes
    assert known.hub.count("/") == 1
    assert known.evidence
    assert known.splits.test or known.test_fraction


def test_procedural_sets_have_distinct_pinned_digests():
    names = ("boxes", "fractals", "glyphs", "glyphs-source", "glyphs-source-50", "digits")
    assert len({entry(name).digest for name in names}) == len(names)


def test_the_rows_of_procedural_sets_are_their_plans():
    from bench.data.sources.procedural import PLANS

    for name, plan in PLANS.items():
        known = entry(name)
        assert known.classes == (plan.classes if known.targets == "classes" else None)
        assert known.rows.train == plan.classes * plan.train
        assert known.rows.test == plan.classes * plan.test


def test_names_are_kebab_case_and_unique():
    assert len(set(names())) == len(names())
    for name in names():
        assert name == name.lower().replace("_", "-").replace(" ", "-")


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(SpecError, match="did you mean 'cifar-100'") as caught:
        entry("cifar100")
    assert "cifar100" in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "hub", "title": "x"},
        {"kind": "hub", "title": "x", "hub": "a/b", "classes": 2},
        {"kind": "hub", "title": "x", "hub": "a/b", "classes": 2, "revision": "main"},
        {"kind": "procedural", "title": "x", "classes": 2},
        {"kind": "unavailable", "title": "x"},
        {"kind": "folder", "title": "x", "reason": "y", "clases": 3},
    ],
)
def test_an_entry_that_lacks_something_is_invalid(fields):
    with pytest.raises(ValidationError):
        DatasetEntry.model_validate(fields)


def test_it_is_read_in_milliseconds_without_frameworks():
    script = """
import sys, time
import bench.spec.recipe
start = time.process_time()
from bench.spec.catalogue import entry, names
for name in names(): entry(name)
print(time.process_time() - start)
print(sorted({"torch", "datasets", "pandas", "numpy", "scipy"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, loaded = run.stdout.split("\n")[:2]
    assert loaded == "[]"
    assert float(seconds) < 0.08
