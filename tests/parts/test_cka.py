"""Similarity of features, against Gram matrices of all examples and in simulations."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.parts import cka as cka_of
from bench.parts.cka import linear_cka, u_centred
from bench.parts.feature_pairs import FeaturePairs
from bench.parts.kinds import Measured
from bench.parts.measurements.cka import CKA
from bench.parts.measurements.minibatch_cka import MinibatchCKA
from bench.report.figures.map_axes import names_of
from tests.parts.pairs import Backbone, Pair, network

NAMED = {"early": "first", "late": "last", "outputs": "head"}
ROOM = 2**30


def pair(rows: int = 60, width: int = 6, other: int = 9) -> Pair:
    return Pair(network(Backbone(0, width), seed=0), network(Backbone(1, other), seed=1), rows)


def measured(given: Pair, part: type[CKA] | type[MinibatchCKA] = CKA, **settings: Any) -> Measured:
    return part(**settings)(given)  # type: ignore[arg-type]


def pairs_of(given: Pair, modules: dict[str, str]) -> FeaturePairs:
    return FeaturePairs(given, modules, examples=1000, pooling="flatten", part="cka")  # type: ignore[arg-type]


def features(given: Pair, role: str, rows: Tensor) -> dict[str, Tensor]:
    """Return what named modules return, computed without hooks."""
    of = given.networks[role].requires_grad_(False)
    early = of.backbone.first(rows)  # type: ignore[operator]
    late = of.backbone.last(early.clamp(min=0))  # type: ignore[operator]
    outputs = of.heads[""](late.clamp(min=0))
    return {"first": early, "modules.late": late, "modules.outputs": outputs}


def direct(x: Tensor, y: Tensor) -> float:
    """Return CKA of Gram matrices (n, n) of all examples, centred by the matrix H."""
    n = len(x)
    h = torch.eye(n, dtype=torch.float64) - torch.full((n, n), 1 / n, dtype=torch.float64)
    k, l = h @ x @ x.T @ h, h @ y @ y.T @ h  # noqa: E741
    return float((k * l).sum() / ((k * k).sum().sqrt() * (l * l).sum().sqrt()))


# -- all examples --------------------------------------------------------------------------------


@pytest.mark.parametrize("road", ["by_features", "by_examples", "by_examples, little memory"])
def test_it_is_that_of_gram_matrices_of_all_examples(
    road: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Features are wider than 17 rows are many; a batch of 3 leaves an incomplete last one.
    given = pair(rows=60 if road == "by_features" else 17)
    went = []
    for name in ("by_features", "by_examples"):
        of = getattr(cka_of, name)
        monkeypatch.setattr(cka_of, name, lambda *a, n=name, f=of: went.append(n) or f(*a))
    found = pairs_of(given, NAMED)
    floats = sum(map(sum, found.widths))
    table = linear_cka(found, 4 * 8 * 3 * floats if "little" in road else ROOM)
    assert went == [road.partition(",")[0]]
    ours, theirs = (features(given, role, given.inputs) for role in given.roles)
    for name, x in ours.items():
        for other, y in theirs.items():
            cell = table[found.layers.index(name), found.layers.index(other)]
            assert float(cell) == pytest.approx(direct(x, y), abs=1e-10)


def test_a_large_offset_of_features_costs_no_digits() -> None:
    given = pair()
    expected = measured(given, modules=NAMED).metrics["cka/outputs"]
    with torch.no_grad():
        given.networks["first"].heads[""].bias += 1e4
    found = measured(given, modules=NAMED).metrics["cka/outputs"]
    assert found == pytest.approx(expected, abs=1e-10)


def test_a_module_is_like_itself_and_unlike_another() -> None:
    given = Pair(network(Backbone(0)), network(Backbone(0)))
    found = measured(given, modules=NAMED)
    assert [*found.metrics.values()] == pytest.approx([1] * 3, abs=1e-12)
    assert list(found.curves["cka/module"].value) == pytest.approx([1, 1], abs=1e-12)
    table = found.arrays["cka"]
    torch.testing.assert_close(table, table.T)
    assert 0 < table[0, 1] < 0.99


@pytest.mark.parametrize("rows", [60, 12], ids=["by features", "by examples"])
@pytest.mark.parametrize("part", [CKA, MinibatchCKA])
def test_an_orthogonal_map_and_a_scale_change_nothing(
    part: type[CKA] | type[MinibatchCKA], rows: int
) -> None:
    given = pair(rows, other=6)
    before = measured(given, part, modules=NAMED)
    name = f"{'cka' if part is CKA else 'minibatch-cka'}/early"
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    changed = copy.deepcopy(given)
    layer: Any = changed.networks["first"].backbone.first
    with torch.no_grad():
        layer.weight.copy_(-37 * turn @ layer.weight)
        layer.bias.copy_(torch.randn(6))
    after = measured(changed, part, modules=NAMED)
    assert after.metrics[name] == pytest.approx(before.metrics[name], abs=1e-10)
    # A map that is not orthogonal does change it: the test above could fail.
    with torch.no_grad():
        layer.weight[0] *= 10
    assert abs(measured(changed, part, modules=NAMED).metrics[name] - before.metrics[name]) > 1e-3


@pytest.mark.parametrize("width", [4, 120], ids=["by features", "by examples"])
def test_memory_does_not_grow_with_the_examples(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts the bytes of features that live at once, raw and centred."""
    alive: list[tuple[weakref.ref[Tensor], int]] = []
    peaks = [0]

    def counted(of: Callable[..., Iterator[Sequence[list[Tensor]]]]) -> Any:
        def each(*given: Any) -> Iterator[Sequence[list[Tensor]]]:
            for batch in of(*given):
                new = [x for features in batch for x in features]
                alive[:] = [known for known in alive if known[0]() is not None]
                alive.extend((weakref.ref(x), x.nbytes) for x in new)
                peaks[-1] = max(peaks[-1], sum(size for _, size in alive))
                del new
                yield batch

        return each

    monkeypatch.setattr(FeaturePairs, "features", counted(FeaturePairs.features))
    monkeypatch.setattr(cka_of.Centred, "batches", counted(cka_of.Centred.batches))
    monkeypatch.setattr(cka_of, "_BATCH", 5)
    for rows in (50, 100):
        pairs = pairs_of(pair(rows, width, width), {})
        linear_cka(pairs, 50_000)
        peaks.append(0)
    assert 0 < peaks[0] == peaks[1] < 100_000


def test_a_unit_that_does_not_run_is_left_out_with_its_number() -> None:
    class Idle(Backbone):
        def __init__(self, seed: int) -> None:
            super().__init__(seed)
            self.idle = nn.Linear(2, 2)
            self.last = self.__dict__["_modules"].pop("last")

    found = measured(Pair(network(Idle(0)), network(Idle(1))))
    assert list(found.curves["cka/module"].at) == [1, 3]
    assert found.arrays["cka"].shape == (2, 2)
    # What the heat map asks for: whose its rows and columns are.
    names = names_of({name: array.numpy() for name, array in found.arrays.items()}, "cka")
    assert names.rows == names.columns == ("first", "last.0")
    with pytest.raises(UserError, match=r"modules.mine: idle does not run, or"):
        measured(Pair(network(Idle(0)), network(Idle(1))), modules={"mine": "idle"})


def test_only_so_many_examples_are_looked_at_in_an_order_of_the_streams() -> None:
    given = pair(60)
    chosen = given.inputs[given.stream("examples").permutation(60)[:20]]
    ours, theirs = (features(given, role, chosen)["first"] for role in given.roles)
    found = measured(given, modules=NAMED, examples=20)
    assert found.metrics["cka/early"] == pytest.approx(direct(ours, theirs), abs=1e-10)


def test_networks_of_other_modules_are_refused() -> None:
    class Other(Backbone):
        def __init__(self) -> None:
            super().__init__(0)
            self.more = nn.Linear(3, 3)

    with pytest.raises(UserError, match="do not have the same modules: more differs"):
        measured(Pair(network(Backbone(0)), network(Other())))


@pytest.mark.parametrize("part", [CKA, MinibatchCKA])
def test_features_that_are_the_same_for_all_examples_are_refused(
    part: type[CKA] | type[MinibatchCKA],
) -> None:
    given = pair()
    given.networks["second"].replace_heads({"": 4})
    given.networks["second"].double()
    with pytest.raises(
        UserError, match=r"second: what modules.outputs of second returns is the same .*0/0"
    ):
        measured(given, part, modules=NAMED)
    assert measured(given, part).metrics == {}
    # Of rounding alone there is a quotient, of noise over noise.
    layer: Any = given.networks["first"].backbone.first
    with torch.no_grad():
        layer.weight *= 1e-9
        layer.bias += 1
    with pytest.raises(UserError, match=r"what first, last\.0"):
        measured(given, part)


# -- minibatches ---------------------------------------------------------------------------------


def hsic(k: Tensor, l: Tensor) -> float:  # noqa: E741
    """Return HSIC₁ as Song et al. 2012 write it, equation 5."""
    n = len(k)
    k, l = k - k.diag().diag(), l - l.diag().diag()  # noqa: E741
    one = torch.ones(n, dtype=k.dtype)
    inner = (k @ l).trace() + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return float((inner - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3)))


def test_u_centred_matrices_have_the_inner_product_of_the_unbiased_estimator() -> None:
    x, y = (torch.randn(7, p, dtype=torch.float64) for p in (3, 5))
    k, l = x @ x.T, y @ y.T  # noqa: E741
    found = float((u_centred(k) * u_centred(l)).sum() / (7 * 4))
    assert found == pytest.approx(hsic(k, l), rel=1e-10)
    assert u_centred(torch.stack([k, l]))[1].equal(u_centred(l))


def test_the_estimator_is_unbiased() -> None:
    """Of normal numbers, HSIC with linear kernels is the squared norm of their covariance."""
    n, trials = 6, 40_000
    draw = torch.Generator().manual_seed(0)
    common = torch.randn(trials, n, 3, generator=draw, dtype=torch.float64)
    noise = torch.randn(trials, n, 4, generator=draw, dtype=torch.float64)
    mix = torch.randn(3, 4, generator=draw, dtype=torch.float64)
    x, y = common, 0.5 * common @ mix + noise
    truth = float((0.5 * mix).square().sum())
    k, l = (z @ z.transpose(1, 2) for z in (x, y))  # noqa: E741
    found = (u_centred(k) * u_centred(l)).sum(dim=(1, 2)) / (n * (n - 3))
    error = float(found.std() / trials**0.5)
    assert error < 0.02 * truth
    assert abs(float(found.mean()) - truth) < 4 * error
    # The plain estimator is not.
    h = torch.eye(n, dtype=torch.float64) - 1 / n
    plain = (h @ k @ h * l).sum(dim=(1, 2)) / (n - 1) ** 2
    assert float(plain.mean()) - truth > 20 * error


def test_it_is_the_quotient_of_means_over_whole_batches() -> None:
    given = pair(50)
    order = given.stream("examples").permutation(50)
    ours, theirs = (features(given, role, given.inputs[order])["first"] for role in given.roles)
    sums = torch.zeros(3, dtype=torch.float64)
    # 50 rows are three batches of 15, and five rows that are left out.
    for x, y in zip(ours.split(15)[:3], theirs.split(15)[:3], strict=True):
        k, l = x @ x.T, y @ y.T  # noqa: E741
        sums += torch.tensor([hsic(k, l), hsic(k, k), hsic(l, l)], dtype=sums.dtype)
    found = measured(given, MinibatchCKA, modules=NAMED, batch_size=15)
    expected = float(sums[0] / (sums[1] * sums[2]).sqrt())
    assert found.metrics["minibatch-cka/early"] == pytest.approx(expected, abs=1e-10)


def test_features_with_nothing_in_common_are_near_0_where_the_plain_one_is_not() -> None:
    class Halves(nn.Module):
        """Sees one half of its inputs alone, by more features than there are examples."""

        num_features = 80

        def __init__(self, half: int) -> None:
            super().__init__()
            self.half = half
            self.map = nn.Linear(40, 80, bias=False)

        def forward(self, inputs: Tensor) -> Tensor:
            found: Tensor = self.map(inputs.chunk(2, dim=1)[self.half])
            return found

    torch.manual_seed(0)
    rows = torch.randn(60, 80, dtype=torch.float64)
    given = Pair(network(Halves(0)), network(Halves(1)), rows)
    modules = {"map": "map"}
    assert measured(given, modules=modules).metrics["cka/map"] > 0.3
    found = measured(given, MinibatchCKA, modules=modules, batch_size=20)
    assert abs(found.metrics["minibatch-cka/map"]) < 0.1


def test_too_small_a_batch_is_an_error() -> None:
    with pytest.raises(UserError, match="batches of 4 examples or more, and there are 3 in one"):
        measured(pair(), MinibatchCKA, batch_size=3)
    assert measured(pair(5), MinibatchCKA).curves
