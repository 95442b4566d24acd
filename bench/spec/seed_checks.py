"""Whether the seeds of a place are independent: each its own networks, none that another has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.spec.cell import Cell, PlannedCell
from bench.spec.layers import Layers

# The roles that lead from a cell of the table to one behind it; () is the cell itself.
Path = tuple[str, ...]


def check_seeds(layers: Layers, cells: Sequence[PlannedCell]) -> None:
    """Check that no two seeds of a place draw from one seed, but for what is the same at all.

    What is the same cell at every seed, such as a stage with a seed of its own, is a condition
    under which all are compared. Everything else has to be another draw at each seed, or else
    tests over seeds take values for independent that are not.

    Raises
    ------
    SpecError
        For the first role whose networks two seeds of a place share, or draw alike.
    """
    by_id = {planned.cell.id: planned.cell for planned in cells}
    places: dict[int, list[PlannedCell]] = {}
    for planned in cells:
        # The cells of one place share it and differ in their seed alone.
        if planned.shown and planned.cell.parents:
            places.setdefault(id(planned.place), []).append(planned)
    for seeds in places.values():
        if len(seeds) > 1:
            _check_place(layers, [dict(_behind(p.cell, by_id)) for p in seeds])


def _behind(cell: Cell, by_id: Mapping[str, Cell], path: Path = ()) -> Iterator[tuple[Path, Cell]]:
    """Yield a cell and all that are behind it, by the roles that lead there."""
    yield path, cell
    for role, parent in cell.parents.items():
        yield from _behind(by_id[parent.id], by_id, (*path, role))


def _check_place(layers: Layers, seeds: Sequence[Mapping[Path, Cell]]) -> None:
    fixed = {p: cell for p, cell in seeds[0].items() if len({s[p].id for s in seeds}) == 1}
    shared = {cell.id: path for path, cell in fixed.items()}
    drawn: dict[int, tuple[int, Path]] = {}
    for behind in seeds:
        seed = behind[()].seed
        for path, cell in behind.items():
            if path in fixed:
                continue
            if cell.id in shared:
                raise _same_network(layers, seed, path, shared[cell.id])
            other, its_path = drawn.setdefault(cell.seed, (seed, path))
            if other != seed:
                added = path if cell.seed != seed else its_path
                raise _neighbours(layers, (other, seed), added, [s[()].seed for s in seeds])


def _same_network(layers: Layers, seed: int, path: Path, fixed: Path) -> Exception:
    loc = ("measure", "roles", fixed[0])
    return layers.source_of(*loc).error(
        f"at seed {seed} the network in the role {path[0]} is the one that this role has at every "
        "seed: that seed's value is another quantity than the others'",
        loc,
        "give this role a seed that is none of the suite's, such as 1000",
    )


def _neighbours(
    layers: Layers, pair: tuple[int, int], path: Path, seeds: Iterable[int]
) -> Exception:
    seeds = list(seeds)
    loc = ("measure", "roles", path[0], "seed_plus")
    return layers.source_of(*loc).error(
        f"the cells of seeds {pair[0]} and {pair[1]} share what is drawn, so that seeds are not "
        "independent",
        loc,
        f"add {max(seeds) - min(seeds) + 1} or more, better far more (1000), for further seeds",
    )
