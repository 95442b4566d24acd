"""BERT, beside torch's own encoder and the one of transformers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.networks.bert import Bert

# [CLS] a [SEP] b [SEP], of which the second row's is shorter, and a single sentence.
TOKENS = torch.tensor(
    [[1, 7, 9, 2, 8, 5, 2, 0], [1, 6, 2, 9, 2, 0, 0, 0], [1, 11, 5, 7, 2, 0, 0, 0]]
)
SEGMENTS = torch.tensor(
    [[0, 0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]]
)


def built(seed: int = 0, **settings) -> nn.Module:
    torch.manual_seed(seed)
    part = Bert(width=12, heads=3, feedforward=20, vocabulary=13, positions=8, **settings)
    module = part.build((8,)).double()
    for parameter in module.parameters():  # Nothing is at a value that would hide a fault.
        nn.init.normal_(parameter, std=0.3)
    return module


def by_torch(module: nn.Module) -> Tensor:
    """States by `nn.TransformerEncoderLayer`, given masks and segments instead of deriving them."""
    state = module.state_dict()
    words, places, segments = (
        state[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
    )
    norm = [state[f"embeddings.LayerNorm.{end}"] for end in ("weight", "bias")]
    embedded = words[TOKENS] + places[: TOKENS.shape[1]] + segments[SEGMENTS]
    states = nn.functional.layer_norm(embedded, (12,), *norm, eps=1e-12)
    for number in range(2):
        layer = nn.TransformerEncoderLayer(
            12, 3, 20, dropout=0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        prefix = f"encoder.layer.{number}."
        own = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
        asked = [f"attention.self.{name}" for name in ("query", "key", "value")]
        names = {
            "self_attn.out_proj": "attention.output.dense",
            "linear1": "intermediate.dense",
            "linear2": "output.dense",
            "norm1": "attention.output.LayerNorm",
            "norm2": "output.LayerNorm",
        }
        theirs = {
            f"self_attn.in_proj_{end}": torch.cat([own[f"{name}.{end}"] for name in asked])
            for end in ("weight", "bias")
        }
        theirs |= {
            f"{n}.{e}": own[f"{o}.{e}"] for n, o in names.items() for e in ("weight", "bias")
        }
        layer.double().load_state_dict(theirs)
        # In training mode, so that no other kernel is chosen.
        states = layer.train()(states, src_key_padding_mask=TOKENS == 0)
    return states


def test_states_are_those_of_torchs_encoder() -> None:
    module = built()
    seen = TOKENS != 0
    expected = by_torch(module)
    assert torch.allclose(module.states(TOKENS)[seen], expected[seen], rtol=1e-10, atol=1e-12)
    pooler = module.pooler["dense"]
    assert torch.allclose(module(TOKENS), torch.tanh(pooler(expected[:, 0])), rtol=1e-10)


def test_padding_changes_nothing() -> None:
    module = built()
    alone = module(TOKENS[1:2, :5])
    assert torch.allclose(module(TOKENS[1:2]), alone, rtol=1e-12)


def test_it_has_the_parameters_of_its_docstring_and_of_bert_base() -> None:
    def count(part: Bert, length: int) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in part.build((length,)).parameters())

    assert count(Bert(), 23) == 79_296
    base = {"width": 768, "layers": 12, "heads": 12, "feedforward": 3072, "vocabulary": 30522}
    assert count(Bert(**base, positions=512), 128) == 109_482_240


@pytest.mark.parametrize("start", ["bert.", ""])
@pytest.mark.parametrize("old", [False, True])
def test_a_published_files_names_fit(old: bool, start: str) -> None:
    module, other = built(), built(seed=1)
    state = {f"{start}{name}": value for name, value in module.state_dict().items()}
    if old:
        for name in [n for n in state if "LayerNorm" in n]:
            new = name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
            state[new] = state.pop(name)
    state[f"{start}embeddings.position_ids"] = torch.arange(8)
    if start:
        state["cls.predictions.bias"] = torch.zeros(13)
    other.load_state_dict(state)
    assert torch.equal(other(TOKENS), module(TOKENS))


def test_it_is_the_bert_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=13, hidden_size=12, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=20, max_position_embeddings=8, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    theirs = transformers.BertForPreTraining(config).double().eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    module = built()
    module.load_state_dict(theirs.state_dict())
    found = theirs.bert(
        input_ids=TOKENS, attention_mask=(TOKENS != 0).long(), token_type_ids=SEGMENTS
    )
    seen = TOKENS != 0
    assert torch.allclose(module(TOKENS), found.pooler_output, rtol=1e-8)
    states = module.states(TOKENS)
    assert torch.allclose(states[seen], found.last_hidden_state[seen], rtol=1e-8, atol=1e-10)


def test_a_network_gives_whole_features_and_drops_out_before_the_head() -> None:
    network = Network(built(dropout=0.5), {"": 3}, name="bert").double()
    nn.init.normal_(network.head.weight)
    network.backbone.eval()
    network.backbone.head_dropout.train()
    torch.manual_seed(0)
    output = network(TOKENS)
    assert torch.allclose(output.features, network.backbone(TOKENS))
    dropped = (output.logits - network.head(output.features)).abs().max()
    assert dropped > 0.1
    assert torch.equal(output.states, network.backbone.states(TOKENS))
    network.eval()
    output = network(TOKENS)
    assert torch.equal(output.logits, network.head(output.features))


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((9,), {}, "up to 8 tokens"),
        ((3, 8, 8), {}, "up to 8 tokens"),
        ((8,), {"heads": 5}, "shared out among 5 heads"),
        ((8,), {"dropout": 1.0}, "cannot be dropped out"),
    ],
)
def test_what_it_cannot_be_built_for_is_said(shape, settings, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Bert(**{"width": 12, "heads": 3, "positions": 8, **settings}).build(shape)
    assert caught.value.remedy


def test_a_token_that_it_does_not_know_is_named() -> None:
    with pytest.raises(UserError, match="holds the token 13, and bert knows those below 13"):
        built()(TOKENS + 2)
