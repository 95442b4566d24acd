"""From an image file's bytes to a square of RGB pixels, by Pillow."""

from __future__ import annotations

import io
import warnings

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import features

from bench.spec.recipe import Image


def decoder_versions() -> dict[str, str]:
    """Return the versions that decide on decoded pixels."""
    jpeg = "libjpeg_turbo" if features.check_feature("libjpeg_turbo") else "jpg"
    return {"pillow": PIL.__version__, jpeg.replace("jpg", "libjpeg"): str(features.version(jpeg))}


def decode_file(data: bytes, image: Image) -> NDArray[np.uint8]:
    """Return ``(resize, resize, 3)`` uint8 RGB from an encoded image.

    Raises
    ------
    ValueError
        If the bytes are not a whole image that Pillow can read.
    """
    try:
        with warnings.catch_warnings():
            # Odd metadata and palettes are common in these sets and do not concern the pixels.
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(data)) as opened:
                picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise ValueError(str(error)) from None
    return fitted(picture, image)


def decode_pixels(pixels: NDArray[np.uint8], image: Image) -> NDArray[np.uint8]:
    """Return ``(resize, resize, 3)`` from ``(h, w, 3)``; the same pixels where nothing changes."""
    if pixels.shape[:2] == (image.resize, image.resize):
        return pixels
    return fitted(Pillow.fromarray(pixels), image)


def fitted(picture: Pillow.Image, image: Image) -> NDArray[np.uint8]:
    """Resize (bilinear, antialiased) to a square of side ``resize``.

    ``stretch`` changes the aspect; ``crop`` scales the short side and cuts the centre, where an
    odd excess leaves the extra pixel on the right and below.
    """
    side = image.resize
    if image.fit == "stretch":
        return _resized(picture, side, side)
    width, height = picture.size
    # Rounding must not leave the long side short of the square.
    if width <= height:
        wide, high = side, max(side, round(height * side / width))
    else:
        wide, high = max(side, round(width * side / height)), side
    left, top = (wide - side) // 2, (high - side) // 2
    return _resized(picture, wide, high)[top : top + side, left : left + side]


def _resized(picture: Pillow.Image, width: int, height: int) -> NDArray[np.uint8]:
    if picture.size != (width, height):
        picture = picture.resize((width, height), Pillow.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)
