"""The features of torchvision's detector, from weights converted as the manual says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.ssd import SSD

from bench.errors import WeightsError
from bench.files import file_sha256
from bench.models.weights import NetworkBuilder, load_backbone
from bench.parts.networks.ssdlite320_mobilenet_v3_large import SSDLite320MobileNetV3Large
from bench.spec.cell import Resources

NAME = "ssdlite320_mobilenet_v3_large"
PAGE = Path(__file__).parents[2] / "docs" / "own-data.md"


@pytest.fixture(scope="module")
def detector() -> SSD:
    """Return a stand-in for the one trained on COCO, its running statistics not those of none."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
        for name, value in made.named_buffers():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                value.uniform_(-0.1, 0.1)
    return made.eval()


def loaded(file: Path):
    return load_backbone(
        NetworkBuilder(NAME, SSDLite320MobileNetV3Large().build),
        "file:coco",
        seed=0,
        resources=Resources(files={"coco": (str(file), 0)}),
        input_shape=(3, 96, 96),
    )


def test_weights_converted_as_the_manual_says_give_the_detectors_features(
    detector: SSD, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.search(r"<!-- file: convert.py -->\n```python\n(.*?)```", PAGE.read_text(), re.S)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    torch.save(detector.state_dict(), f"{NAME}_coco-a79551df.pth")
    exec(compile(code[1], "convert.py", "exec"), {})
    found = loaded(tmp_path / "ssdlite-coco.safetensors")
    assert found.source == "file:coco"
    assert found.file == file_sha256(tmp_path / "ssdlite-coco.safetensors")
    # Its weights are from another training: a child of it draws other numbers than it did.
    assert found.trainings == 1
    module = found.module.eval()
    assert module.num_features == 480
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        # The second of the maps that the detector looks at is that of the last convolution.
        expected = detector.backbone(images)["1"].mean((2, 3))
        assert torch.allclose(module(images), expected, rtol=1e-5, atol=1e-7)
    assert expected.std() > 0


def test_the_extractor_alone_is_in_the_network(detector: SSD) -> None:
    with torch.random.fork_rng():
        module = SSDLite320MobileNetV3Large().build((3, 64, 64))
    names = {n.removeprefix("backbone.") for n in detector.state_dict() if "backbone.feat" in n}
    assert set(module.state_dict()) == names
    assert not any(name.startswith(("extra", "head")) for name in names)


def test_a_whole_detectors_file_does_not_fit(detector: SSD, tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({name: value.contiguous() for name, value in detector.state_dict().items()}, whole)
    with pytest.raises(WeightsError, match=f"does not fit {NAME}"):
        loaded(whole)
