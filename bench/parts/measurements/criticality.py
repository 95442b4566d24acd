"""How far each module of a trained network can go back towards its start, and how noisy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bench.errors import UserError
from bench.parts import Line, Measured, Measurement, Measuring, measurement
from bench.parts.module_path import ModulePath, norm
from bench.parts.noisy_module import ROUNDING, Examples, NoisyModule, draw_noise
from bench.parts.rewound import Section, score_of, shared_sections, unchanged_after
from bench.parts.valleys import Floats, Least, bisected, least


@measurement("criticality")
class Criticality(Measurement):
    """Module and network criticality (Chatterji, Neyshabur and Sedghi 2020).

    ``μ_i(ε) = min_{α, σ} ‖θ_i^α − θ_i^0‖² / s²``, of those α and σ with
    ``E_{u ~ N(0, s² I)} L(θ_i^α + u, Θ_{−i}^F) ≤ ε``. On the direct path
    ``θ_i^α = (1 − α) θ_i^0 + α θ_i^F``, and the numerator is ``α² ‖θ_i^F − θ_i^0‖²``; L is what the
    objective's metric ``score`` lacks to 1: of ``top1`` the zero-one loss. The criticality of the
    network is the sum over its modules; if ε bounds the error too where all of them are moved at
    once, the error on new examples is, up to constants, at most ``ε + √((μ/4 + log(m/δ)) / m)``,
    m the number of ``examples``: ``criticality/bound``.

    For networks that are fine-tuned (Neyshabur, Sedghi and Zhang 2020) there are also

    - the path ``optimisation``: piecewise linear from ``initial`` through ``path1``, ``path2``, …
      to ``final``; α is the share of the module's way on it;
    - the state that is best on validation as ``final``;
    - ``noise: relative``, in proportion to the module's norm: its standard deviation is
      ``s = σ ‖θ_i^F‖ / √n_i``, n_i the number of parameters. With ``absolute`` it is ``s = σ``.

    Grids and draws are our choice: none is published. ``search: binary`` finds for each α the
    largest σ that passes, taking it that error rises with σ, and tries only what could lower the
    least value found before. ``grid`` tries all, and leaves the mean errors as the arrays
    ``valley/NAME``, ``(alphas, sigmas)``, of the modules named, with ``alphas`` and ``sigmas``
    beside them. A draw is one and the same noise for all α and σ, from the cell's own stream, and
    the examples are the same for all modules.

    ``statistics`` says whether running statistics go with the parameters along the path, or stay
    those of ``final``; there is no noise in them. ``modules`` gives paths; without any, all
    modules with parameters of their own count, and the head. The curves are over the modules in
    that order, numbered from 1: the criticality, α and σ where it is, and how many ``ties`` have
    that value; of several, the lowest α counts, and there the largest σ. Criticality is 0 where a
    module can be rewound and bear noise. ``criticality/error`` is the final network's on the whole
    split, ``criticality/evaluations`` how often the network ran on all of the examples.
    """

    roles = ("initial", "final", "path*")
    metrics = {
        "criticality": ("", "lowest"),
        "criticality/{modules}": ("", "lowest"),
        "criticality/bound": ("", "lowest"),
        "criticality/error": ("%", "lowest"),
        "criticality/evaluations": ("", "lowest"),
    }
    curves = {
        "criticality/module": "module",
        "criticality/alpha": "module",
        "criticality/sigma": "module",
        "criticality/ties": "module",
    }
    modules: dict[str, str] = {}
    path: Literal["direct", "optimisation"] = "direct"
    statistics: Literal["rewound", "kept"] = "rewound"
    noise: Literal["relative", "absolute"] = "relative"
    search: Literal["binary", "grid"] = "binary"
    epsilon: PositiveFloat = 0.1
    score: str = "top1"
    split: Literal["train", "test"] = "train"
    examples: PositiveInt = 1000
    draws: PositiveInt = 3
    alphas: tuple[NonNegativeFloat, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    sigmas: tuple[PositiveFloat, ...] = (
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
    )  # fmt: skip
    delta: PositiveFloat = 0.05

    def __call__(self, measuring: Measuring) -> Measured:
        """Return criticalities.

        Raises
        ------
        UserError
            If a setting cannot be, the networks do not fit each other, the error of ``final`` is
            above ``epsilon``, or no point of a module's grid passes.
        """
        self._check_grid()
        self._check_apart()
        networks = {role: measuring.network(role) for role in self._roles(measuring)}
        final = networks["final"]
        whole = self._score(measuring.scores(final, self.split))
        examples = Examples(measuring, final, self.split, self.examples, self._score)
        self._check_end(examples.error())
        found, valleys = {}, {}
        for name, sections in shared_sections(networks, self.modules, part="criticality").items():
            if not sections["final"].parameters:
                # Normalisations that only keep statistics: nothing is learnt in them.
                continue
            noisy = self._noisy(measuring, name, sections, examples)
            found[name], errors = self._least(noisy, name)
            if errors is not None and self.modules:
                valleys[f"valley/{name}"] = torch.from_numpy(errors).float()
        return self._measured(found, valleys, 1.0 - whole, examples)

    def _measured(
        self,
        found: Mapping[str, Least],
        valleys: Mapping[str, Tensor],
        error: float,
        examples: Examples,
    ) -> Measured:
        total = math.fsum(one.value for one in found.values())
        own = {f"criticality/{name}": found[name].value for name in self.modules}
        lines: dict[str, list[float]] = {
            "module": [one.value for one in found.values()],
            "alpha": [self.alphas[one.row] for one in found.values()],
            "sigma": [self.sigmas[one.column] for one in found.values()],
            "ties": [one.ties for one in found.values()],
        }
        at = range(1, len(found) + 1)
        return Measured(
            {
                "criticality": total,
                **own,
                "criticality/bound": bound(total, self.epsilon, examples.count, self.delta),
                "criticality/error": error,
                "criticality/evaluations": examples.evaluations,
            },
            {f"criticality/{name}": Line(at, values) for name, values in lines.items()},
            {**valleys, **(self._grid() if valleys else {})},
        )

    def _grid(self) -> dict[str, Tensor]:
        """Return where the errors of a valley are, as the figure of it asks for."""
        grids = {"alphas": self.alphas, "sigmas": self.sigmas}
        return {name: torch.tensor(values, dtype=torch.float64) for name, values in grids.items()}

    # -- one module

    def _noisy(
        self,
        measuring: Measuring,
        name: str,
        sections: Mapping[str, Section],
        examples: Examples,
    ) -> NoisyModule:
        """Return a module of the final network, with its path and its noise."""
        along = [sections[role].state(statistics=self.statistics == "rewound") for role in sections]
        own = along.pop()
        last = {name: value.clone() for name, value in own.items()}
        parameters = {name: last[name] for name in sections["final"].parameters}
        scale = 1.0
        if self.noise == "relative":
            scale = norm(parameters) / math.sqrt(sum(v.numel() for v in parameters.values()))
        if scale == 0:
            raise self._wrong(
                "noise",
                f"all parameters of the module {name} are zero: noise in proportion is none",
                "use absolute, or name modules without it",
            )
        path = self.modules.get(name, name)
        return NoisyModule(
            own,
            ModulePath([*along, last], list(parameters)),
            self.alphas,
            scale * np.array(self.sigmas),
            [draw_noise(measuring.stream("noise", path, i), parameters) for i in range(self.draws)],
            examples,
        )

    def _least(self, noisy: NoisyModule, name: str) -> tuple[Least, Floats | None]:
        """Return where a module's valley has its least ratio and, of a grid, its errors."""
        distances = np.array([noisy.path.distance(alpha) for alpha in self.alphas])
        errors = None
        with unchanged_after(noisy.own):
            if self.search == "grid":
                errors = noisy.errors()
                passing = errors <= self.epsilon + ROUNDING
            else:
                passing = bisected(
                    distances, noisy.deviations, lambda i, k: noisy.passes(i, k, self.epsilon)
                )
        found = least(distances, noisy.deviations, passing)
        if found is None:
            raise self._wrong(
                "sigmas",
                f"the criticality of the module {name} cannot be told: even noise of σ = "
                f"{self.sigmas[0]:g} lifts its error above ε = {self.epsilon:g} at every α",
                "add smaller ones",
            )
        return found, errors

    def _score(self, scores: Mapping[str, float]) -> float:
        return score_of(scores, self.score, part="criticality")

    # -- what is refused

    def _roles(self, measuring: Measuring) -> list[str]:
        """Return the roles looked at, from the start of the path to its end."""
        between = [role for role in measuring.roles if role not in ("initial", "final")]
        if self.path == "optimisation" and not between:
            raise self._wrong(
                "path",
                "the optimisation path goes through no checkpoint",
                "name some as the roles path1, path2, …, or use direct",
            )
        return ["initial", *(between if self.path == "optimisation" else ()), "final"]

    def _check_grid(self) -> None:
        grids: dict[str, Sequence[float]] = {"alphas": self.alphas, "sigmas": self.sigmas}
        for name, values in grids.items():
            if not values or list(values) != sorted(set(values)) or values[-1] > 1:
                raise self._wrong(
                    name,
                    f"{name} are {list(values)}",
                    "use rising numbers up to 1",
                )
        if self.delta >= 1:
            raise self._wrong("delta", f"delta is {self.delta:g}", "use a probability below 1")

    def _check_apart(self) -> None:
        """Refuse modules that have parameters in common: a sum would count these twice."""
        # Behind a path come those within it.
        for first, second in pairwise(sorted(f"{path}." for path in self.modules.values())):
            if second.startswith(first):
                raise self._wrong(
                    "modules",
                    f"the module {second[:-1]} is counted twice: beside it there is {first[:-1]}",
                    "name modules that have no parameters in common",
                )

    def _check_end(self, error: float) -> None:
        if error > self.epsilon + ROUNDING:
            raise self._wrong(
                "epsilon",
                f"the error of the final network itself is {error:.4g}, above ε = "
                f"{self.epsilon:g}: its criticality is not defined",
                "use a higher epsilon, or a network that was trained longer",
            )

    @staticmethod
    def _wrong(setting: str, problem: str, remedy: str) -> UserError:
        return UserError(problem, field=f"measure.part.criticality.{setting}", remedy=remedy)


def bound(criticality: float, epsilon: float, examples: int, delta: float) -> float:
    """Return ``ε + √((μ/4 + log(m/δ)) / m)``: an error rate, which is above 1 if it says nothing.

    The PAC-Bayes bound of Chatterji et al. 2020, to first order in each module's ``μ_i / k_i`` and
    without its constants.
    """
    return epsilon + math.sqrt((criticality / 4 + math.log(examples / delta)) / examples)
