"""A search's cells: trials of candidates, a choice for each method, and what trains by it."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import SpecError
from bench.spec.acting import Acting
from bench.spec.cell import CHOICE, SCORE
from bench.spec.drawing import FIRST_SEED
from bench.spec.plan import load_plan
from bench.spec.tuning import CHOSEN, Trial, Tuned
from bench.spec.work import Choose

SUITE = """
title: Tuned
axes:
  backbone: test_resnet
  weights: random
  dataset: glyphs
  sampling_rate: [0.5, 1.0]
  method: [plain, l2, twice]
  seed: 2
recipe: {steps: 10, optimizer: {sgd: {lr: 0.5, momentum: 0.9}}}
methods:
  plain: {}
  l2: {penalties: {l2: {weight: 1e-3}}}
  twice: {update: {profit: {}}}
SEARCH
profiles:
  offline: {}
"""
SEARCH = """
search:
  space: {recipe.optimizer.sgd.lr: [0.01, 0.1]}
  recipe: {validation: 0.25}
"""
ONE = """
title: As if by hand
axes:
  backbone: test_resnet
  weights: random
  dataset: glyphs
  sampling_rate: [0.5, 1.0]
  method: [plain, l2, twice]
  seed: 2
recipe: {steps: 10, optimizer: {sgd: {lr: LR, momentum: 0.9}}}
methods:
  plain: {}
  l2: {penalties: {l2: {weight: 1e-3}}}
  twice: {update: {profit: {}}}
profiles:
  offline: {}
"""


def written(search: str = SEARCH, old: str = "", new: str = "", text: str = SUITE) -> str:
    text = text.replace("SEARCH", textwrap.dedent(search).strip("\n"))
    assert old in text
    return text.replace(old, new)


@pytest.fixture
def load(suite):
    def load(search: str = SEARCH, old: str = "", new: str = "", seeds: int = 0):
        return load_plan(suite(written(search, old, new)), seeds=seeds)

    return load


def of_kind(plan, kind):
    return [p for p in plan.cells if isinstance(p.cell.work, kind)]


def choice_of(plan, planned):
    return plan.unique()[planned.cell.parents[CHOICE].id]


def trials_of(plan, choice):
    return [plan.unique()[parent.id] for parent in choice.parents.values()]


def test_each_candidate_has_a_trial_at_each_place_and_seed_of_its_choice(load):
    plan = load(SEARCH + "  per: [method]\n  seeds: 4\n")
    assert len({choice_of(plan, p).id for p in plan.shown}) == 3
    for planned in plan.shown:
        choice = choice_of(plan, planned)
        trials = trials_of(plan, choice)
        # 2 candidates, 2 sampling rates, 4 seeds.
        assert len({t.id for t in trials}) == len(trials) == 16
        assert {parent.artifact for parent in choice.parents.values()} == {SCORE}
        assert {t.seed for t in trials} == set(range(FIRST_SEED, FIRST_SEED + 4))
        assert {t.tasks[""].sampling_rate for t in trials} == {0.5, 1.0}
        assert [dict(p) for p in choice.work.places] == [
            {"sampling_rate": 0.5}, {"sampling_rate": 1.0},
        ]  # fmt: skip


def test_a_trials_role_says_what_it_tries(load):
    plan = load(SEARCH + "  per: [method]\n  seeds: [1007000, 1009000]\n")
    cells = plan.unique()
    for choice in (p.cell for p in of_kind(plan, Choose)):
        for number, values in enumerate(choice.work.candidates):
            trials = [cells[choice.parents[role].id] for role in choice.work.roles(number)]
            rates = {t.recipe.optimizer.sgd.lr for t in trials}
            assert rates == {values["recipe.optimizer.sgd.lr"]}
            where = [(t.tasks[""].sampling_rate, t.seed) for t in trials]
            assert where == [(0.5, 1007000), (0.5, 1009000), (1.0, 1007000), (1.0, 1009000)]


def test_no_trial_looks_at_the_test_split_and_each_holds_rows_out(load):
    plan = load(SEARCH.replace("validation: 0.25", "validation: 0.25, validate_every: 5"),
                "recipe: {steps: 10,",
                "recipe: {steps: 10, validation: 0.1, validate_every: 2, "
                "test_curves: true,")  # fmt: skip
    for planned in of_kind(plan, Trial):
        recipe = planned.cell.recipe
        assert not recipe.evaluation.test
        assert not recipe.test_curves
        assert recipe.validation == 0.25
        assert recipe.validate_every == 5
    for planned in plan.shown:
        assert planned.cell.recipe.evaluation.test
        assert planned.cell.recipe.validation == 0.1


def test_a_final_cells_candidates_are_the_trainings_of_suites_with_their_settings(load, suite):
    plan = load()
    for number, rate in enumerate((0.01, 0.1)):
        by_hand = load_plan(suite(ONE.replace("LR", str(rate)), "by-hand"))
        theirs = [p.cell.work.canonical for p in by_hand.shown]
        ours = [p.cell.work.candidates[number].work.canonical for p in plan.shown]
        assert ours == theirs
        assert [p.cell.settings_by(number) for p in plan.shown] == [
            p.cell.settings for p in by_hand.shown
        ]


def test_before_the_choice_a_searched_setting_says_that_it_is_chosen(load):
    plan = load(SEARCH + "  methods: {l2: {penalties.l2.weight: [1e-3, 1e-2], "
                "recipe.optimizer.sgd.lr: null}}\n")  # fmt: skip
    for planned in plan.shown:
        settings = planned.cell.settings
        lr = settings["recipe"]["optimizer"]["sgd"]["lr"]
        if planned.place["method"] == "l2":
            assert settings["penalties"] == [{"l2": {"weight": CHOSEN, "scope": "all"}}]
            assert lr == 0.5
        else:
            assert lr == CHOSEN


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rates=st.lists(st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.2]), min_size=1, max_size=3,
                   unique=True),
    trials=st.integers(1, 2),
    per=st.sampled_from(["[method]", "[method, sampling_rate]", "[sampling_rate]", None]),
)  # fmt: skip
def test_every_final_cell_is_tuned_by_trials_of_its_own_place_and_of_no_seed_of_the_table(
    suite, rates, trials, per
):
    search = f"search:\n  space: {{recipe.optimizer.sgd.lr: {rates}}}\n  seeds: {trials}\n"
    search += "  recipe: {validation: 0.25}\n" + (f"  per: {per}\n" if per else "")
    plan = load_plan(suite(written(search)))
    cells, tables = plan.unique(), {p.cell.seed for p in plan.shown}
    for planned in plan.shown:
        assert isinstance(planned.cell.work, Tuned)
        choice = choice_of(plan, planned)
        found = trials_of(plan, choice)
        places = 2 if per in ("[method]",) else 3 if per == "[sampling_rate]" else 1
        assert len(found) == len(rates) * trials * places
        assert not {t.seed for t in found} & tables
        for trial in found:
            if per != "[sampling_rate]":
                assert trial.work.penalties == planned.cell.work.penalties
                assert trial.work.update == planned.cell.work.update
            if per != "[method]":
                assert trial.tasks == planned.cell.tasks
    # Parents come first, and every cell's level is above theirs.
    seen: set[str] = set()
    for planned in plan.cells:
        assert {parent.id for parent in planned.cell.parents.values()} <= seen
        assert all(
            planned.level > next(p.level for p in plan.cells if p.cell.id == parent.id)
            for parent in planned.cell.parents.values()
        )
        seen.add(planned.cell.id)
    assert len(cells) == len(seen)


def test_ids_follow_from_the_candidates_and_not_from_where_they_are_written(load):
    first = load()
    again = load(SEARCH.replace("[0.01, 0.1]", "[0.01, 0.10]"))
    assert list(first.unique()) == list(again.unique())
    other = load(SEARCH.replace("[0.01, 0.1]", "[0.01, 0.2]"))
    assert not {p.cell.id for p in first.shown} & {p.cell.id for p in other.shown}
    # Trials of the rate that both have are the same cells.
    shared = {p.cell.id for p in of_kind(first, Trial)} & {p.cell.id for p in of_kind(other, Trial)}
    assert len(shared) == len(of_kind(first, Trial)) / 2


def test_a_suite_without_a_search_has_the_cells_it_had(suite):
    plan = load_plan(suite(written("")))
    assert not of_kind(plan, (Trial, Choose, Tuned))


def test_an_axis_of_whens_sets_several_settings_at_once(load):
    search = """
    search:
      space: {rate: [low, high]}
      recipe: {validation: 0.25}
    when:
      - {rate: low, recipe: {optimizer: {sgd: {lr: 0.01, backbone_lr: 0.001}}}}
      - {rate: high, recipe: {optimizer: {sgd: {lr: 0.1, backbone_lr: 0.02}}}}
    """
    plan = load(search)
    found = {
        tuple(c.values.values()): (c.work.recipe.optimizer.sgd.lr,
                                   c.work.recipe.optimizer.sgd.backbone_lr)
        for p in plan.shown for c in p.cell.work.candidates
    }  # fmt: skip
    assert found == {("low",): (0.01, 0.001), ("high",): (0.1, 0.02)}


def test_random_candidates_of_methods_share_the_axes_that_they_share(load):
    search = """
    search:
      draw: {random: {trials: 5, seed: 3}}
      space:
        recipe.optimizer.sgd.lr: {log-uniform: [0.001, 1.0]}
        recipe.optimizer.sgd.backbone_lr: {of: recipe.optimizer.sgd.lr, times: 0.1}
      methods: {l2: {penalties.l2.weight: {log-uniform: [1e-5, 1e-2]}}}
      recipe: {validation: 0.25}
    """
    plan = load(search)
    rates = {}
    for planned in plan.shown:
        values = [c.values for c in planned.cell.work.candidates]
        rates[planned.place["method"]] = [v["recipe.optimizer.sgd.lr"] for v in values]
        assert len(values) == 5
        assert all(
            c.work.recipe.optimizer.sgd.backbone_lr == pytest.approx(
                c.work.recipe.optimizer.sgd.lr / 10, rel=1e-8)
            for c in planned.cell.work.candidates
        )  # fmt: skip
    assert rates["l2"] == rates["plain"] == rates["twice"]


def test_cells_that_are_tuned_among_other_candidates_do_other_work(load):
    one, other = load(), load(SEARCH.replace("0.1]", "0.2]"))
    ours = {Acting(one.cells).of(p.cell) for p in one.shown}
    theirs = {Acting(other.cells).of(p.cell) for p in other.shown}
    assert not ours & theirs


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("  recipe: {validation: 0.25}\n", "", "nothing is held out"),
        ("validation: 0.25", "validation: 0.25, evaluation: {test: true}", "never on the test"),
        ("  recipe:", "  metric: test/top1\n  recipe:", "no metric of held-out rows"),
        ("  recipe:", "  metric: train/top1\n  recipe:", "no metric of held-out rows"),
        ("  recipe:", "  seeds: [1000005, 1]\n  recipe:", "1 is one that a table may have"),
        ("  recipe:", "  seeds: [1000005, 1000005]\n  recipe:", "a list of different ones"),
        ("[0.01, 0.1]}", "[0.01]}\n  methods: {l2: {penalties.l2.weight: [1e-3, 1e-2]}}",
         "plain has 1 candidates and l2 2: every method is tuned by as many"),
        ("{recipe.optimizer.sgd.lr: [0.01, 0.1]}", "{penalties.l2.weight: [1e-3, 1e-2]}",
         "tried for plain, and no penalty l2 is there"),
        ("{recipe.optimizer.sgd.lr: [0.01, 0.1]}\n  recipe: {validation: 0.25}\n",
         "{rate: [a, b]}\n  recipe: {validation: 0.25}\nwhen: "
         "[{method: l2, rate: a, recipe: {batch_size: 8}}]\n",
         "candidates of plain train the same, rate a and b"),
        ("recipe.optimizer.sgd.lr: [0.01, 0.1]", "recipe.steps: [5, 6]",
         "differ in recipe.steps: then they are not"),
        ("recipe.optimizer.sgd.lr: [0.01, 0.1]", "sampling_rate: [0.5, 1.0]", "axis of the table"),
        ("recipe.optimizer.sgd.lr: [0.01, 0.1]", "rate: [0.5, 1.0]", "changes no setting"),
        ("recipe.optimizer.sgd.lr: [0.01, 0.1]", "recipe.optimiser.sgd.lr: [1.0, 2.0]", "unknown"),
        ("[0.01, 0.1]", "{uniform: [0, 1]}", "a grid has values"),
        ("[0.01, 0.1]", "{uniform: [1, 0]}", "no range"),
        ("[0.01, 0.1]", "[-1.0, 0.1]", "greater than or equal to 0"),
        ("  recipe:", "  per: [methods]\n  recipe:", "'methods' is not an axis"),
        ("  recipe:", "  at: {sampling_rate: 0.5}\n  recipe:", "say which axes have one"),
        ("profiles:\n", "  per: [method]\n  at: {sampling_rate: 0.3}\n"
         "profiles:\n  paper: {axes: {sampling_rate: 0.3}}\n", "no cell of the"),
        ("  recipe:", "  per: [method]\n  at: {method: l2}\n  recipe:", "a choice for each value"),
        ("  recipe:", "  methods: {l3: {}}\n  recipe:", "'l3' is not defined"),
        ("  recipe:", "  per: [sampling_rate]\n  methods: {l2: {penalties.l2.weight: [1, 2]}}\n"
         "  recipe:", "all methods share one choice"),
        ("  space:", "  draw: {random: {trials: 9}}\n  space:", "9 different candidates"),
        ("  space:", "  draw: random\n  space:", r"write \{random: \{trials: 12\}\}"),
        ("  space:", "  draw: {random: {trials: 2}}\n  methods: {l2: {penalties.l2-sp.shared: "
         "{uniform: [0, 1]}}}\n  space:", "tried for l2, and no penalty l2-sp is there"),
        ("  recipe:", "  per: [method]\n  at: {sampling_rate: [0.5, 0.51]}\n  recipe:",
         "0.51 is not a value of this axis in any profile"),
        ("validation: 0.25", "validation: 0.25, validate_every: 5, selection: best-on-validation",
         "in the state best-on-validation, and the table reports that of last"),
        ("  recipe:", "  methods: {l2: {recipe.optimizer.sgd.lr: {of: rate, times: 2}}}\n  recipe:",
         "l2: recipe.optimizer.sgd.lr is a multiple of rate"),
    ],
)  # fmt: skip
def test_what_is_no_search_is_told_before_anything_runs(load, old, new, why):
    with pytest.raises(SpecError, match=why) as raised:
        load(old=old, new=new)
    assert raised.value.file is not None
    assert raised.value.field.startswith(("search", "methods.l2"))


def test_a_tables_seed_is_none_of_the_search(load):
    with pytest.raises(SpecError, match="the seed 1000001 is one of the table's"):
        load(old="seed: 2", new="seed: [7, 1000001]")


@pytest.mark.parametrize(
    ("old", "new", "field", "why"),
    [
        ("l2: {", "l2: {recipe: {validation: 0.5}, ", "search.recipe",
         "plain has validation 0.25 and l2 0.5"),
        ("l2: {", "l2: {recipe: {validation_seed: 4}, ", "search.recipe",
         "plain has validation_seed None and l2 4"),
        ("profiles:", "when: [{method: l2, task: {sampling_rate: 0.7}}]\nprofiles:",
         "search.recipe", "plain has sampling_rate 0.5 and l2 0.7"),
        ("profiles:", "when: [{method: l2, task: {objective: regression}}]\nprofiles:",
         "search", "plain has metric validation/top1 and l2 validation/"),
        ("profiles:", "when: [{method: l2, sampling_rate: 0.5, exclude: true}, "
         "{method: [plain, twice], sampling_rate: 1.0, exclude: true}]\nprofiles:",
         "search", "plain has trials and l2 none at .*sampling_rate 0.5|"
         "plain has no trial and l2 some at .*sampling_rate 1.0"),
    ],
)  # fmt: skip
def test_methods_are_tuned_by_the_same_rows_at_the_same_places(suite, old, new, field, why):
    search = "search: {space: {recipe.optimizer.sgd.lr: [0.01, 0.1]}, per: [method]}\n"
    text = written(search, "steps: 10,", "steps: 10, validation: 0.25,")
    with pytest.raises(SpecError, match=why) as raised:
        load_plan(suite(text.replace(old, new, 1)))
    assert raised.value.field.startswith(field)


def test_a_table_by_the_best_state_on_test_has_trials_of_another(load):
    old, new = "steps: 10,", "steps: 10, validate_every: 5, selection: best-on-test,"
    with pytest.raises(SpecError, match="a trial scores no test split") as raised:
        load(SEARCH, old, new)
    assert raised.value.remedy == "say search: {recipe: {selection: last}}"
    plan = load(SEARCH.replace("0.25}", "0.25, selection: last}"), old, new)
    assert {p.cell.recipe.selection for p in of_kind(plan, Trial)} == {"last"}


def test_a_methods_own_range_is_in_the_place_of_the_shared_one(load):
    search = """
    search:
      draw: {random: {trials: 2}}
      space: {recipe.optimizer.sgd.lr: {log-uniform: [0.001, 0.01]}}
      methods: {l2: {recipe.optimizer.sgd.lr: {uniform: [0.1, 0.2]}}}
      recipe: {validation: 0.25}
    """
    for planned in load(search).shown:
        rates = [c.work.recipe.optimizer.sgd.lr for c in planned.cell.work.candidates]
        low, high = (0.1, 0.2) if planned.place["method"] == "l2" else (0.001, 0.01)
        assert all(low <= rate <= high for rate in rates)


CLAIM = """
id: test
title: A test
claims:
  - id: l2-is-best
    text: L2 is better.
    source: Table 1
    suite: table
    compare: [{axis: method, pairs: [[l2, OTHER]]}]
    expect: greater
    budget: search
    refuted_by: It is not.
"""


def claimed(suite, search: str, other: str = "plain"):
    file = suite(written(search))
    (file.parent / "paper.yaml").write_text(CLAIM.replace("OTHER", other))
    return load_plan(file)


def test_methods_that_were_tuned_alike_may_be_compared(suite):
    plan = claimed(suite, SEARCH + "  per: [method]\n")
    for planned in plan.shown:
        tuning = plan.tunings[planned.cell.id]
        # 2 candidates, 2 sampling rates, 3 seeds; of 10 steps, which take two gradients each in
        # `twice`.
        assert tuning.trials == 12
        assert tuning.gradients == 120 * (2 if planned.place["method"] == "twice" else 1)


def test_what_a_search_costs_is_counted_in_rows_too(suite):
    plan = claimed(suite, SEARCH.replace("sgd.lr: [0.01, 0.1]", "sgd.lr: [0.01, 0.1], "
                                         "recipe.batch_size: [8, 24]"))  # fmt: skip
    for planned in plan.shown:
        tuning, each = plan.tunings[planned.cell.id], 2 if planned.place["method"] == "twice" else 1
        # 2 × 2 candidates at one place, 3 seeds, 10 steps.
        assert (tuning.trials, tuning.gradients) == (12, 120 * each)
        assert tuning.rows == each * 10 * 3 * 2 * (8 + 24)


@pytest.mark.parametrize(
    ("trials", "why"),
    [
        ("validation: 0.25", "is planned with 1,440, .* with 2,880 rows of trials"),
        ("validation: 0.25, batch_size: 16", "is trained by batches of 24, .* of 48"),
    ],
)
def test_methods_by_other_batches_are_no_claim_by_search(suite, trials, why):
    text = written(SEARCH.replace("validation: 0.25", trials))
    file = suite(text.replace("  l2: {", "  l2: {recipe: {batch_size: 24}, "))
    (file.parent / "paper.yaml").write_text(CLAIM.replace("OTHER", "plain"))
    with pytest.raises(SpecError, match=why):
        load_plan(file)


@pytest.mark.parametrize(
    ("search", "other", "why"),
    [
        ("", "plain", "method l2 are not chosen by one"),
        (SEARCH, "twice", "is planned with 60, .* with 120 gradients of trials"),
        (SEARCH + "  per: [sampling_rate]\n", "plain", "share one choice"),
        (SEARCH + "  per: [sampling_rate]\n  at: {method: plain}\n", "plain", "share one choice"),
    ],
)
def test_methods_that_were_not_are_no_claim_by_search(suite, search, other, why):
    with pytest.raises(SpecError, match=why):
        claimed(suite, search, other)
