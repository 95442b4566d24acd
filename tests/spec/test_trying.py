"""A user's part beside a suite's methods: the suite's own cells, one method more, and claims."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import SpecError
from bench.spec.cell import CHOICE, START
from bench.spec.find import find_suite, list_suites, suites_folders
from bench.spec.loader import dump_yaml, parse_yaml
from bench.spec.one_profile import laid
from bench.spec.paper import Paper
from bench.spec.plan import load_plan, plan_of
from bench.spec.trying import paper_beside, part_to_try, suite_beside
from bench.spec.tuning import Tuned

from .conftest import SUITE
from .test_search import SEARCH, written

SUITES = {
    file.relative_to(folder).with_suffix("").as_posix(): file
    for folder in suites_folders()
    for file in list_suites(folder)
}

L1_SP = """
from bench.parts import Penalty, penalty

@penalty("l1-sp")
class L1SP(Penalty):
    weight: float = 1e-3

    def __call__(self, step):
        return self.weight * sum((w - step.start[n]).abs().sum() for n, w in step.backbone.items())
"""


@pytest.fixture
def l1_sp(tmp_path: Path) -> Path:
    file = tmp_path / "mine" / "l1_sp.py"
    file.parent.mkdir()
    file.write_text(L1_SP)
    return file


@pytest.fixture
def tried(tmp_path: Path, l1_sp: Path):
    """A function that writes the suite and the paper of a try, and returns their plan."""

    def load(suite: Path, profile: str = "offline", **given):
        part = part_to_try(l1_sp, None)
        whole = suite_beside(suite, profile, part, settings=given.pop("settings", {}), **given)
        folder = tmp_path / "tries" / "one"
        folder.mkdir(parents=True)
        (folder / suite.name).write_text(dump_yaml(whole))
        paper = paper_beside(suite, profile, whole, part)
        (folder / "paper.yaml").write_text(dump_yaml(paper))
        return load_plan(folder / suite.name, profile)

    return load


def test_the_published_tables_cells_are_the_same_cells(tried):
    suite = find_suite("bss/table2")
    before, plan = load_plan(suite), tried(suite, onto=["l2"])
    mine = {"l1-sp", "l2+l1-sp"}
    assert [p.cell.id for p in plan.shown if p.place["method"] not in mine] == [
        p.cell.id for p in before.shown
    ]
    for planned in plan.shown:
        if planned.place["method"] in mine:
            names = [use.name for use in planned.cell.work.penalties]
            assert names == (["l1-sp"] if planned.place["method"] == "l1-sp" else ["l1-sp", "l2"])
    # Each of the six methods has a difference from each of the two, and a claim.
    assert len(plan.suite.table.contrast.pairs) == len(plan.paper.claims) == 12
    (claim, *_) = plan.paper.claims
    assert (claim.id, claim.of, claim.expect) == ("l1-sp-against-l2", "each", "greater")
    assert claim.mean_over == ("weights", "dataset", "sampling_rate")


def test_yours_is_searched_for_by_as_many_trials(tried, suite):
    file = suite(written(SEARCH + "  per: [method]\n"))
    plan = tried(file)
    assert {t.trials for t in plan.tunings.values()} == {12}
    # Of a baseline that takes two gradients a step it is not said.
    assert {claim.id: claim.budget for claim in plan.paper.claims} == {
        "l1-sp-against-plain": "search", "l1-sp-against-l2": "search", "l1-sp-against-twice": None,
    }  # fmt: skip


def test_settings_of_yours_are_searched_or_set(tried, suite):
    search = """
    search:
      space: {recipe.optimizer.sgd.lr: [0.01, 0.1]}
      per: [method]
      recipe: {validation: 0.25}
    """
    text = written(search, "method: [plain, l2, twice]", "method: [plain, l2]")
    text = text.replace("  twice: {update: {profit: {}}}\n", "")
    with pytest.raises(SpecError, match="plain has 2 candidates and l1-sp 4"):
        tried(suite(text), space={"weight": [0.1, 0.2]})


def test_a_choice_that_methods_share_is_not_made_for_yours(tried, suite, l1_sp):
    """It trains by it, no claim says that it was tuned alike, and the page says why."""
    file = suite(written(SEARCH + "  per: [sampling_rate]\n  at: {method: plain}\n"))
    part = part_to_try(l1_sp, None)
    with pytest.raises(SpecError, match="nothing of yours is tuned by itself"):
        suite_beside(file, "offline", part, settings={}, space={"weight": [0.1]})
    plan = tried(file)
    mine, plain = (
        {p.cell.parents[CHOICE].id for p in plan.shown if p.place["method"] == method}
        for method in ("l1-sp", "plain")
    )
    assert mine == plain
    assert {claim.budget for claim in plan.paper.claims} == {None}
    assert "was not made for it" in plan.suite.notes[-1].text


def test_a_range_is_drawn_from_for_yours(tried, suite):
    search = """
    search:
      draw: {random: {trials: 4}}
      space: {recipe.optimizer.sgd.lr: {log-uniform: [0.01, 0.1]}}
      recipe: {validation: 0.25}
    """
    plan = tried(suite(written(search)), space={"weight": {"log-uniform": [1e-5, 1e-3]}})
    tuned = next(p.cell.work for p in plan.shown if p.place["method"] == "l1-sp")
    weights = [c.values["penalties.l1-sp.weight"] for c in tuned.candidates]
    assert len(set(weights)) == 4
    assert all(1e-5 <= weight <= 1e-3 for weight in weights)
    assert "by as many trials" in plan.suite.notes[-1].text


def test_what_it_is_added_to_is_searched_for_as_before(suite, l1_sp: Path):
    search = """
    search:
      space: {recipe.optimizer.sgd.lr: [0.01, 0.1]}
      methods: {l2: {penalties.l2.weight: [0.1, 0.2], recipe.optimizer.sgd.lr: null}}
      recipe: {validation: 0.25}
    """
    part = part_to_try(l1_sp, None)
    given = {"settings": {}, "onto": ["l2"], "space": {"weight": [0.3]}}
    text = written(search, "method: [plain, l2, twice]", "method: l2")
    whole = suite_beside(suite(text), "offline", part, **given)
    assert whole["search"]["methods"] == {
        "l2": {"penalties.l2.weight": [0.1, 0.2], "recipe.optimizer.sgd.lr": None},
        "l1-sp": {"penalties.l1-sp.weight": [0.3]},
        "l2+l1-sp": {
            "penalties.l2.weight": [0.1, 0.2],
            "recipe.optimizer.sgd.lr": None,
            "penalties.l1-sp.weight": [0.3],
        },
    }


def test_what_follows_a_method_follows_it_with_the_part_too(tried, suite):
    search = """
    search:
      space: {recipe.optimizer.sgd.lr: [0.01, 0.1]}
      methods: {plain: {recipe.optimizer.sgd.lr: {of: recipe.optimizer.sgd.lr, times: 0.5}}}
      follows: {plain: l2}
      recipe: {validation: 0.25}
    """
    file = suite(written(search, "method: [plain, l2, twice]", "method: [plain, l2]"))
    plan = tried(file, onto=["plain", "l2"])
    rates = {
        str(p.place["method"]): [c.work.recipe.optimizer.sgd.lr for c in p.cell.work.candidates]
        for p in plan.shown
    }
    assert rates["l2+l1-sp"] == rates["l1-sp"] == rates["l2"] == [0.01, 0.1]
    assert rates["plain+l1-sp"] == rates["plain"] == [0.005, 0.05]
    # At the last place of each: by the trials of what it follows, with the part.
    choice = {str(p.place["method"]): p.cell.parents[CHOICE].id for p in plan.shown}
    assert choice["plain+l1-sp"] == choice["l2+l1-sp"] != choice["l2"] == choice["plain"]
    budgets = {claim.id: claim.budget for claim in plan.paper.claims}
    assert budgets["l2+l1-sp-against-l2"] == "search"
    assert budgets["plain+l1-sp-against-l2"] is None
    assert budgets["l2+l1-sp-against-plain"] is None


def test_a_part_without_a_search_has_what_is_set(tried, suite):
    plan = tried(suite(), settings={"weight": 0.5})
    uses = [u for p in plan.shown for u in p.cell.work.penalties if u.name == "l1-sp"]
    assert uses
    assert all(use.settings == {"weight": 0.5} for use in uses)
    assert "No setting of l1-sp is tuned" in plan.suite.notes[-1].text
    assert not any(isinstance(p.cell.work, Tuned) for p in plan.shown)


def test_what_cannot_be_tried_is_told(tmp_path: Path, suite, l1_sp: Path):
    part = part_to_try(l1_sp, "l1-sp")
    with pytest.raises(SpecError, match="has no part 'l1' to try"):
        part_to_try(l1_sp, "l1")
    with pytest.raises(SpecError, match="has no method 'l3'"):
        suite_beside(suite(), "offline", part, settings={}, onto=["l3"])
    with pytest.raises(SpecError, match="searches for no settings"):
        suite_beside(suite(), "offline", part, settings={}, space={"weight": [1.0]})
    l1_sp.write_text(L1_SP.replace('"l1-sp"', '"plain"'))
    with pytest.raises(SpecError, match="has a method 'plain'"):
        suite_beside(suite(), "offline", part_to_try(l1_sp, None), settings={})


WHENS = """
when:
  - {method: l2, recipe: {batch_size: 16}}
  - {method: [plain, l2], dataset: digits, task: {objective: mixup-classification}}
  - {sampling_rate: 0.3, methods: {l2: {penalties: {l2: {weight: 0.5}}}}}
  - {method: l2, dataset: digits, sampling_rate: 0.15, axes: {seed: 1}}
  - {method: l2, dataset: digits, sampling_rate: 0.3, exclude: true}
profiles:
"""


def differs_in_the_part_alone(plan, joined: dict[str, str], but: tuple[str, ...] = ()) -> bool:
    """Whether methods with a part have the cells of those without, but for the part.

    ``but`` are roles of parents that may be others.
    """

    def cells(method: str) -> dict:
        found = {}
        for planned in plan.shown:
            if planned.place["method"] == method:
                rest = tuple(v for axis, v in planned.place.items() if axis != "method")
                cell = planned.cell
                told = {**cell.settings}
                told["penalties"] = [u for u in told["penalties"] if "l1-sp" not in u]
                parents = {
                    role: p for role, p in cell.parents.items() if role not in (CHOICE, *but)
                }
                found[rest, planned.seed] = (told, parents)
        return found

    return all(cells(base) == cells(name) for base, name in joined.items())


def test_what_a_suite_says_of_a_method_it_says_of_the_method_with_the_part(tried, suite):
    text = SUITE.replace("profiles:", WHENS.lstrip())
    plan = tried(suite(text), onto=["l2"])
    assert differs_in_the_part_alone(plan, {"l2": "l2+l1-sp"})
    mine = [p for p in plan.shown if p.place["method"] == "l2+l1-sp"]
    # Two seeds of glyphs at two rates, one of digits at one of them.
    assert len(mine) == 5
    assert {p.cell.recipe.batch_size for p in mine} == {16}
    assert {p.cell.tasks[""].objective.name for p in mine} == {
        "classification",
        "mixup-classification",
    }
    weights = {u.settings["weight"] for p in mine for u in p.cell.work.penalties if u.name == "l2"}
    assert weights == {1e-3, 0.5}


def is_all_searched(suite: dict, method: str) -> bool:
    search = suite.get("search", {})
    own = {**search.get("methods", {}), **search.get("follows", {})}
    return method not in own and set(leaves(suite["methods"][method])) <= {*search.get("space", {})}


def leaves(said: object, path: str = ""):
    if not isinstance(said, dict):
        yield path
        return
    for key, value in said.items():
        yield from leaves(value, f"{path}.{key}" if path else key)


@pytest.mark.parametrize("name", SUITES)
def test_beside_any_suite_each_method_with_the_part_is_that_method(name, l1_sp):
    """And the suite's own cells are its own."""
    file, part = SUITES[name], part_to_try(l1_sp, None)
    before = load_plan(file, "smoke")
    if any("penalties" not in p.cell.settings for p in before.shown):
        pytest.skip("a table of measurements")
    methods = {str(planned.place["method"]) for planned in before.shown}
    defined = laid(file, "smoke")
    # A method of nothing with the part is the part, and so is one of which all is searched for.
    joined = {
        base: f"{base}+l1-sp"
        for base in sorted(methods)
        if defined["methods"][base] and not is_all_searched(defined, base)
    }
    # A stage that says no method is trained by that of the cell that starts from it.
    but = (START,) if any("method" not in s for s in defined.get("stages", {}).values()) else ()
    whole = suite_beside(file, "smoke", part, settings={}, onto=list(joined))
    whole.pop("profiles")
    plan = plan_of([parse_yaml(dump_yaml(whole), file)], Paper(id="try", title=""))
    own = [p.cell.id for p in plan.shown if p.place["method"] in methods]
    assert own == [p.cell.id for p in before.shown]
    assert differs_in_the_part_alone(plan, joined, but)
    assert paper_beside(file, "smoke", whole, part)["claims"]


def test_a_choice_that_all_methods_share_is_still_made_by_the_suites_own(tried, suite):
    file = suite(written(SEARCH + "  per: [sampling_rate]\n"))
    before, plan = load_plan(file), tried(file, onto=["l2"])
    own = {p.cell.id for p in plan.shown} & {p.cell.id for p in before.shown}
    assert len(own) == len(before.shown)


def test_a_claim_at_equal_tuning_is_of_trials_of_as_many_rows(tried, suite):
    text = written(SEARCH + "  per: [method]\n")
    text = text.replace("  l2: {", "  l2: {recipe: {batch_size: 16}, ")
    budgets = {claim.id: claim.budget for claim in tried(suite(text), onto=["l2"]).paper.claims}
    assert budgets["l1-sp-against-plain"] == budgets["l2+l1-sp-against-l2"] == "search"
    assert budgets["l1-sp-against-l2"] is budgets["l2+l1-sp-against-plain"] is None


def test_an_axis_of_which_a_profile_has_a_value_that_nothing_is_said_of_stays_one(tried, suite):
    text = SUITE.replace("  seed: 2", "  seed: 2\n  rate: [low, high]")
    text = text.replace("profiles:", "when:\n  - {rate: high, recipe: {steps: 20}}\nprofiles:")
    plan = tried(suite(text + "  smoke: {axes: {rate: low}}\n"), "smoke")
    assert {p.place["rate"] for p in plan.shown} == {"low"}


def test_what_does_not_load_beside_a_suite_is_told_of_the_part(suite, l1_sp):
    file, part = suite(), part_to_try(l1_sp, None)
    whole = suite_beside(file, "offline", part, settings={"wait": 1.0})
    why = r"^l1-sp cannot stand beside table under offline: .*wait: unknown key\n  .*'weight'"
    with pytest.raises(SpecError, match=why):
        paper_beside(file, "offline", whole, part)


def test_where_a_grid_has_more_candidates_it_is_told_how_many_values_yours_needs(suite, l1_sp):
    search = """
    search:
      space: {recipe.optimizer.sgd.lr: [0.01, 0.1]}
      methods: {l2: {penalties.l2.weight: [0.1, 0.2, 0.3]}}
      recipe: {validation: 0.25}
    """
    text = written(search, "method: [plain, l2, twice]", "method: [l2]")
    part = part_to_try(l1_sp, None)
    with pytest.raises(SpecError, match="l2 has 6 candidates and l1-sp 2") as raised:
        suite_beside(suite(text), "offline", part, settings={})
    assert "--search NAME=VALUES" in raised.value.remedy
    assert "make 6 combinations" in raised.value.remedy
    suite_beside(suite(text), "offline", part, settings={}, space={"weight": [1.0, 2.0, 3.0]})


PLAIN = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-(2**40), 2**40), st.text("abc 1.eE-+:#{}0yes", max_size=6),
        st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) < math.inf),
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("ab1.:", min_size=1, max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["axes", "recipe"]), PLAIN, min_size=1))
def test_what_is_written_is_read_as_it_was(data):
    assert parse_yaml(dump_yaml(data), Path("x.yaml")).data == data
