"""What torch computes here: does its wheel fit the driver, and are its kernels deterministic?"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.doctor.finding import Asked, Finding, not_here

if TYPE_CHECKING:
    import torch

KEYS_WHEEL = ("torch", "cuda", "cudnn", "capability", "architectures", "error")
KEYS_KERNELS = ("device", "steps", "first", "second", "equal", "error")
STEPS = 3
# The oldest driver's CUDA that the wheels of an index run on: within CUDA 12 any driver will do.
_INDICES = (
    ((13, 2), "cu132"),
    ((13, 0), "cu130"),
    ((12, 8), "cu128"),
    ((12, 0), "cu126"),
    ((11, 8), "cu118"),
)


def wheel(asked: Asked) -> Finding:
    """Compute on the GPU what every cell does: a convolution, its gradient, an eigh."""
    if asked.device == "cpu":
        return not_here("--device cpu asks for none of the GPU")
    import torch

    measured: dict[str, object] = {"torch": torch.__version__, "cuda": torch.version.cuda}
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            there = torch.cuda.is_available()
        said = "; ".join(str(each.message) for each in heard)
        if not there and not said and asked.device != "cuda":
            return Finding("not here", f"torch {torch.__version__} sees no GPU", measured=measured)
        if not there:
            return judge_error(said or "torch sees no GPU", measured)
        _compute()
    except Exception as error:
        return judge_error(str(error) or type(error).__name__, measured)
    major, minor = torch.cuda.get_device_capability()
    measured |= {
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "capability": f"{major}.{minor}",
        "architectures": torch.cuda.get_arch_list(),
    }
    fact = f"torch {torch.__version__} computes on compute capability {major}.{minor}"
    return Finding("ok", fact, measured=measured)


def _compute() -> None:
    import torch

    from bench.training.numerics import deterministic

    with deterministic(1):
        torch.zeros(1).cuda()
        _small_step(_small_net().cuda(), torch.device("cuda"))
        torch.cuda.synchronize()


def judge_error(message: str, measured: dict[str, object]) -> Finding:
    """Return what an error of torch's means, and which wheel to install."""
    measured = {**measured, "error": message[:500]}
    if found := re.search(r"driver.{0,60} too old \(found version (\d+)\)", message, re.S):
        number = int(found[1])
        has = (number // 1000, number % 1000 // 10)
        fact = (
            f"the driver is too old: it knows CUDA {has[0]}.{has[1]}, torch has {measured['cuda']}"
        )
        return Finding("fails", fact, _install(has), measured)
    if "no kernel image" in message:
        remedy = "install a torch whose wheels have this GPU's architecture, see pytorch.org"
        return Finding("fails", "torch has no kernels for this GPU's kind", remedy, measured)
    if measured.get("cuda") is None:
        remedy = "pip install torch torchvision --index-url https://download.pytorch.org/whl/cu126"
        return Finding("fails", "this torch is built without CUDA", remedy, measured)
    first = message.strip().splitlines()[0][:160]
    return Finding("fails", first, "see `nvidia-smi`; or keep to --device cpu", measured)


def _install(driver: tuple[int, int]) -> str:
    """Return which wheels run on a driver that knows CUDA up to a version."""
    for oldest, index in _INDICES:
        if driver >= oldest:
            whole = f"https://download.pytorch.org/whl/{index}"
            return f"pip install torch torchvision --index-url {whole}, or a newer driver"
    return "install a newer driver: no wheel of torch that Retable takes runs on it"


def kernels(asked: Asked) -> Finding:
    """Take the same steps of a small net twice, on the GPU where there is one."""
    import torch

    on_gpu = asked.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    return judge_kernels(device.type, lambda: digest_of_steps(device))


def judge_kernels(device: str, digest: Callable[[], str]) -> Finding:
    """Return whether two runs of the same steps end in the same bits."""
    measured: dict[str, object] = {"device": device, "steps": STEPS}
    try:
        first, second = digest(), digest()
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        fact = f"no {STEPS} deterministic steps on {device}: {said[0][:120]}"
        return Finding("fails", fact, "see the line above on torch", measured | {"error": said[0]})
    equal = first == second
    measured |= {"first": first, "second": second, "equal": equal}
    if equal:
        return Finding("ok", f"{STEPS} steps twice on {device}: the same bits", measured=measured)
    fact = f"{STEPS} steps twice on {device}: other bits"
    remedy = "cells cannot be repeated here: try another torch, look for memory errors (ECC)"
    return Finding("fails", fact, remedy, measured)


def digest_of_steps(
    device: torch.device, step: Callable[[torch.nn.Module, torch.device], None] | None = None
) -> str:
    """Return the digest of a small net's weights after three steps of SGD.

    ``step`` leaves the net's gradient; by default that of a classification with the smallest
    singular values of its features.
    """
    # cuBLAS reads it when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    from bench.training.numerics import deterministic

    with deterministic(torch.get_num_threads()):
        net = _small_net().to(device)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(STEPS):
            optimizer.zero_grad()
            (step or _small_step)(net, device)
            optimizer.step()
    digest = hashlib.sha256()
    for value in net.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _small_net() -> torch.nn.Module:
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(32, 64, 3, stride=2, groups=8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 10),
        )


def _small_step(net: torch.nn.Module, device: torch.device) -> None:
    """Leave the gradient of a loss in which a decomposition has a part."""
    import torch

    generator = torch.Generator().manual_seed(1)
    images = torch.randn(32, 3, 32, 32, generator=generator).to(device)
    labels = torch.randint(10, (32,), generator=generator).to(device)
    logits = net(images)
    gram = (logits @ logits.T).detach().double()
    vector = torch.linalg.eigh(gram).eigenvectors[:, :1].to(logits.dtype)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    (loss + 1e-3 * (vector.T @ logits).square().sum()).backward()
