"""Strict YAML: numbers are numbers, words are words, a repeated key is an error, lines are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.errors import SpecError

Key = str | int
Where = tuple[Key, ...]

# YAML 1.2's core schema; PyYAML implements 1.1, where `1e-3` is a string and `no` is false.
_INT = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_CLEARLY_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9_+ /.-]*\Z")
# No text has a use for these: they steer terminals, or turn the direction of what follows.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
# What PyYAML's resolver gives to untagged nodes.
_TAGS = frozenset(
    ["map", "seq", "str", "int", "float", "bool", "null", "timestamp", "value", "merge"]
)
# Far more than any suite has: beyond these, reading alone takes minutes, or ends the process.
_MAX_BYTES = 2_000_000
_MAX_NODES = 2_000_000
_MAX_DEPTH = 100
_MAX_INT = 2**63
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the line of every key and item (from 1)."""

    file: Path
    data: Any
    lines: Mapping[Where, int]

    def line(self, where: Sequence[Key]) -> int | None:
        """Return the line of the longest known prefix of a path."""
        path = tuple(where)
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path)


def load_yaml(file: Path) -> Document:
    """Read one YAML file strictly.

    Raises
    ------
    SpecError
        If it cannot be read, is too large or too deep, is not YAML, repeats a key, or uses a
        tag, a merge key or an alias inside itself.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise SpecError(
                f"is larger than {_MAX_BYTES / 1e6:g} MB", file=file, remedy="is this a suite?"
            )
        text = data.decode("utf-8")
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror or error}", file=file) from None
    except UnicodeDecodeError:
        raise SpecError("is not UTF-8 text", file=file) from None
    return parse_yaml(text, file)


def parse_yaml(text: str, file: Path) -> Document:
    """Parse YAML text; ``file`` is only named in errors."""
    parser = None
    try:
        _check_depth(text, file)
        # The constructor already reads the start of the text, and may refuse it.
        parser = _Parser(text)
        node = parser.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        message = error.problem or error.context or "is not valid"
        raise SpecError(f"not valid YAML: {message}", file=file, line=line) from None
    except yaml.YAMLError as error:
        raise SpecError(f"not valid YAML: {error}", file=file) from None
    finally:
        if parser is not None:
            parser.dispose()
    if node is None:
        raise SpecError("is empty", file=file, line=1)
    reader = _Reader(file)
    data = reader.read(node, ())
    return Document(file, data, reader.lines)


def dump_yaml(data: Any) -> str:
    """Return plain data as text that :func:`parse_yaml` reads as the same."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


class _Dumper(yaml.SafeDumper):
    """Quotes all text that is not clearly text: PyYAML takes `1e-3` for a word, and we do not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if _CLEARLY_TEXT.match(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _check_depth(text: str, file: Path) -> None:
    # libyaml makes nodes by recursion in C, and would end the process; its events are flat.
    parser = _Parser(text)
    depth = 0
    try:
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _MAX_DEPTH:
                    mark = event.start_mark
                    raise _too_deep(file, mark.line + 1 if mark else None)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    finally:
        parser.dispose()


def _too_deep(file: Path, line: int | None) -> SpecError:
    return SpecError(f"is nested more than {_MAX_DEPTH} deep", file=file, line=line)


class _Reader:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[Where, int] = {}
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: yaml.Node, where: Where) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(where, line)
        self._count += 1
        if self._count > _MAX_NODES:
            raise SpecError("is too large (aliases multiply it)", file=self.file, line=line)
        if str(node.tag).removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise SpecError(f"tags such as {node.tag} are not allowed", file=self.file, line=line)
        if id(node) in self._open:
            raise SpecError("an alias contains itself", file=self.file, line=line)
        if len(where) > _MAX_DEPTH:
            # Aliases of aliases go deeper than the text does.
            raise _too_deep(self.file, line)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, where)
            if isinstance(node, yaml.SequenceNode):
                return [self.read(child, (*where, i)) for i, child in enumerate(node.value)]
            return self._scalar(node, line)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise SpecError("a key must be a word or a number", file=self.file, line=line)
            # Keys keep their text: `0.15: 15%` has the key "0.15".
            key = self._text(key_node, line)
            if key == "<<":
                raise SpecError(
                    "merge keys are not supported",
                    file=self.file, line=line, remedy="write the keys out, or use a profile",
                )  # fmt: skip
            if key in result:
                first = self.lines[(*where, key)]
                raise SpecError(
                    f"repeated key {key!r} (first on line {first})",
                    file=self.file, line=line, remedy="remove one of the two",
                )  # fmt: skip
            self.lines[(*where, key)] = line
            result[key] = self.read(value_node, (*where, key))
        return result

    def _text(self, node: yaml.Node, line: int) -> str:
        text = str(node.value)
        if found := _CONTROL.search(text):
            # It would reach terminals and pages.
            raise SpecError(
                f"has the control character {found[0]!r}", file=self.file, line=line,
                remedy="leave it out",
            )  # fmt: skip
        return text

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        text = self._text(node, line)
        if getattr(node, "style", None):
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.match(text):
            return self._whole(text, line)
        if _FLOAT.match(text):
            value = float(text)
            if value in (float("inf"), float("-inf")):
                raise SpecError(f"{text} is too large a number", file=self.file, line=line)
            return value
        return text

    def _whole(self, text: str, line: int) -> int:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        digits = text[2:] if base != 10 else text
        # Python itself refuses to read thousands of digits.
        value = int(digits, base) if len(digits) < 100 else _MAX_INT
        if abs(value) >= _MAX_INT:
            short = text if len(text) < 30 else f"{text[:20]}…"
            raise SpecError(f"{short} is too large a number", file=self.file, line=line)
        return value
