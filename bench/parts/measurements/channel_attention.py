"""DELTA's supervised channel attention: how much the loss suffers without each filter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.data.streams import Stream
from bench.models.network import Network
from bench.parts import Measured, Measurement, Measuring, measurement

Batch = tuple[Tensor, Tensor]
# The released code's rate falls by this factor over so many epochs, exponentially.
_DECAY, _DECAY_EPOCHS = 0.1, 6
# How large a chunk's masked maps may be: more filters at a time share what lies before the layer.
_CHUNK_BYTES = {"cpu": 2**27, "cuda": 2**31}


@measurement("channel-attention")
class ChannelAttention(Measurement):
    """Channel weights of the tapped layers (Li et al. 2019, section 3.3).

    Train only a new head on the target images, read without augmentation, then take away the
    filters of the tapped layers one at a time. Settings are those of the code released with the
    paper. The arrays are a ``(c,)`` tensor a layer, under the layer's name; they sum to one. The
    metrics are those of the trained head on the images it was trained on: a check that the
    attention was supervised by something.
    """

    roles = ("start",)
    metrics = {
        "train/top1": ("%", "highest"),
        "train/top5": ("%", "highest"),
        "train/mean_class_accuracy": ("%", "highest"),
        "train/loss": ("", "lowest"),
    }
    head_epochs: PositiveInt = 10
    batch_size: PositiveInt = 32
    lr: PositiveFloat = 0.01
    momentum: NonNegativeFloat = 0.9
    weight_decay: NonNegativeFloat = 1e-4
    batches: PositiveInt = 4
    temperature: PositiveFloat = 5.0

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the weights; raises UserError if the network has no feature maps."""
        network = measuring.network("start")
        taps = network.tap_names
        head = measuring.new_head(network)
        with torch.no_grad():
            pairs = [
                (network(images).features, labels)
                for images, labels in measuring.batches("train", self.batch_size)
            ]
        features = torch.cat([pair[0] for pair in pairs])
        labels = torch.cat([pair[1] for pair in pairs])
        train_head(head, features, labels, self, measuring.stream("head", measuring.dataset))
        with torch.no_grad():
            scores = measuring.scores_of(head(features), labels)
        drawn = measuring.batches(
            "train",
            self.batch_size,
            shuffle=measuring.stream("images", measuring.dataset),
            limit=self.batches * self.batch_size,
        )
        effects = filter_effects(network, taps, drawn)
        arrays = {tap: attention_weights(e, self.temperature) for tap, e in effects.items()}
        return Measured({f"train/{name}": v for name, v in scores.items()}, arrays=arrays)


def train_head(
    head: nn.Linear, features: Tensor, labels: Tensor, settings: ChannelAttention, stream: Stream
) -> None:
    """Train a linear head on fixed features, in place.

    The backbone is frozen, so its features ``(n, d)`` are computed once, without augmentation
    and with the batch normalisation's source statistics, and not in every epoch. The head
    starts as ``nn.Linear`` does, from U(-1/sqrt(d), 1/sqrt(d)); SGD with momentum and decay;
    the rate falls exponentially, to a tenth in six epochs.
    """
    bound = 1 / math.sqrt(features.shape[1])
    with torch.no_grad():
        for parameter in head.parameters():
            start = torch.from_numpy(stream.uniform(parameter.numel(), -bound, bound))
            parameter.copy_(start.reshape(parameter.shape))
    optimizer = torch.optim.SGD(
        head.parameters(),
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    for epoch in range(settings.head_epochs):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * _DECAY ** (epoch / _DECAY_EPOCHS)
        order = torch.from_numpy(stream.permutation(len(labels))).to(labels.device)
        for rows in torch.split(order, settings.batch_size):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(cross_entropy(head(features[rows]), labels[rows]))
            optimizer.step()


def filter_effects(
    network: Network, taps: Sequence[str], batches: Iterable[Batch]
) -> dict[str, Tensor]:
    """Return by how much the mean loss grows without each filter.

    Parameters
    ----------
    network
        In evaluation mode.
    taps
        Names of the layers within the backbone.
    batches
        Images ``(b, 3, s, s)`` with labels ``(b,)``.

    Returns
    -------
    dict
        By layer, float64 ``(c,)`` on the CPU: the loss with the filter's output set to zero,
        less the loss of the whole network; the mean over batches.

    Notes
    -----
    ``torch.vmap`` over the filters computes what lies before the layer once for all of them
    in a chunk, in every architecture.
    """
    sums: dict[str, Tensor] = {}
    count = 0
    with torch.no_grad():
        for images, labels in batches:
            count += 1
            whole = _mean_loss(network(images).logits, labels)
            for tap in taps:
                effects = _losses_without(network, tap, images, labels) - whole
                sums[tap] = sums[tap] + effects if tap in sums else effects
    # Fetched once a layer: a GPU would wait for each of thousands of losses.
    return {tap: (total / count).cpu() for tap, total in sums.items()}


def _losses_without(network: Network, tap: str, images: Tensor, labels: Tensor) -> Tensor:
    masked = _Masked()

    def logits(mask: Tensor) -> Tensor:
        masked.mask = mask
        value: Tensor = network(images).logits
        return value

    shape = network(images[:1], taps=(tap,)).maps[tap].shape
    masks = 1 - torch.eye(shape[1], device=images.device)
    map_bytes = len(images) * shape.numel() * images.element_size()
    chunk = max(1, _CHUNK_BYTES[images.device.type] // map_bytes)
    handle = network.backbone.get_submodule(tap).register_forward_hook(masked)
    try:
        without = torch.func.vmap(logits, chunk_size=chunk)(masks)
    finally:
        handle.remove()
    return torch.stack([_mean_loss(each, labels) for each in without])


def _mean_loss(logits: Tensor, labels: Tensor) -> Tensor:
    # In float64: the losses differ in late digits, and it is their difference that counts.
    return cross_entropy(logits.double(), labels)


class _Masked:
    """A forward hook that multiplies each channel of its module's output."""

    mask: Tensor | None = None

    def __call__(self, module: nn.Module, args: object, output: Tensor) -> Tensor | None:
        return None if self.mask is None else output * self.mask[:, None, None]


def attention_weights(effects: Tensor, temperature: float) -> Tensor:
    """Return a layer's channel weights ``(c,)``, float32, which sum to 1.

    ``softmax(z / temperature)`` of the effects standardised over the layer (population
    standard deviation), as in the code released with Li et al. 2019. Where no filter differs
    from another, all weigh the same.
    """
    centred = effects.double() - effects.double().mean()
    deviation = centred.square().mean().sqrt()
    scaled = centred / deviation if deviation > 0 else torch.zeros_like(centred)
    return torch.softmax(scaled / temperature, dim=0).float()
