"""The feature extractor of torchvision's detector for COCO."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from bench.parts import Architecture, network


@network("ssdlite320_mobilenet_v3_large")
class SSDLite320MobileNetV3Large(Architecture):
    """MobileNetV3-Large as SSDLite has it (Howard et al. 2019, section 6.3), averaged over places.

    That is the backbone up to its last convolution, of half the usual width: 480 features. The
    detector's extra layers and heads are left out. Names of parameters are torchvision's below
    ``backbone``, so that its weights for COCO fit; it was trained on images in [-1, 1], which is
    ``normalise: half``.
    """

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the extractor, its parameters drawn as torchvision draws a detector's."""
        detector = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
        features = detector.backbone.features
        layers = {"features": features, "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        module = nn.Sequential(OrderedDict(layers))
        module.num_features = features[-1][-1].out_channels
        return module
