"""Kinds of failures by exception: CUDA's other words for no memory, networks that fail for now."""

from __future__ import annotations

import socket
import ssl
import urllib.error
from email.message import Message

import huggingface_hub.errors as hub
import pytest
import requests

from bench.errors import DataError, UserError, WeightsError
from bench.scheduling.engines.failures import kind_of, message_of

try:
    # As newer clients of the Hub have it.
    import httpx2 as httpx
except ModuleNotFoundError:
    import httpx


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "GET was unable to find an engine to execute this computation",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
        "cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnXsyevd`",
        "NVRTC failed: nvrtc: error: out of memory",
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: 800 bytes",
    ],
)
def test_no_memory_in_other_words(text: str) -> None:
    assert kind_of(RuntimeError(text)) == "out-of-memory"
    assert kind_of(ValueError(text)) == "error"


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED",
        "cuDNN error: CUDNN_STATUS_BAD_PARAM",
        "mat1 and mat2 shapes cannot be multiplied",
    ],
)
def test_what_is_no_want_of_memory(text: str) -> None:
    assert kind_of(RuntimeError(text)) == "error"


def answered(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://there.example/file"))


def http(status: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("https://there.example", status, "said", Message(), None)


def status(number: int) -> httpx.HTTPStatusError:
    answer = answered(number)
    return httpx.HTTPStatusError("said", request=answer.request, response=answer)


FOR_NOW: list[BaseException] = [
    requests.ConnectionError("refused"), requests.ReadTimeout("slow"), requests.Timeout("slow"),
    httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut"),
    urllib.error.URLError("no host"), http(503), http(429), status(502), status(429),
    hub.HfHubHTTPError("busy", response=answered(500)), socket.gaierror(-3, "try again"),
    ssl.SSLError("cut off"), ConnectionError("Couldn't reach 'set' on the Hub"),
]  # fmt: skip
FOR_GOOD: list[BaseException] = [
    http(404), http(403), status(401), status(404),
    hub.GatedRepoError("gated", response=answered(403)),
    hub.RepositoryNotFoundError("none", response=answered(404)),
    hub.RevisionNotFoundError("none", response=answered(404)),
    hub.RemoteEntryNotFoundError("none", response=answered(404)),
    hub.HfHubHTTPError("no", response=answered(401)),
    hub.OfflineModeIsEnabled("offline"), hub.LocalEntryNotFoundError("not in the cache"),
    ConnectionError("Couldn't reach the Hub: Offline mode is enabled."),
    ConnectionError("Couldn't reach 'set' on the Hub (OfflineModeIsEnabled)"),
    BrokenPipeError(32, "pipe"), ConnectionResetError(104, "reset"), TimeoutError("a lock"),
    FileNotFoundError("nothing there"),
]  # fmt: skip


def names(errors: list[BaseException]) -> list[str]:
    return [f"{type(error).__name__} {error}" for error in errors]


@pytest.mark.parametrize("error", FOR_NOW, ids=names(FOR_NOW))
def test_a_network_that_fails_for_now(error: BaseException) -> None:
    assert kind_of(error) == "network"
    told = DataError("the set cannot be had")
    told.__cause__ = error
    assert kind_of(told) == "network"
    # On the way it was told of by others.
    between = hub.LocalEntryNotFoundError("not in the cache")
    between.__cause__ = error
    last = WeightsError("no weights")
    last.__cause__ = between
    assert kind_of(last) == "network"


@pytest.mark.parametrize("error", FOR_GOOD, ids=names(FOR_GOOD))
def test_what_would_be_refused_again(error: BaseException) -> None:
    assert kind_of(error) == "error"
    told = DataError("the set cannot be had")
    told.__cause__ = error
    assert kind_of(told) == "user-error"
    # A refusal counts, whatever else has failed with it.
    if error in FOR_GOOD[:10]:
        error.__context__ = requests.ConnectionError("refused")
        assert kind_of(error) == "error"
        error.__context__ = None


def test_a_users_error_beside_a_network_that_fails_is_the_users() -> None:
    told = UserError("the suite names no such set")
    told.__context__ = requests.ConnectionError("refused")
    assert kind_of(told) == "user-error"


def test_a_ring_of_causes_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert kind_of(one) == "error"


@pytest.mark.parametrize(
    "text",
    [
        "The NVIDIA driver on your system is too old (found version 11040). Please update",
        "CUDA error: CUDA driver version is insufficient for CUDA runtime version",
        "CUDA error: no kernel image is available for execution on the device",
        "No CUDA GPUs are available",
    ],
)
def test_cuda_that_cannot_be_begun_with_says_what_to_do(text: str) -> None:
    told = message_of(RuntimeError(text), "cuda")
    assert text.partition(".")[0] in told
    assert "newer driver" in told
    assert "--device cpu" in told
    assert message_of(RuntimeError(text), "cpu") == f"RuntimeError: {text}"


def test_other_errors_are_told_in_their_first_line() -> None:
    assert message_of(ValueError("one\ntwo"), "cuda") == "ValueError: one"
    assert message_of(ValueError(), "cuda") == "ValueError"
