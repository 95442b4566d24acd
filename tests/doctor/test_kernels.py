"""Is the same computed twice, and what do torch's errors mean?"""

from __future__ import annotations

import itertools

import pytest
import torch

from bench.doctor.kernels import digest_of_steps, judge_error, judge_kernels

CPU = torch.device("cpu")
TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version {}). Please update your GPU "
    "driver by downloading and installing a new version"
)


def test_the_same_steps_have_the_same_bits_and_leave_torch_as_it_was():
    before = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    found = judge_kernels("cpu", lambda: digest_of_steps(CPU))
    assert found.mark == "ok"
    assert found.measured["first"] == found.measured["second"]
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == torch.are_deterministic_algorithms_enabled()


def test_a_kernel_whose_last_bit_varies_fails():
    noise = itertools.count()

    def step(net: torch.nn.Module, device: torch.device) -> None:
        for parameter in net.parameters():
            parameter.grad = torch.ones_like(parameter)
        # One ulp of one weight's gradient.
        next(net.parameters()).grad.view(-1)[0] += next(noise) * 2**-20

    found = judge_kernels("cpu", lambda: digest_of_steps(CPU, step))
    assert found.mark == "fails"
    assert found.measured["equal"] is False


def test_an_operator_without_a_deterministic_kernel_fails():
    def digest() -> str:
        raise RuntimeError("x does not have a deterministic implementation\nmore")

    found = judge_kernels("cuda", digest)
    assert found.mark == "fails"
    assert "deterministic implementation" in found.fact


@pytest.mark.parametrize(
    ("version", "index"), [(12040, "cu126"), (12080, "cu128"), (13000, "cu130"), (11080, "cu118")]
)
def test_of_a_driver_that_is_too_old_the_wheels_that_run_on_it_are_named(version, index):
    found = judge_error(TOO_OLD.format(version), {"cuda": "13.2"})
    assert found.mark == "fails"
    assert f"/whl/{index}," in found.remedy


def test_for_a_driver_older_than_all_wheels_there_is_only_a_newer_driver():
    assert "no wheel" in judge_error(TOO_OLD.format(10020), {"cuda": "13.2"}).remedy


def test_a_gpu_that_the_wheel_knows_not_and_a_wheel_without_cuda_are_told_apart():
    unknown = "CUDA error: no kernel image is available for execution on the device"
    assert "no kernels" in judge_error(unknown, {"cuda": "12.6"}).fact
    assert "without CUDA" in judge_error("torch sees no GPU", {"cuda": None}).fact
