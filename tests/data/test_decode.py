"""From files to squares: sizes, fits and modes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from bench.data.decode import decode_file, decode_pixels
from bench.spec.recipe import Image


def ramp(width: int, height: int) -> np.ndarray:
    """Red counts columns, green counts rows."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return pixels


def encoded(picture: Pillow.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def image(side: int, fit: str) -> Image:
    return Image(resize=side, size=side, fit=fit)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_a_square_of_the_right_side_is_unchanged(fit):
    pixels = ramp(20, 20)
    found = decode_file(encoded(Pillow.fromarray(pixels)), image(20, fit))
    assert np.array_equal(found, pixels)


def test_crop_cuts_the_centre_and_keeps_the_aspect():
    wide = decode_file(encoded(Pillow.fromarray(ramp(50, 20))), image(20, "crop"))
    assert np.array_equal(wide[..., 0], np.broadcast_to(np.arange(15, 35), (20, 20)))
    tall = decode_file(encoded(Pillow.fromarray(ramp(20, 41))), image(20, "crop"))
    # An odd excess: one more row is lost below.
    assert np.array_equal(tall[:, 0, 1], np.arange(10, 30))


def test_stretch_uses_the_whole_image():
    found = decode_file(encoded(Pillow.fromarray(ramp(100, 20))), image(20, "stretch"))
    # Each output pixel is the triangle-weighted mean of the columns around its centre.
    assert np.abs(found[0, 1:-1, 0] - (np.arange(1, 19) * 5 + 2.0)).max() <= 1
    assert np.array_equal(found[:, 0, 1], np.arange(20))


@pytest.mark.parametrize("size", [(301, 77), (77, 301), (31, 32), (3, 200)])
@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_any_size_gives_the_square(size, fit):
    found = decode_file(encoded(Pillow.fromarray(ramp(*size).astype(np.uint8))), image(32, fit))
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    grey = Pillow.new("L", (9, 9), 255).convert("RGB").convert(mode)
    assert (decode_file(encoded(grey, kind), image(9, "crop")) == 255).all()


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_what_is_no_image_is_an_error(data):
    with pytest.raises(ValueError, match=r".+"):
        decode_file(data, image(8, "crop"))


def test_pixels_are_resized_as_files_are():
    pixels = ramp(30, 30)
    file = decode_file(encoded(Pillow.fromarray(pixels)), image(11, "stretch"))
    assert np.array_equal(decode_pixels(pixels, image(11, "stretch")), file)
