"""Linear heads, which never draw from a random stream: their initialisation is the caller's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


def feature_width(backbone: nn.Module) -> int:
    """Return the number d of features ``(b, d)`` that a backbone gives."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def zero_head(features: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Return a linear head of zeros on the CPU: building it draws from no random stream."""
    head = nn.Linear(features, outputs, bias=bias, device="meta").to_empty(device="cpu")
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    return head


def head_of(state: Mapping[str, Tensor]) -> nn.Linear:
    """Return the linear head whose state this is, on the CPU."""
    outputs, features = state["weight"].shape
    head = zero_head(features, outputs, bias="bias" in state)
    head.load_state_dict(state)
    return head
