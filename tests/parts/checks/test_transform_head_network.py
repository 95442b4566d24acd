"""The checks of transforms, heads and networks each fail for their own fault."""

from __future__ import annotations

import pytest

from bench.parts.checks import check_part


def transform(code: str, random: bool = False) -> str:
    return f"random = {random}\n\ndef __call__(self, inputs, stream):\n    {code}"


@pytest.mark.parametrize(
    ("code", "random"),
    [
        ("return inputs.flip(-1)", False),
        ("return inputs[:, torch.from_numpy(stream.permutation(inputs.shape[1]))]", False),
        ("return inputs + torch.tensor(stream.uniform(1)).to(inputs)", True),
        ("b, t = inputs.shape; return inputs.flip(1)", False),
    ],
    ids=["flip", "order of channels", "noise", "vectors"],
)
def test_a_transform_of_ones_own_passes(failures, code, random):
    assert failures("transform", transform(code, random)) == {}


def test_a_transform_that_says_that_it_draws_nothing_may_not_draw(failures):
    drawn = "return inputs[:, torch.from_numpy(stream.permutation(inputs.shape[1]))]"
    assert "stream" in failures("transform", "draws = False\n" + transform(drawn))


def test_a_transform_that_draws_nothing_gives_the_same_for_every_stream(failures):
    assert failures("transform", "draws = False\n" + transform("return inputs.flip(-1)")) == {}


def test_a_transform_of_tokens_is_checked_on_tokens(failures, tmp_path):
    code = "assert inputs.dtype == torch.int64; return (inputs + 1) % 10"
    assert failures("transform", transform(code)) == {}
    said = {c.name: c.detail for c in check_part("transform", "mine", [str(tmp_path / "mine.py")])}
    assert said["shape"] == "inputs (6, 16)"
    assert said["smoke run"] == "not run: no small network takes (16,)"


TRANSFORM = {
    "other shape": (("return inputs[..., 1:]",), {"shape"}),
    "other dtype": (("return inputs.double()",), {"shape"}),
    "not finite": (("return inputs / 0",), {"shape"}),
    "in place": (("return inputs.mul_(2)",), {"inputs"}),
    "looks at other rows": (("return inputs - inputs.mean(0)",), {"rows"}),
    "draws a row": (
        ("return inputs * torch.tensor(stream.uniform(len(inputs)))"
         ".float().view(-1, *[1] * (inputs.ndim - 1))",),
        set(),
    ),
    "rows in their order": (
        ("return inputs * torch.arange(1, len(inputs) + 1).view(-1, 1, 1, 1)",),
        {"rows"},
    ),
    "draws from torch": (("return inputs + torch.rand(())",), {"stream", "determinism", "pairing"}),
    "seeds NumPy": (("np.random.seed(0); return inputs",), {"pairing"}),
    "is not random": (("return inputs", True), {"stream"}),
    "remembers": (
        ("CALLS.append(1); return inputs + len(CALLS)",),
        {"stream", "determinism", "pairing"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", TRANSFORM)
def test_a_transforms_fault_is_found_by_the_check_for_it(failures, fault):
    given, expected = TRANSFORM[fault]
    assert expected <= set(failures("transform", transform(*given), before="CALLS = []\n"))


def head(code: str) -> str:
    return f"def weights(self, outputs, features, stream):\n    {code}"


def test_a_head_of_ones_own_passes(failures):
    code = "return stream.uniform(outputs * features, -0.1, 0.1).reshape(outputs, features)"
    assert failures("head", head(code)) == {}


HEAD = {
    "turned": ("return stream.normal(outputs * features).reshape(features, outputs)", {
        "shape", "smoke run",
    }),
    "float32": ("return np.zeros((outputs, features), dtype=np.float32)", {"shape"}),
    "a tensor": ("return torch.zeros(outputs, features, dtype=torch.float64)", {"shape"}),
    "not finite": ("return np.full((outputs, features), np.nan)", {"shape", "smoke run"}),
    "draws from NumPy": (
        "return np.random.standard_normal((outputs, features))",
        {"stream", "determinism", "pairing"},
    ),
    "draws from torch": (
        "return torch.randn(outputs, features).double().numpy()",
        {"stream", "determinism", "pairing"},
    ),
    "remembers": ("CALLS.append(1); return np.full((outputs, features), len(CALLS) / 9)", {
        "determinism", "pairing",
    }),
}  # fmt: skip


@pytest.mark.parametrize("fault", HEAD)
def test_a_heads_fault_is_found_by_the_check_for_it(failures, fault):
    code, expected = HEAD[fault]
    assert expected <= set(failures("head", head(code), before="CALLS = []\n"))


def network(make: str, forward: str = "return self.inner(x)", width: str = "5") -> str:
    return f"""
def build(self, input_shape):
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.num_features = {width}
            {make}

        def forward(self, x):
            {forward}

    return Module()
"""


PLAIN = "self.inner = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), 5))"


@pytest.mark.parametrize(
    ("make", "forward", "kind"),
    [
        (PLAIN, "return self.inner(x)", "(3, 64, 64) to 5, (3, 32, 32) to 5"),
        (
            "self.inner = nn.Conv2d(input_shape[0], 5, 3); input_shape[2]",
            "return self.inner(x).mean((2, 3))",
            "(3, 64, 64) to 5, (3, 32, 32) to 5",
        ),
        ("(n,) = input_shape; self.inner = nn.Linear(n, 5)", "return self.inner(x)", "(12,) to 5"),
        (
            "t, n = input_shape; self.inner = nn.Linear(n, 5)",
            "return self.inner(x).mean(1)",
            "(16, 6) to 5, (24, 4) to 5",
        ),
        (
            "(t,) = input_shape; self.inner = nn.Embedding(10, 5)",
            "assert x.dtype == torch.int64; return self.inner(x).mean(1)",
            "(16,) to 5, (24,) to 5",
        ),
    ],
    ids=["any", "images", "vectors", "trajectories", "tokens"],
)
def test_a_network_of_ones_own_passes_on_what_it_takes(failures, tmp_path, make, forward, kind):
    assert failures("network", network(make, forward)) == {}
    checks = check_part("network", "mine", [str(tmp_path / "mine.py")])
    assert next(c.detail for c in checks if c.name == "features").startswith(kind)


NETWORK = {
    "a wrong width": ({"width": "6"}, {"features", "smoke run"}),
    "no width": ({"width": "None"}, {"features", "smoke run"}),
    "features of another form": ({"forward": "return self.inner(x)[None]"}, {"features"}),
    "a parameter that nothing reaches": (
        {"make": PLAIN + "; self.idle = nn.Parameter(torch.ones(2))"},
        {"gradients"},
    ),
    "looks at other rows": ({"forward": "x = self.inner(x); return x - x.mean(0)"}, {"rows"}),
    "state outside its state_dict": (
        {
            "make": PLAIN + "; self.scale = torch.rand(())",
            "forward": "return self.inner(x) * self.scale",
        },
        {"state"},
    ),
    "draws from NumPy": (
        {
            "make": PLAIN + "; self.inner[1].bias.data.fill_(np.random.rand())",
        },
        {"determinism", "pairing"},
    ),
    "draws when it runs": (
        {"forward": "return self.inner(x) * torch.rand(())"},
        {"determinism", "pairing"},
    ),
    "seeds Python": ({"make": f"random.seed(0); {PLAIN}"}, {"pairing"}),
}


@pytest.mark.parametrize("fault", NETWORK)
def test_a_networks_fault_is_found_by_the_check_for_it(failures, fault):
    given, expected = NETWORK[fault]
    assert expected <= set(failures("network", network(**{"make": PLAIN, **given})))
