"""PNG of small images, without compression: the same bytes whatever library is installed."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STORED = 0xFFFF
_INLINE = re.compile(r"(data:image/png;base64,)\s*([A-Za-z0-9+/=\s]+)")


def stored_images(svg: str) -> str:
    """Return an SVG whose PNG images are written as ``png`` writes them, transparent as white."""
    return _INLINE.sub(lambda found: found[1] + _again(found[2]), svg)


def _again(content: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, image).convert("RGB"))
    return base64.b64encode(png(pixels)).decode()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels ``(h, w, 3)`` as a PNG file (ISO/IEC 15948)."""
    height, width, _ = pixels.shape
    # Each row begins with its filter: none.
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", _stored(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _stored(raw: bytes) -> bytes:
    """Return a zlib stream of blocks that are stored as they are (RFC 1950, RFC 1951)."""
    blocks = []
    for start in range(0, len(raw), _STORED):
        part = raw[start : start + _STORED]
        last = start + _STORED >= len(raw)
        blocks.append(struct.pack("<BHH", last, len(part), len(part) ^ _STORED) + part)
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(raw))
