"""The roles of a measurement: fixed ones and, where the last is open, any number of that one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

# Ends the name of a role that any number of networks have, by their numbers.
OPEN = "*"


def fault_of(declared: Sequence[str]) -> str | None:
    """Return what is wrong with roles as a measurement declares them; None where nothing is.

    >>> fault_of(("first", "judge*")), fault_of(("judge*", "first"))
    (None, 'may have an open role, one that ends in *, at their end alone')
    """
    if any(OPEN in role[:-1] or role == OPEN for role in declared) or any(
        role.endswith(OPEN) for role in declared[:-1]
    ):
        return "may have an open role, one that ends in *, at their end alone"
    fixed, stem = _split(declared)
    if stem is not None and (stem[-1].isdigit() or any(_number(r, stem) for r in fixed)):
        return f"has numbered roles {stem}1, {stem}2, …, that no other may look like"
    return None


def roles_in(declared: Sequence[str], given: Collection[str]) -> tuple[str, ...] | None:
    """Return given roles in their order, fixed ones and then those with a number.

    Parameters
    ----------
    declared
        As a measurement declares them.

    Returns
    -------
    tuple of str or None
        None where they are not what is declared: a fixed one is missing, another is given, or the
        numbers do not go from 1 on without a gap.

    >>> roles_in(("first", "judge*"), {"judge2", "judge1", "first"})
    ('first', 'judge1', 'judge2')
    >>> roles_in(("first", "judge*"), {"first", "judge2"}) is None
    True
    """
    fixed, _ = _split(declared)
    roles = numbered(declared, len(given) - len(fixed))
    return roles if set(roles) == set(given) else None


def numbered(declared: Sequence[str], count: int) -> tuple[str, ...]:
    """Return declared roles, with so many of the open one if there is one.

    >>> numbered(("first", "judge*"), 2), numbered(("first",), 2)
    (('first', 'judge1', 'judge2'), ('first',))
    """
    fixed, stem = _split(declared)
    if stem is None:
        return fixed
    return (*fixed, *(f"{stem}{number}" for number in range(1, count + 1)))


def described(declared: Sequence[str]) -> str:
    """Return declared roles as an error names them.

    >>> described(("first", "judge*")), described(())
    ('first and any number of judge1, judge2, …', 'no network')
    """
    fixed, stem = _split(declared)
    more = "" if stem is None else f"any number of {stem}1, {stem}2, …"
    return " and ".join(filter(None, (", ".join(fixed), more))) or "no network"


def _split(declared: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Return the fixed roles, and the open one's name without its number; None without one."""
    if declared and declared[-1].endswith(OPEN):
        return tuple(declared[:-1]), declared[-1].removesuffix(OPEN)
    return tuple(declared), None


def _number(role: str, stem: str) -> bool:
    return role.startswith(stem) and role.removeprefix(stem).isdigit()
