"""Text for a terminal: whatever a record or a file of the user's says, it steers nothing."""

from __future__ import annotations

import re

# Control characters, and what turns the direction of text or cannot be written.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return text in which what would steer a terminal is written out; lines and tabs stay.

    As JSON writes it, so that JSON stays JSON.

    >>> printable("\x1b[31mred")
    '\\u001b[31mred'
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
