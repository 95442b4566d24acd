"""The checks of what trains, and of what is changed before, each fail for their own fault."""

from __future__ import annotations

import pytest

from bench.parts.checks import check_part

FREEZE = "network.body().requires_grad_(False).eval()"


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        FREEZE,
        "network.heads[''].requires_grad_(False) if '' in network.heads else None",
        "[m.requires_grad_(False) for m in network.modules() if isinstance(m, nn.Conv2d)]",
    ],
    ids=["all", "head", "backbone", "no convolution"],
)
def test_a_trainable_of_ones_own_passes(failures, code):
    assert failures("trainable", f"def __call__(self, network):\n    {code}") == {}


TRAINABLE = {
    "nothing trains": ("network.requires_grad_(False)", {"what trains", "tasks", "smoke run"}),
    "changes values": (
        "[p.data.mul_(2) for p in network.heads.values() for p in p.parameters()]",
        {"flags only"},
    ),
    "replaces a head": ("network.replace_heads(network.widths)", {"flags only"}),
    "hooks": (
        "network.backbone.register_forward_hook(lambda m, args, out: out * 1.0)",
        {"flags only"},
    ),
    "counts its calls": (
        "CALLS.append(1); network.body().requires_grad_(len(CALLS) % 2 == 0)",
        {"idempotence", "determinism"},
    ),
    "draws": (
        "network.backbone.requires_grad_(bool(torch.rand(()) < 2))",
        {"pairing"},
    ),
    "chooses by chance": (
        "[p.requires_grad_(random.random() < 0.5) for p in network.backbone.parameters()]",
        {"determinism", "pairing"},
    ),
    "knows one task": ("network.heads[''].requires_grad_(True)", {"tasks"}),
    "trains what is not reached": (
        "for p in network.parameters(): p.register_hook(torch.zeros_like)",
        {"smoke run"},
    ),
}


@pytest.mark.parametrize("fault", TRAINABLE)
def test_a_trainables_fault_is_found_by_the_check_for_it(failures, fault):
    code, expected = TRAINABLE[fault]
    found = failures(
        "trainable", f"def __call__(self, network):\n    {code}", before="CALLS = []\n"
    )
    assert expected <= set(found)


def test_parameters_may_be_frozen_and_statistics_go_on(failures):
    # Frozen, but its statistics go on: evaluation mode is what keeps them.
    half = f"{FREEZE}.train()"
    assert failures("trainable", f"def __call__(self, network):\n    {half}") == {}


def test_the_detail_says_what_trains(failures):
    details = {c.name: c.detail for c in check_part("trainable", "head")}
    assert details["what trains"].startswith("2 of 47 parameters of test_resnet, 291 of ")
    assert "the head trains" in details["what trains"]


ADAPTER = """
class Adapter(nn.Module):
    def __init__(self, inner, width, start=0.0):
        super().__init__()
        self.inner = inner
        self.scale = nn.Parameter(torch.full((width, 1, 1), float(start)))

    def forward(self, x):
        x = self.inner(x)
        return x + self.scale * x
"""


def wrap(made: str) -> str:
    return (
        "def __call__(self, network):\n"
        "    block = network.backbone.layer1[0]\n"
        "    block.conv2 = " + made
    )


@pytest.mark.parametrize(("start", "said"), [(0.0, "unchanged"), (0.5, "changed by up to")])
def test_a_patch_of_ones_own_passes_and_the_detail_says_what_it_changes(tmp_path, start, said):
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\nfrom torch import nn\nfrom bench.parts import Patch, patch\n"
        + ADAPTER
        + '\n@patch("mine")\nclass Mine(Patch):\n'
        + "".join(
            f"    {line}\n"
            for line in wrap(f"Adapter(block.conv2, block.conv2.out_channels, {start})").split("\n")
        )
    )
    checks = {check.name: check for check in check_part("patch", "mine", [str(path)])}
    assert [check for check in checks.values() if not check.passed] == []
    assert checks["function"].detail.startswith(said)
    assert "cannot start from its checkpoints" in checks["checkpoint"].detail


PATCH = {
    "draws": (
        wrap("Adapter(block.conv2, block.conv2.out_channels, torch.rand(()))"),
        {"determinism", "pairing"},
    ),
    "other width": (
        "def __call__(self, network):\n"
        "    for head in network.heads.values():\n"
        "        head.weight = nn.Parameter(head.weight.data[:2])\n"
        "        head.bias = nn.Parameter(head.bias.data[:2])",
        {"function"},
    ),
    "not finite": (
        "def __call__(self, network):\n"
        "    with torch.no_grad():\n        network.backbone.conv1[0].weight.fill_(float('nan'))",
        {"function", "smoke run"},
    ),
    "state outside the network": (
        "def __call__(self, network):\n"
        "    scale = network.backbone.conv1[0].weight.detach().mean()\n"
        "    network.backbone.register_forward_hook(lambda m, args, out: out * (1 + scale))",
        {"checkpoint"},
    ),
    "bound to the network that it was made for": (
        "def __call__(self, network):\n"
        "    (bias, *_) = [head.bias for head in network.heads.values()]\n"
        "    hook = lambda module, args, out: out * bias.sum().exp()\n"
        "    network.backbone.register_forward_hook(hook)",
        {"copies"},
    ),
    "knows one task": (
        "def __call__(self, network):\n    network.heads[''].bias.data.zero_()",
        {"function", "tasks"},
    ),
    "returns a network": ("def __call__(self, network):\n    return network", {"function"}),
}


@pytest.mark.parametrize("fault", PATCH)
def test_a_patchs_fault_is_found_by_the_check_for_it(failures, fault):
    body, expected = PATCH[fault]
    assert expected <= set(failures("patch", body, before=ADAPTER))


def test_a_patch_for_another_kind_of_network_is_checked_on_that(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        """
from bench.parts import Patch, patch

@patch("mine")
class Mine(Patch):
    def __call__(self, network):
        network.private(f"blocks.{i}.norm1" for i, _ in enumerate(network.backbone.blocks))
"""
    )
    checks = check_part("patch", "mine", [str(path)])
    assert [check for check in checks if not check.passed] == []
    said = next(check.detail for check in checks if check.name == "function")
    assert said == "unchanged before the first step of test_vit"
