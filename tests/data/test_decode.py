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


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
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


def test_pad_keeps_the_aspect_and_adds_grey_on_the_right_and_below():
    wide = decode_file(encoded(Pillow.fromarray(ramp(20, 8))), image(20, "pad"))
    assert np.array_equal(wide[:8], ramp(20, 8))
    assert (wide[8:] == 128).all()
    tall = decode_file(encoded(Pillow.fromarray(ramp(5, 41))), image(41, "pad"))
    assert np.array_equal(tall[:, :5], ramp(5, 41))
    assert (tall[:, 5:] == 128).all()
    half = decode_file(encoded(Pillow.fromarray(ramp(40, 16))), image(20, "pad"))
    assert np.abs(half[0, 1:19, 0] - (np.arange(1, 19) * 2 + 0.5)).max() <= 1
    assert (half[8:] == 128).all()
    assert not (half[:8] == 128).all(axis=2).any()


def test_stretch_uses_the_whole_image():
    found = decode_file(encoded(Pillow.fromarray(ramp(100, 20))), image(20, "stretch"))
    # Each output pixel is the triangle-weighted mean of the columns around its centre.
    assert np.abs(found[0, 1:-1, 0] - (np.arange(1, 19) * 5 + 2.0)).max() <= 1
    assert np.array_equal(found[:, 0, 1], np.arange(20))


@pytest.mark.parametrize("size", [(301, 77), (77, 301), (31, 32), (3, 200)])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
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


GREYS = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_and_do_not_clip(kind):
    found = decode_file(encoded(Pillow.fromarray(GREYS), kind), image(8, "crop"))
    assert np.array_equal(found, np.rint(GREYS[..., None] / 65535 * 255).repeat(3, axis=2))


def test_16_bits_with_a_transparent_grey_lie_on_white():
    buffer = io.BytesIO()
    Pillow.fromarray(GREYS).save(buffer, "PNG", transparency=int(GREYS[2, 3]))
    found = decode_file(buffer.getvalue(), image(8, "crop"))
    expected = np.rint(GREYS / 257)
    expected[2, 3] = 255
    assert np.array_equal(found[..., 1], expected)


@pytest.mark.parametrize("values", [np.arange(64, dtype=np.int32), np.ones(64, dtype=np.float32)])
def test_32_bits_say_nothing_of_white_and_are_refused(values):
    picture = Pillow.fromarray(values.reshape(8, 8))
    with pytest.raises(ValueError, match="save 8 or 16"):
        decode_file(encoded(picture, "TIFF"), image(8, "crop"))


# The EXIF standard: which sides the stored first row and first column are of the upright image.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("pixels", [ramp(9, 9), GREYS], ids=["rgb", "16-bit"])
def test_images_are_turned_as_their_exif_says(orientation, pixels):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", exif=exif)
    found = decode_file(buffer.getvalue(), image(len(pixels), "crop"))
    plain = decode_file(encoded(Pillow.fromarray(pixels)), image(len(pixels), "crop"))
    assert np.array_equal(found, UPRIGHT[orientation](plain))


def test_exif_that_cannot_be_read_turns_nothing():
    buffer = io.BytesIO()
    Pillow.fromarray(ramp(9, 9)).save(buffer, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffnothing")
    assert np.array_equal(decode_file(buffer.getvalue(), image(9, "crop")), ramp(9, 9))


def test_what_is_transparent_lies_on_white():
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[..., 0] = 200
    pixels[..., 3] = [[0, 255], [51, 204]]
    found = decode_file(encoded(Pillow.fromarray(pixels)), image(2, "crop"))
    opacity = pixels[..., 3:] / 255
    expected = opacity * pixels[..., :3] + (1 - opacity) * 255
    assert np.abs(found - expected).max() <= 0.5
    assert found[0, 1].tolist() == [200, 0, 0]


def test_a_transparent_colour_of_a_palette_becomes_white():
    picture = Pillow.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putdata([0, 1])
    buffer = io.BytesIO()
    picture.save(buffer, "GIF", transparency=0)
    found = decode_file(buffer.getvalue(), image(1, "stretch").model_copy(update={"resize": 2}))
    assert found[0].tolist() == [[255, 255, 255], [40, 50, 60]]
