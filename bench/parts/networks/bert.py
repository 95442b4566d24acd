"""BERT: an encoder of tokens whose pooled first state is the features."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import gelu

from bench.errors import UserError
from bench.parts import Architecture, network


@network("bert")
class Bert(Architecture):
    """BERT (Devlin et al. 2019), of any size, for tokens ``(t,)``.

    Features are the pooled ones: the first token's last state through a linear layer and tanh, as
    BERT gives it to a classifier. ``dropout`` acts where BERT's does; the one between pooled
    features and the head acts behind the features, so that a penalty sees them whole.

    Rows need no masks beside them: tokens equal to ``padding`` are attended to by none, and those
    behind the first ``separator`` are of the second segment. Names of parameters are those of the
    files on the Hub, with the prefix ``bert.`` or without; what is not the encoder's is left out.

    The defaults make a network of 79,296 parameters. BERT-base is ``{width: 768, layers: 12, heads:
    12, feedforward: 3072, vocabulary: 30522, positions: 512, separator: 102, dropout: 0.1}``.
    """

    width: PositiveInt = 64
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    feedforward: PositiveInt = 128
    vocabulary: PositiveInt = 100
    positions: PositiveInt = 24
    padding: NonNegativeInt = 0
    separator: NonNegativeInt = 2
    dropout: NonNegativeFloat = 0.0

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the encoder; UserError if it cannot take such rows."""
        if len(input_shape) != 1 or input_shape[0] > self.positions:
            raise UserError(
                f"bert takes rows of up to {self.positions} tokens, and a row is {input_shape}",
                field="networks.bert.positions",
                remedy="use a dataset of tokens, and as many positions as it has",
            )
        if self.width % self.heads:
            raise UserError(
                f"width {self.width} cannot be shared out among {self.heads} heads",
                field="networks.bert.heads",
                remedy="use a width that is a multiple of heads",
            )
        if self.dropout >= 1:
            raise UserError(
                f"a share of {self.dropout} cannot be dropped out",
                field="networks.bert.dropout",
                remedy="use a number below one, such as 0.1",
            )
        return _Encoder(self)


class _Encoder(nn.Module):
    """Modules under the names of the published files."""

    def __init__(self, part: Bert) -> None:
        super().__init__()
        self.num_features = part.width
        self._part = part
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(part.vocabulary, part.width),
                "position_embeddings": nn.Embedding(part.positions, part.width),
                "token_type_embeddings": nn.Embedding(2, part.width),
                "LayerNorm": _norm(part.width),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(map(_Layer, [part] * part.layers))})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(part.width, part.width)})
        self.dropout = nn.Dropout(part.dropout)
        self.head_dropout = nn.Dropout(part.dropout)
        self.apply(_begin)
        self.register_load_state_dict_pre_hook(_as_published)  # type: ignore[no-untyped-call]

    def forward(self, tokens: Tensor) -> Tensor:
        """Return pooled features ``(b, d)`` of tokens ``(b, t)``."""
        return self.pooled(self.states(tokens))

    def states(self, tokens: Tensor) -> Tensor:
        """Return each token's last state ``(b, t, d)``."""
        states: Tensor = self.dropout(self.embeddings["LayerNorm"](self._embedded(tokens)))
        unseen = tokens == self._part.padding
        layers = self.encoder["layer"]
        assert isinstance(layers, nn.ModuleList)
        for layer in layers:
            states = layer(states, unseen)
        return states

    def pooled(self, states: Tensor) -> Tensor:
        """Return the features of states ``(b, t, d)``."""
        return torch.tanh(self.pooler["dense"](states[:, 0]))

    def _embedded(self, tokens: Tensor) -> Tensor:
        separators = (tokens == self._part.separator).long()
        # The separator itself still belongs to what it ends.
        behind = (separators.cumsum(dim=1) - separators > 0) & (tokens != self._part.padding)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        try:
            words = self.embeddings["word_embeddings"](tokens)
        except IndexError:
            raise UserError(
                f"a row holds the token {int(tokens.max())}, and bert knows those below "
                f"{self._part.vocabulary}",
                field="networks.bert.vocabulary",
                remedy="state as many as the data's tokenizer has",
            ) from None
        found: Tensor = (
            words
            + self.embeddings["position_embeddings"](places)
            + self.embeddings["token_type_embeddings"](behind.long())
        )
        return found


class _Layer(nn.Module):
    """Attention and a small network, each added to its input and normalised after."""

    def __init__(self, part: Bert) -> None:
        super().__init__()
        width, inner = part.width, part.feedforward
        asked = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict(
            {"self": nn.ModuleDict(asked), "output": _Added(width, width, part.dropout)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = _Added(inner, width, part.dropout)
        self.dropout = nn.Dropout(part.dropout)
        self._heads = part.heads

    def forward(self, states: Tensor, unseen: Tensor) -> Tensor:
        states = self.attention["output"](self._attended(states, unseen), states)
        changed: Tensor = self.output(gelu(self.intermediate["dense"](states)), states)
        return changed

    def _attended(self, states: Tensor, unseen: Tensor) -> Tensor:
        """Return scaled dot products (Vaswani et al. 2017, section 3.2).

        Written out, since torch's fused kernels for masked attention have no deterministic
        gradient on a GPU.
        """
        asked = self.attention["self"]
        assert isinstance(asked, nn.ModuleDict)
        q, k, v = (
            linear(states).unflatten(2, (self._heads, -1)).transpose(1, 2)
            for linear in asked.values()
        )
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(unseen[:, None, None], float("-inf"))
        mixed: Tensor = self.dropout(scores.softmax(dim=3)) @ v
        return mixed.transpose(1, 2).flatten(2)


class _Added(nn.Module):
    """A linear layer whose outputs are dropped out, added to what was before, and normalised."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)
        self.LayerNorm = _norm(outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inner: Tensor, before: Tensor) -> Tensor:
        added: Tensor = self.LayerNorm(self.dropout(self.dense(inner)) + before)
        return added


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-12)


def _begin(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02²), as BERT's code does (cut off at two deviations there)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


# TensorFlow's names of a normalisation's parameters, which the oldest files kept.
_OLD = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def _as_published(
    module: nn.Module, state: dict[str, Any], prefix: str, *args: object, **kwargs: object
) -> None:
    """Rename a published file's parameters in place, and leave out what is not the encoder's."""
    theirs = f"{prefix}bert."
    if not any(name.startswith(theirs) for name in state):
        theirs = prefix
    found = {
        prefix + _renamed(name.removeprefix(theirs)): value
        for name, value in state.items()
        # Older files hold the numbers of the positions too.
        if name.startswith(theirs) and not name.endswith("position_ids")
    }
    for name in [name for name in state if name.startswith(prefix)]:
        del state[name]
    state.update(found)


def _renamed(name: str) -> str:
    for old, new in _OLD.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
