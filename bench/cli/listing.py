"""What a suite may name: suites, datasets, backbones, parts, metrics, as rows of text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import SpecError, UserError, did_you_mean

Row = tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A kind of thing: what is told of each, and who tells it. The first column is its name."""

    header: Row
    rows: Callable[[], Iterator[Row]]

    def matching(self, words: Sequence[str]) -> list[Row]:
        """Return the rows in which every word stands, in whatever column and case.

        Raises
        ------
        SpecError
            If there is none.
        """
        every = list(self.rows())
        wanted = [word.casefold() for word in words]
        found = [row for row in every if all(word in _searched(row) for word in wanted)]
        if not found:
            # A name first; then a word of another column, such as a kind of parts.
            told = dict.fromkeys(row[column] for column in (0, 1) for row in every)
            near = did_you_mean(" ".join(words), told, "bench list KIND")
            raise SpecError(f"nothing here matches {' '.join(words)!r}", remedy=near)
        return found


def _searched(row: Row) -> str:
    return "\n".join(row).casefold()


def _suites() -> Iterator[Row]:
    from bench.spec.find import known_suites
    from bench.spec.layers import profile_names, read_layers

    for name, file in known_suites().items():
        try:
            profiles = profile_names(file)
            shown = "offline" if "offline" in profiles else profiles[0]
            yield name, ", ".join(profiles), read_layers(file, shown).title
        except UserError as error:
            yield name, "", f"cannot be read: {error.message}"


def _datasets() -> Iterator[Row]:
    from bench.spec.catalogue import entry, names

    for name in names():
        known = entry(name)
        rows = [f"{n:,}" if n else "?" for n in (known.rows.train, known.rows.test)]
        told = " / ".join(rows) if known.rows.train or known.rows.test else ""
        classes = f"{known.classes:,}" if known.classes else ""
        yield name, known.kind, known.modality, classes, told, known.title


def _backbones() -> Iterator[Row]:
    from bench.models.shipped import shipped_names, shipped_weights
    from bench.spec.backbones import architectures, version
    from bench.spec.parts import built_in_parts

    shipped: dict[str, list[str]] = {}
    for weights in shipped_names():
        shipped.setdefault(shipped_weights(weights).backbone, []).append(f"shipped:{weights}")
    for (kind, name), part in built_in_parts().items():
        if kind == "network":
            yield name, "retable", ", ".join(["random", *shipped.get(name, [])]), part.about
    for name, tags in architectures().items():
        weights = ", ".join(["random", *shipped.get(name, []), *(["timm"] if tags else [])])
        yield name, f"timm {version()}", weights, " ".join(f"{name}.{tag}" for tag in tags)


def _parts() -> Iterator[Row]:
    from bench.spec.parts import built_in_parts

    for (kind, name), part in built_in_parts().items():
        fields = part.parameters.model_fields
        given = ", ".join(f"{key}: {_default(field.default)}" for key, field in fields.items())
        yield name, kind, given, part.about


def _default(value: object) -> str:
    try:
        return json.dumps(value)
    except TypeError:
        return str(value)


def _metrics() -> Iterator[Row]:
    from bench.spec.parts import built_in_parts

    for (kind, part), of in built_in_parts().items():
        if kind in ("objective", "measurement"):
            # An objective scores splits, each under its own name.
            split = "test/" if kind == "objective" else ""
            declared: Mapping[str, tuple[str, str]] = of.metrics
            for name, (unit, best) in declared.items():
                yield f"{split}{name}", unit, best, f"{kind} {part}"


LISTINGS = {
    "suites": Listing(("suite", "profiles", "title"), _suites),
    "datasets": Listing(
        ("dataset", "kind", "rows are", "classes", "train / test rows", "title"), _datasets
    ),
    "backbones": Listing(("backbone", "of", "weights", "tags, or what it is"), _backbones),
    "parts": Listing(("part", "kind", "parameters", "what it is"), _parts),
    "metrics": Listing(("metric", "unit", "better", "of"), _metrics),
}
