"""An attention network for trajectories: an encoder of the past, queries that ask it."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from bench.errors import UserError
from bench.parts import Architecture, network


@network("trajectory-attention")
class TrajectoryAttention(Architecture):
    """A transformer over an agent's past states, with a learned query for each mode.

    It has the form of Wayformer (Nayakanti et al. 2023, section 3) without a map and without
    other agents: states are embedded with a learned vector for their time, attended to each
    other by an encoder, then by ``queries`` of a decoder. Features are the queries' states, one
    after another. Layers are normalised before (Xiong et al. 2020); nothing is dropped out.

    The last number of a state says whether it is valid (above zero); one that is not is attended
    to by none. The last state is the present, and always seen.
    """

    width: PositiveInt = 64
    encoder_layers: PositiveInt = 2
    decoder_layers: PositiveInt = 2
    heads: PositiveInt = 4
    feedforward: PositiveInt = 128
    queries: PositiveInt = 6

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the network for states ``(t, numbers)``."""
        if len(input_shape) != 2:
            raise UserError(
                f"trajectory-attention takes states (t, numbers), and a row is {input_shape}",
                remedy="use a dataset of trajectories, or another network",
            )
        if self.width % self.heads:
            raise UserError(
                f"width {self.width} cannot be shared out among {self.heads} heads",
                field="networks",
                remedy="use a width that is a multiple of heads",
            )
        return _Network(self, *input_shape)


class _Network(nn.Module):
    def __init__(self, part: TrajectoryAttention, steps: int, numbers: int) -> None:
        super().__init__()
        sizes = part.width, part.heads, part.feedforward
        self.embedding = nn.Linear(numbers, part.width)
        self.times = nn.Parameter(0.02 * torch.randn(steps, part.width))
        self.queries = nn.Parameter(torch.randn(part.queries, part.width))
        self.encoder = nn.ModuleList(_Layer(*sizes) for _ in range(part.encoder_layers))
        self.memory = nn.LayerNorm(part.width)
        self.decoder = nn.ModuleList(_Layer(*sizes, asks=True) for _ in range(part.decoder_layers))
        self.last = nn.LayerNorm(part.width)
        self.num_features = part.queries * part.width

    def forward(self, inputs: Tensor) -> Tensor:
        unseen = inputs[..., -1] <= 0
        unseen = torch.cat([unseen[:, :-1], torch.zeros_like(unseen[:, -1:])], dim=1)
        past = self.embedding(inputs) + self.times
        for layer in self.encoder:
            past = layer(past, unseen)
        memory = self.memory(past)
        asked = self.queries.repeat(len(inputs), 1, 1)
        for layer in self.decoder:
            asked = layer(asked, memory=memory, unseen_memory=unseen)
        features: Tensor = self.last(asked).flatten(1)
        return features


class _Layer(nn.Module):
    """Attention within a sequence, then (of the decoder) to a memory, then a small network."""

    def __init__(self, width: int, heads: int, feedforward: int, *, asks: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if asks else 2))
        self.within = _Attention(width, heads)
        self.across = _Attention(width, heads) if asks else None
        self.network = nn.Sequential(
            nn.Linear(width, feedforward), nn.ReLU(), nn.Linear(feedforward, width)
        )

    def forward(
        self,
        states: Tensor,
        unseen: Tensor | None = None,
        memory: Tensor | None = None,
        unseen_memory: Tensor | None = None,
    ) -> Tensor:
        inner = self.norms[0](states)
        states = states + self.within(inner, inner, unseen)
        if self.across is not None:
            states = states + self.across(self.norms[1](states), memory, unseen_memory)
        changed: Tensor = states + self.network(self.norms[-1](states))
        return changed


class _Attention(nn.Module):
    """Scaled dot products (Vaswani et al. 2017, section 3.2), written out.

    torch's fused kernels for masked attention have no deterministic gradient on a GPU; sequences
    here are short.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.asking = nn.Linear(width, width)
        self.given = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, states: Tensor, unseen: Tensor | None) -> Tensor:
        def by_head(values: Tensor) -> Tensor:
            return values.reshape(*values.shape[:2], self._heads, -1).transpose(1, 2)

        q = by_head(self.asking(queries))
        k, v = (by_head(part) for part in self.given(states).chunk(2, dim=2))
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        if unseen is not None:
            scores = scores.masked_fill(unseen[:, None, None], float("-inf"))
        mixed: Tensor = self.out((scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2))
        return mixed
