"""LoRA, visual prompts and Conv-Adapter against their papers' equations, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import conv2d

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Patch
from bench.parts.checks.random_data import NETWORKS, RESNET
from bench.parts.checks.trial import Trial, awake
from bench.parts.networks.vision_transformer import SmallVisionTransformer
from bench.parts.patches.conv_adapter import Bypass, ConvAdapter
from bench.parts.patches.lora import LoRA, LowRank
from bench.parts.patches.visual_prompts import Prompts, VisualPrompts
from bench.parts.trainables.adapters import Adapters
from bench.training.norms import counts

EFFICIENTNET = NETWORKS[2]
WIDTH, BLOCKS = 16, 3
# In and out of the convolutions of test_resnet that have an adapter beside them.
BLOCK_CHANNELS = [(32, 32), (32, 48), (48, 48), (192, 96)]


def transformer() -> Network:
    """Return a small vision transformer of 16-pixel images: four patches and a class token."""
    torch.manual_seed(0)
    module = SmallVisionTransformer(patch=8, width=WIDTH, blocks=BLOCKS).build((3, 16, 16))
    return Network(module, {"": 3}, name="vision-transformer").double().eval()


def images(side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, side, side, generator=generator, dtype=torch.float64)


def patched(network: Network, part: Patch, seed: int = 0) -> Network:
    part(network)
    part.draw(network, Stream(seed))
    return network


def outputs(network: Network, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return network(inputs).features


def test_lora_begins_as_the_identity_and_merges_into_the_weights() -> None:
    network, inputs = transformer(), images()
    before = outputs(network, inputs)
    plain = [block.attn.qkv.weight.detach().clone() for block in network.backbone.blocks]
    patched(network, LoRA(rank=2, alpha=6.0))
    assert torch.equal(outputs(network, inputs), before)
    awake(network)
    moved = outputs(network, inputs)
    assert not torch.allclose(moved, before)
    for block, old in zip(network.backbone.blocks, plain, strict=True):
        qkv = block.attn.qkv
        # W + (α/r) B A: rows are those of the query, the key and the value.
        update = [
            3.0 * up @ down for up, down in zip(qkv.adapter.up, qkv.adapter.down, strict=True)
        ]
        weight = qkv.layer.weight + torch.cat([update[0], torch.zeros_like(old[:WIDTH]), update[1]])
        assert torch.linalg.matrix_rank(weight - qkv.layer.weight) == 4
        merged = nn.Linear(WIDTH, 3 * WIDTH).double()
        merged.load_state_dict({"weight": weight, "bias": qkv.layer.bias})
        block.attn.qkv = merged
    torch.testing.assert_close(outputs(network, inputs), moved, rtol=0, atol=1e-12)


def by_hand(model: VisionTransformer, prompts: list[Tensor], inputs: Tensor, deep: bool) -> Tensor:
    """Return [x_N, Z_N, E_N] of Jia et al. 2022, eq. 4 and 5, or eq. 6."""
    with torch.no_grad():
        class_token = model.cls_token[0] + model.pos_embed[0, :1]
        patches = model.patch_embed(inputs) + model.pos_embed[:, 1:]
        x = class_token.expand(len(inputs), 1, -1)
        z = prompts[0].expand(len(inputs), -1, -1)
        for place, block in enumerate(model.blocks):
            if deep:
                z = prompts[place].expand(len(inputs), -1, -1)
            whole = block(torch.cat([x, z, patches], dim=1))
            x, z, patches = whole[:, :1], whole[:, 1 : 1 + z.shape[1]], whole[:, 1 + z.shape[1] :]
        return model.norm(torch.cat([x, z, patches], dim=1))


@pytest.mark.parametrize("deep", [True, False])
def test_prompts_stand_after_the_class_token(deep: bool) -> None:
    inputs = images()
    plain = transformer().backbone
    network = patched(transformer(), VisualPrompts(tokens=5, deep=deep))
    found = [m.tokens for m in network.backbone.modules() if isinstance(m, Prompts)]
    assert len(found) == (BLOCKS if deep else 1)
    with torch.no_grad():
        whole = network.backbone.forward_features(inputs)
    assert whole.shape == (2, 1 + 5 + 4, WIDTH)
    torch.testing.assert_close(whole, by_hand(plain, found, inputs, deep), rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs(network, inputs), whole[:, 0], rtol=0, atol=0)


def test_prompts_are_drawn_within_their_bound() -> None:
    network = patched(transformer(), VisualPrompts(tokens=50))
    drawn = torch.cat([m.tokens.detach() for m in network.modules() if isinstance(m, Prompts)])
    bound = math.sqrt(6 / (3 * 8 * 8 + WIDTH))
    assert drawn.abs().max() <= bound
    assert drawn.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_a_conv_adapter_is_what_its_equation_says() -> None:
    torch.manual_seed(2)
    conv = nn.Conv2d(8, 6, 3, stride=2, padding=1, bias=False).double()
    bypass = Bypass(conv, 4)
    state = {name: torch.randn_like(p) for name, p in bypass.named_parameters()}
    bypass.load_state_dict(state)
    inputs = torch.randn(2, 8, 7, 7, dtype=torch.float64)
    # Each hidden channel sees four of the inputs' channels alone: as a full convolution's weights.
    full = torch.zeros(2, 8, 3, 3, dtype=torch.float64)
    for hidden in range(2):
        full[hidden, 4 * hidden : 4 * hidden + 4] = state["down"][hidden]
    hidden = conv2d(inputs, full, state["down_bias"], stride=2, padding=1).clamp(min=0)
    expected = torch.einsum("oh,bhyx->boyx", state["up"][:, :, 0, 0], hidden)
    expected = state["scale"] * (expected + state["up_bias"][:, None, None])
    assert expected.shape == conv(inputs).shape
    torch.testing.assert_close(bypass(inputs), expected, rtol=0, atol=1e-12)


def test_conv_adapters_stand_in_every_block_and_begin_as_the_identity() -> None:
    network = Trial(RESNET).build().double().eval()
    inputs = images(32)
    before = outputs(network, inputs)
    patched(network, ConvAdapter())
    assert torch.equal(outputs(network, inputs), before)
    found = {name for name, m in network.backbone.named_modules() if isinstance(m, Bypass)}
    # The third stage's block is a bottleneck.
    assert found == {f"layer{k}.0.conv{2 if k == 3 else 1}.adapter" for k in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("part", "inputs", "numbers"),
    [
        # 2 · r (d + d) a block; p · d; for i channels to o: i/4 · (4 · 9 + 1) + o · (i/4 + 2).
        (LoRA(rank=2), NETWORKS[1], 6 * 2 * 2 * (64 + 64)),
        (VisualPrompts(tokens=3), NETWORKS[1], 6 * 3 * 64),
        (VisualPrompts(tokens=3, deep=False), NETWORKS[1], 3 * 64),
        (ConvAdapter(), RESNET, sum(i // 4 * 37 + o * (i // 4 + 2) for i, o in BLOCK_CHANNELS)),
    ],
    ids=["lora", "deep prompts", "shallow prompts", "conv-adapter"],
)  # fmt: skip
def test_adapters_alone_train_and_are_counted(part, inputs, numbers) -> None:
    network = awake(Trial(inputs, patches=(part,)).build())
    Adapters(last_layer=False)(network)
    assert counts(network)["parameters/trained"] == numbers
    network(inputs.draw(0)).logits.square().sum().backward()
    learnt = {n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    added = {n for n, _ in network.named_parameters() if ".adapter." in n or ".prompts." in n}
    assert learnt == added
    Adapters()(network)
    assert counts(network)["parameters/trained"] == numbers + 3 * network.backbone.num_features + 3


def test_adapters_are_drawn_by_the_seed_and_nothing_else() -> None:
    one, same, other = (patched(transformer(), LoRA(), seed=s).state_dict() for s in (3, 3, 4))
    differ = {name for name in one if not torch.equal(one[name], other[name])}
    assert differ == {f"backbone.blocks.{k}.attn.qkv.adapter.down" for k in range(BLOCKS)}
    assert all(torch.equal(one[name], same[name]) for name in one)
    lora = next(
        m for m in patched(transformer(), LoRA(rank=200)).modules() if isinstance(m, LowRank)
    )
    assert lora.down.std().item() == pytest.approx(1 / math.sqrt(WIDTH), rel=0.05)


@pytest.mark.parametrize(
    ("part", "inputs", "problem"),
    [
        (LoRA(), EFFICIENTNET, "has no attention"),
        (VisualPrompts(), EFFICIENTNET, "is no vision transformer"),
        (ConvAdapter(), EFFICIENTNET, "has no residual blocks"),
        (ConvAdapter(compression=5), RESNET, "are no multiple of 5"),
    ],
)
def test_where_an_adapter_does_not_fit_is_an_error(part, inputs, problem) -> None:
    with pytest.raises(UserError, match=problem):
        part(Trial(inputs).build())


def test_prompts_do_not_enter_an_average() -> None:
    network = transformer()
    network.backbone.global_pool = "avg"
    with pytest.raises(UserError, match="averages over tokens"):
        VisualPrompts()(network)


def test_a_network_without_adapters_has_none_to_train() -> None:
    with pytest.raises(UserError, match="has no adapters to train") as caught:
        Adapters()(transformer())
    assert "conv-adapter" in caught.value.remedy


def test_a_transformer_is_built_for_its_images() -> None:
    with pytest.raises(UserError, match="do not tile images of 12 × 12"):
        SmallVisionTransformer(patch=8).build((3, 12, 12))
