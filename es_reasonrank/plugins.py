"""Strategies, judges and engines by name, through entry points: ours and a third party's alike."""

from __future__ import annotations

from typing import Any, Literal

from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.validation import nearest

Axis = Literal["strategies", "judges", "engines"]


def names(axis: Axis) -> list[str]:
    """The names found on one axis."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group=f"es_reasonrank.{axis}")})


def find(axis: Axis, name: str, *, where: str) -> Any:
    """The class of that name.

    Raises:
        SettingsError: no such name.
        MissingError: it is there, but a package that it needs is not.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group=f"es_reasonrank.{axis}", name=name):
        try:
            return point.load()
        except ImportError as error:
            raise MissingError(f"{where}: {name!r} needs the package {error.name}; install it") from error
    singular = {"strategies": "strategy", "judges": "judge", "engines": "engine"}[axis]
    raise SettingsError(f"{where}: unknown {singular} {name!r}{nearest(name, names(axis))}")
