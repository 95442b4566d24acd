"""Counts of trained parameters on timm's real networks; the documentation has no other numbers.

Networks are built without weights, on torch's meta device: there is nothing to download or draw.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from bench.models.architecture import create_backbone
from bench.models.network import Network
from bench.parts.kinds import Trainable
from bench.parts.trainables.all import All
from bench.parts.trainables.depthwise import Depthwise
from bench.parts.trainables.head import Head
from bench.parts.trainables.scale_and_bias import ScaleAndBias
from bench.training.norms import counts

PAGE = Path(__file__).parents[2] / "docs" / "modelpatch-parameters.md"
MOBILENET, INCEPTION = "mobilenetv2_100", "inception_v3"
FLOWERS, CARS, AIRCRAFT, IMAGENET = 102, 196, 100, 1000
SB = ScaleAndBias(last_layer=False)


@cache
def backbone(name: str) -> nn.Module:
    """A backbone as cells have it."""
    with torch.device("meta"):
        return create_backbone(name)


@cache
def with_auxiliary(classes: int) -> nn.Module:
    """timm's InceptionV3 with the auxiliary head and without the last layer."""
    with torch.device("meta"):
        module = timm.create_model(
            INCEPTION, pretrained=False, aux_logits=True, num_classes=classes
        )
    module.fc = nn.Identity()
    return module


def trained(module: nn.Module, classes: int, part: Trainable) -> int:
    """Return ``parameters/trained`` of a set on a backbone with a head of so many classes."""
    network = Network(module, {"": classes}, name="counted").requires_grad_(True).train()
    part(network)
    return int(counts(network)["parameters/trained"])


def statistics(module: nn.Module) -> int:
    """Return how many running means and variances there are."""
    ends = ("running_mean", "running_var")
    return sum(b.numel() for name, b in module.named_buffers() if name.endswith(ends))


def test_scale_and_bias_is_below_40k_without_the_statistics():
    mobilenet, inception = backbone(MOBILENET), backbone(INCEPTION)
    assert trained(mobilenet, IMAGENET, SB) == 34_112
    assert trained(inception, IMAGENET, SB) == 34_432
    assert trained(with_auxiliary(IMAGENET), IMAGENET, SB) == 34_432 + 1_792
    assert (statistics(mobilenet), statistics(inception)) == (34_112, 34_432)


def test_depthwise_filters_are_less_than_3_percent_of_mobilenet():
    filters = trained(backbone(MOBILENET), IMAGENET, Depthwise(last_layer=False))
    share = filters / trained(backbone(MOBILENET), IMAGENET, All())
    assert filters == 64_224
    assert share == pytest.approx(0.0183, abs=5e-5)
    assert share < 0.03


def table_1() -> dict[tuple[str, str], int]:
    """Return Table 1's numbers by row and dataset."""
    found = {}
    for dataset, classes in {"Flowers": FLOWERS, "Cars": CARS, "Aircraft": AIRCRAFT}.items():
        module = with_auxiliary(classes)
        found["Last layer", dataset] = trained(module, classes, Head())
        found["S/B + last layer", dataset] = trained(module, classes, ScaleAndBias())
        found["S/B only", dataset] = trained(module, classes, SB)
        found["All", dataset] = trained(module, classes, All())
    return found


def table_2() -> dict[str, int]:
    """Return Table 2's numbers by row."""
    parts = {"Last layer": Head(), "S/B + last layer": ScaleAndBias(), "S/B only": SB, "All": All()}
    return {row: trained(backbone(MOBILENET), IMAGENET, part) for row, part in parts.items()}


def fits(number: int, printed: str) -> bool:
    """Whether a print such as 208K or 1.31M is the number, rounded or cut off."""
    unit = {"K": 1e3, "M": 1e6}[printed[-1]]
    last_digit = unit / 10 ** len(printed[:-1].partition(".")[2])
    below = number - float(printed[:-1]) * unit
    return -last_digit / 2 <= below < last_digit


PRINTED_1 = {
    ("Last layer", "Flowers"): "208K", ("Last layer", "Cars"): "402K",
    ("Last layer", "Aircraft"): "205K", ("S/B + last layer", "Flowers"): "244K",
    ("S/B + last layer", "Cars"): "437K", ("S/B + last layer", "Aircraft"): "241K",
    ("S/B only", "Flowers"): "36K", ("S/B only", "Cars"): "36K", ("S/B only", "Aircraft"): "36K",
    ("All", "Flowers"): "25M", ("All", "Cars"): "25M", ("All", "Aircraft"): "25M",
}  # fmt: skip
PRINTED_2 = {"Last layer": "1.31M", "S/B + last layer": "1.35M", "S/B only": "34K", "All": "3.5M"}


def test_table_1_is_as_printed_but_for_a_sum_of_rounded_numbers():
    found = table_1()
    assert [found["Last layer", d] for d in ("Flowers", "Cars", "Aircraft")] == [
        208_998, 401_604, 204_900,
    ]  # fmt: skip
    odd = {key for key, number in found.items() if not fits(number, PRINTED_1[key])}
    assert odd == {("S/B + last layer", "Flowers")}
    # Without the auxiliary head neither S/B nor all parameters are as printed.
    assert not fits(trained(backbone(INCEPTION), FLOWERS, SB), "36K")
    assert not fits(trained(backbone(INCEPTION), CARS, All()), "25M")


def test_table_2_is_as_printed_where_the_last_layer_is_not_counted_alone_or_with_the_patch():
    found = table_2()
    assert found["Last layer"] == 1_281_000
    odd = {row for row, number in found.items() if not fits(number, PRINTED_2[row])}
    assert odd == {"Last layer", "S/B + last layer"}
    # What the page says of them: one S/B more in each is what is printed.
    assert all(fits(found[row] + 34_112, PRINTED_2[row]) for row in odd)


def test_table_4_is_as_printed_with_the_first_resolutions_statistics():
    module = backbone(MOBILENET)
    one = trained(module, IMAGENET, All()) + statistics(module)
    scales = trained(module, IMAGENET, SB)
    assert (one, one + 4 * scales, 5 * one) == (3_538_984, 3_675_432, 17_694_920)
    printed = {"3.5M": one, "3.7M": one + 4 * scales, "17.7M": 5 * one}
    assert all(fits(number, text) for text, number in printed.items())
    assert not fits(one + 8 * scales, "3.7M")
    assert not fits(5 * trained(module, IMAGENET, All()), "17.7M")


def table_of(title: str) -> list[list[str]]:
    """Return the cells of the page's table below a title."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {title}")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def number(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def test_the_documentation_has_the_networks_numbers():
    sets = {row[0]: row[1:] for row in table_of("Sets")}
    rows = {
        "`mobilenetv2_100`": backbone(MOBILENET),
        "`inception_v3`": backbone(INCEPTION),
        "`inception_v3` with its auxiliary head": with_auxiliary(IMAGENET),
    }
    assert set(sets) == set(rows)
    for row, module in rows.items():
        scales, whole, filters, everything = sets[row]
        assert number(scales) == trained(module, IMAGENET, SB)
        assert number(whole) == number(scales) + statistics(module)
        assert number(everything) == trained(module, IMAGENET, All())
        assert filters == ("none" if "inception" in row else "64,224")
    first, second = table_1(), table_2()
    for row, dataset, _, count, printed, verdict in table_of("Table 1: InceptionV3"):
        key = (row, "Flowers" if dataset == "all three" else dataset)
        assert (number(count), printed) == (first[key], PRINTED_1[key])
        assert (verdict == "within") == fits(number(count), printed)
    for row, _, count, printed, verdict in table_of("Table 2: MobileNetV2, ImageNet"):
        assert (number(count), printed) == (second[row], PRINTED_2[row])
        assert (verdict == "within") == fits(number(count), printed)
    for *_, count, printed, verdict in table_of("Table 4: five resolutions, MobileNetV2"):
        assert verdict == "within"
        assert fits(number(count), printed)
