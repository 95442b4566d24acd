from __future__ import annotations

from bench.spec.recipe import Anytime, Recipe
from bench.training.deployment import ValidationSteps, pseudo_fibonacci

ANYTIME = {"validation": 0.05, "anytime": Anytime()}


def test_checkpoints_are_fibonaccis_numbers_each_once() -> None:
    # The sequence 0, 1, 1, 2, 3, 5, … without the entry that is there twice.
    expected = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
    assert pseudo_fibonacci(144) == pseudo_fibonacci(232) == expected
    assert pseudo_fibonacci(143) == expected[:-1]
    assert pseudo_fibonacci(0) == (0,)


def _due(recipe: Recipe) -> list[int]:
    steps = ValidationSteps(recipe)
    return [step for step in range(recipe.steps + 1) if steps.due(step)]


def test_gaps_between_validations_grow_from_one_to_ten() -> None:
    recipe = Recipe(steps=90, **ANYTIME)
    gaps = [b - a for a, b in zip(_due(recipe), _due(recipe)[1:], strict=False)]
    assert _due(recipe)[0] == 0
    assert gaps == [*range(1, 10), 10, 10, 10, 10, 5]  # the last step counts too


def test_gaps_grow_anew_after_a_restart() -> None:
    steps = ValidationSteps(Recipe(steps=100, **ANYTIME))
    assert [s for s in range(30) if steps.due(s)] == [0, 1, 3, 6, 10, 15, 21, 28]
    steps.restart(30)
    assert [s for s in range(31, 46) if steps.due(s)] == [31, 33, 36, 40, 45]


def test_validate_every_begins_after_the_first_steps_and_ends_with_the_last() -> None:
    assert _due(Recipe(steps=7, validate_every=3)) == [3, 6, 7]
    assert _due(Recipe(steps=7)) == []
