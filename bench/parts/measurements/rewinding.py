"""What a network loses when one of its modules goes back to where its training began."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from bench.models.network import Network
from bench.parts import Line, Measured, Measurement, Measuring, measurement
from bench.parts.rewound import put, score_of, shared_sections, unchanged_after


@measurement("rewinding")
class Rewinding(Measurement):
    """Accuracy lost by re-initialising one module (Zhang, Bengio and Singer 2019).

    ``A(Θ^F) − A(θ_i^0, Θ_{−i}^F)``: module i has the parameters of the network ``initial``, all
    others stay those of ``final``; nothing is trained after that. Below zero it has gained. A is
    the objective's metric ``score``, a fraction whose high side is the better one.

    ``statistics`` says whether a module's running statistics go back with its parameters, or stay
    as they are in ``final``. Those of the modules behind it stay in either case.

    The curve is over all modules with parameters or statistics of their own, numbered from 1 in
    their order in the network, and the head, which comes last; the metric of that name is its
    mean. ``modules`` gives paths of further modules, such as whole stages, a metric each.
    """

    roles = ("initial", "final")
    metrics = {"rewinding/module": ("%", "lowest"), "rewinding/{modules}": ("%", "lowest")}
    curves = {"rewinding/module": "module"}
    modules: dict[str, str] = {}
    statistics: Literal["rewound", "kept"] = "rewound"
    score: str = "top1"
    split: Literal["test", "train"] = "test"

    def __call__(self, measuring: Measuring) -> Measured:
        """Return what is lost; UserError if the networks do not have one module's parameters."""
        networks = {role: measuring.network(role) for role in ("final", "initial")}
        whole = self._score(measuring, networks["final"])
        line = self._lost(measuring, networks, whole, {})
        named = self._lost(measuring, networks, whole, self.modules) if self.modules else {}
        values = list(line.values())
        return Measured(
            {
                "rewinding/module": math.fsum(values) / len(values),
                **{f"rewinding/{name}": value for name, value in named.items()},
            },
            {"rewinding/module": Line(range(1, len(values) + 1), values)},
        )

    def _lost(
        self,
        measuring: Measuring,
        networks: Mapping[str, Network],
        whole: float,
        modules: Mapping[str, str],
    ) -> dict[str, float]:
        """Return by name what the final network loses by each module; without names, all."""
        lost = {}
        for name, sections in shared_sections(networks, modules, part="rewinding").items():
            own, start = (
                sections[role].state(statistics=self.statistics == "rewound")
                for role in ("final", "initial")
            )
            with unchanged_after(own):
                put(own, start)
                lost[name] = whole - self._score(measuring, networks["final"])
        return lost

    def _score(self, measuring: Measuring, network: Network) -> float:
        return score_of(measuring.scores(network, self.split), self.score, part="rewinding")
