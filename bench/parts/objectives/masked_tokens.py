"""How BERT is pre-trained: masked tokens are told, and whether two sentences belong together."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.data.streams import Stream
from bench.errors import DataError, UserError
from bench.parts import objective
from bench.parts.kinds import Learning
from bench.parts.objectives.classification import Classification


@objective("masked-tokens")
class MaskedTokens(Classification):
    """Masked tokens, and the class of a pair of sentences (Devlin et al. 2019, section 3.1).

    Of each row's tokens a ``share`` is drawn anew at each step; those below ``first`` (padding,
    separators) are left out. Of what is drawn 80% become the token ``mask``, 10% any token from
    ``first`` on, and 10% stay. A linear layer beside the head tells from a token's state what it
    was. The loss is its mean cross-entropy over the tokens drawn, plus that of the classes, which
    the network's own head tells from the pooled features of the same masked rows.

    What is scored are the classes, of rows without masks.
    """

    metrics = {
        "top1": ("%", "highest"),
        "top5": ("%", "highest"),
        "mean_class_accuracy": ("%", "highest"),
        "loss": ("", "lowest"),
    }
    score = "top1"
    term = "masked-tokens"
    vocabulary: PositiveInt = 100
    mask: NonNegativeInt = 3
    first: NonNegativeInt = 4
    share: PositiveFloat = 0.15

    def modules(self, features: int, outputs: int, stream: Stream) -> nn.Module:
        """Return the layer from a state to the tokens, drawn from N(0, 0.02²)."""
        layer = nn.Linear(features, self.vocabulary, device="meta").to_empty(device="cpu")
        drawn = stream.normal(self.vocabulary * features).reshape(self.vocabulary, features)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(0.02 * drawn))
            layer.bias.zero_()
        return layer

    def learn(self, step: Learning) -> Tensor:
        """Return the loss of a batch of tokens ``(b, t)``."""
        tokens = step.inputs
        if tokens.is_floating_point() or int(tokens.max()) >= self.vocabulary:
            raise DataError(
                f"masked-tokens needs tokens below {self.vocabulary}",
                field="task.objective.masked-tokens.vocabulary",
                remedy="use a dataset of tokens, and state as many as its tokenizer has",
            )
        changed, drawn = self.masked(tokens, step.stream)
        output = step.network(changed)
        if output.states is None:
            raise UserError(
                "masked-tokens needs a network that gives each token's state",
                field="task.objective",
                remedy="use the network bert",
            )
        assert step.modules is not None
        told = step.modules(output.states[drawn])
        return cross_entropy(told, tokens[drawn]) + self.loss(output.logits, step.targets)

    def masked(self, tokens: Tensor, stream: Stream) -> tuple[Tensor, Tensor]:
        """Return tokens ``(b, t)`` of which some are masked, and which ones were drawn.

        At least one is, where there is any to draw.
        """
        shape = tuple(tokens.shape)
        which, how, other = stream.uniform(3 * tokens.numel()).reshape(3, *shape)
        which = np.where(tokens.cpu().numpy() < self.first, 1.0, which)
        drawn = (which < self.share) | ((which == which.min()) & (which < 1.0))
        any_word = self.first + np.floor((self.vocabulary - self.first) * other).astype(np.int64)
        new = np.where(how < 0.8, self.mask, any_word)
        replaced = torch.from_numpy(drawn & (how < 0.9)).to(tokens.device)
        changed = torch.where(replaced, torch.from_numpy(new).to(tokens.device), tokens)
        return changed, torch.from_numpy(drawn).to(tokens.device)
