"""Steps of Retable's own training loop at a paper's size, on batches that cost nothing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from bench.models.network import Network
from bench.models.weights import load_backbone
from bench.parts.compose import load_part
from bench.spec.cell import Resources
from bench.spec.find import find_suite
from bench.spec.plan import load_plan
from bench.spec.recipe import SGD, Image, Optimizer, Recipe, Use
from bench.spec.work import Train
from bench.training.curves import CurveBook
from bench.training.loop import train
from bench.training.loss import Asked, Loss
from bench.training.numerics import deterministic, float32_of

# Where the networks of the papers stand, with their sizes.
SUITES = ("bss/table2", "bss/baselines", "fast/learning-rates", "fast/optimizers")
SUITES += ("fast/convergence", "modelpatch/learning-rates")
PRECISIONS = ("ieee", "tf32", "bfloat16")


@dataclass(frozen=True)
class Case:
    """What is trained: a network on images of a size, so many at a time."""

    network: str = "resnet50.tv_in1k"
    size: int = 224
    batch: int = 48
    channels_last: bool = False
    precision: str = "ieee"
    penalties: tuple[str, ...] = ("l2",)

    @property
    def name(self) -> str:
        """For the table."""
        order = "NHWC" if self.channels_last else "NCHW"
        return f"{self.network} {self.batch}x{self.size} {order} {self.precision}"


TINY = Case("test_resnet", 32, 8)


@dataclass(frozen=True)
class Taken:
    """What steps took.

    Attributes
    ----------
    digest
        Of the network after the last step.
    peak
        Bytes that the GPU's allocator held for tensors at once; None on the CPU.
    """

    seconds_a_step: float
    digest: str
    peak: int | None


def cases_of_papers() -> tuple[Case, ...]:
    """Return each network of the papers at the most pixels a batch that a suite has."""
    found: dict[str, Case] = {}
    for suite in SUITES:
        for cell in load_plan(find_suite(suite), "paper").unique().values():
            work = cell.work
            if not isinstance(work, Train) or not isinstance(work.network, str):
                continue
            image = next(iter(work.tasks.values())).image or work.recipe.image or Image()
            case = Case(work.network, image.size, work.recipe.batch_size)
            known = found.get(case.network)
            if known is None or case.batch * case.size**2 > known.batch * known.size**2:
                found[case.network] = case
    return tuple(found.values())


class Ready:
    """The same batch at every step."""

    def __init__(self, case: Case, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        order = torch.channels_last if case.channels_last else torch.contiguous_format
        images = torch.randn(case.batch, 3, case.size, case.size, generator=generator)
        self._images = images.to(device).contiguous(memory_format=order)
        self._labels = torch.randint(100, (case.batch,), generator=generator).to(device)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return it."""
        return self._images, self._labels


@contextmanager
def computing(precision: str) -> Iterator[None]:
    """Compute deterministically: as records are made, in the precision of a recipe."""
    # What TF32 is of changes nothing on a CPU.
    named = "tf32" if precision == "tf32" else "float32"
    with deterministic(torch.get_num_threads()), float32_of(named, "cuda"):
        yield


class Trainer:
    """A network of random weights with its loss, ready to take steps."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device
        loaded = load_backbone(case.network, "random", seed=0, resources=Resources())
        network = Network(loaded.module, {"": 100}, name=case.network)
        order = torch.channels_last if case.channels_last else torch.contiguous_format
        self.network = network.to(device).to(memory_format=order)
        self.batches = Ready(case, device)
        precision = "bfloat16" if case.precision == "bfloat16" else "float32"
        parts = {name: load_part("penalty", Use(name=name)) for name in case.penalties}
        asked = {"": Asked(load_part("objective", Use(name="classification")))}
        self.loss = Loss(self.network, asked, parts, measured=self._measured(), precision=precision)
        self.recipe = Recipe(
            steps=1,
            batch_size=case.batch,
            image=Image(resize=case.size, size=case.size),
            optimizer=Optimizer(sgd=SGD(lr=1e-3, momentum=0.9)),
            channels_last=case.channels_last,
            precision=precision,
        )

    def _measured(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return even weights for all channels, where DELTA asks for some."""
        if "delta" not in self.case.penalties:
            return {}
        self.network.eval()
        with torch.no_grad():
            images, _ = self.batches.batch(0)
            maps = self.network(images[:2], taps=self.network.tap_names).maps
        even = {n: torch.full((m.shape[1],), 1 / m.shape[1]) for n, m in maps.items()}
        return {"channel-attention": even}

    def steps(self, count: int) -> None:
        """Take steps, and wait until they are done."""
        train(
            self.network,
            self.loss,
            self.recipe.model_copy(update={"steps": count}),
            {"": self.batches},
            CurveBook(),
            trainable=load_part("trainable", Use(name="all")),
            update=load_part("update", Use(name="gradient")),
        )
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def take(case: Case, device: torch.device, *, steps: int, warm: int = 0) -> Taken:
    """Take ``warm`` steps unmeasured, then ``steps``, from the same beginning each time."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with computing(case.precision):
        trainer = Trainer(case, device)
        if warm:
            trainer.steps(warm)
        began = time.perf_counter()
        trainer.steps(steps)
        seconds = (time.perf_counter() - began) / steps
    digest = hashlib.sha256()
    for value in trainer.network.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    peak = torch.cuda.max_memory_allocated() if on_gpu else None
    return Taken(seconds, digest.hexdigest(), peak)


def both_orders(case: Case) -> tuple[Case, Case]:
    """Return it with either memory format."""
    return replace(case, channels_last=False), replace(case, channels_last=True)
