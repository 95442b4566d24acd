"""From an image file's bytes to a square of RGB pixels, by Pillow."""

from __future__ import annotations

import io
import warnings

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, features
from PIL import Image as Pillow

from bench.spec.recipe import Image

# Pillow opens 16-bit greys of these as integers of 32 bits.
_SIXTEEN_BITS = ("PNG", "PPM")
# Of 0 to 255, what is neither dark nor light.
_GREY = 128
# How a picture is turned so that it stands as its EXIF orientation says.
_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


def decoder_versions() -> dict[str, str]:
    """Return the versions that decide on decoded pixels."""
    jpeg = "libjpeg_turbo" if features.check_feature("libjpeg_turbo") else "jpg"
    return {"pillow": PIL.__version__, jpeg.replace("jpg", "libjpeg"): str(features.version(jpeg))}


def decode_file(data: bytes, image: Image) -> NDArray[np.uint8]:
    """Return ``(resize, resize, 3)`` uint8 RGB from an encoded image.

    Raises
    ------
    ValueError
        As `picture_of` does.
    """
    return fitted(picture_of(data), image)


def picture_of(data: bytes) -> Pillow.Image:
    """Return an encoded image as it is seen, in RGB.

    It is turned as its EXIF orientation says, what is transparent lies on white, 16 bits become 8
    by division by 257, and of several frames the first counts.

    Raises
    ------
    ValueError
        If the bytes are not a whole image that Pillow can read, or its pixels have no stated range.
    """
    try:
        with warnings.catch_warnings():
            # Odd metadata and palettes are common in these sets and do not concern the pixels.
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(data)) as opened:
                opened.load()
                return _opaque(_eight_bits(_upright(opened), opened.format))
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise ValueError(str(error)) from None


def _upright(picture: Pillow.Image) -> Pillow.Image:
    """Return a picture turned as its EXIF orientation says."""
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))  # type: ignore[arg-type]
    except Exception:
        # Of metadata that cannot be read nothing is known, and no one kind of error comes of them.
        return picture
    return picture if turn is None else picture.transpose(turn)


def _eight_bits(picture: Pillow.Image, kind: str | None) -> Pillow.Image:
    """Return a picture of 8 bits a channel: Pillow's own conversion of 16 clips to white."""
    if picture.mode == "F" or (picture.mode == "I" and kind not in _SIXTEEN_BITS):
        raise ValueError("its pixels have 32 bits, and nothing says which is white; save 8 or 16")
    if picture.mode != "I" and not picture.mode.startswith("I;16"):
        return picture
    values = np.asarray(picture).astype(np.int64)
    scaled = Pillow.fromarray(((values + 128) // 257).astype(np.uint8))
    clear = picture.info.get("transparency")
    if clear is not None:
        scaled.putalpha(Pillow.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return scaled


def _opaque(picture: Pillow.Image) -> Pillow.Image:
    """Return a picture as RGB; what is transparent lies on white."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    white = Pillow.new("RGBA", picture.size, "white")
    return Pillow.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def decode_pixels(pixels: NDArray[np.uint8], image: Image) -> NDArray[np.uint8]:
    """Return ``(resize, resize, 3)`` from ``(h, w, 3)``; the same pixels where nothing changes."""
    if pixels.shape[:2] == (image.resize, image.resize):
        return pixels
    return fitted(Pillow.fromarray(pixels), image)


def fitted(picture: Pillow.Image, image: Image) -> NDArray[np.uint8]:
    """Resize (bilinear, antialiased) to a square of side ``resize``.

    ``stretch`` changes the aspect; ``crop`` scales the short side and cuts the centre, where an
    odd excess leaves the extra pixel on the right and below; ``pad`` scales the long side, and what
    is missing on the right and below is grey, 128.
    """
    side = image.resize
    if image.fit == "stretch":
        return _resized(picture, side, side)
    width, height = picture.size
    if image.fit == "pad":
        longest = max(width, height)
        sides = (max(1, round(length * side / longest)) for length in (width, height))
        pixels = _resized(picture, *sides)
        square = np.full((side, side, *pixels.shape[2:]), _GREY, dtype=np.uint8)
        square[: pixels.shape[0], : pixels.shape[1]] = pixels
        return square
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
