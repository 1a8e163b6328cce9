"""The versions of Elasticsearch that can be embedded, and the Java that each needs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from es_reasonrank.elastic.embedded.jdks import Jdk, NoJdk, first, wanted
from es_reasonrank.errors import SettingsError

DEFAULTS = ("9.5.3", "8.19.21")
"""The versions that the tests run on, the preferred one first."""
_JAVA = {8: 17, 9: 21}
_OLDEST = {8: (8, 19, 0), 9: (9, 1, 0)}
"""Older ones have other classes inside, which the Java sources beside this file do not fit."""


def major(version: str) -> int:
    """The 9 of 9.5.3."""
    return numbers(version)[0]


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, which compare as versions do."""
    return tuple(int(part) for part in version.split("."))


def java_of(version: str) -> int:
    """The oldest Java that a version runs on."""
    return _JAVA[major(version)]


def full(version: str) -> str:
    """A version as a user gives it, in full: "9" is 9.5.3.

    Raises:
        SettingsError: it is no version that can be embedded.
    """
    for default in DEFAULTS:
        if version == str(major(default)):
            return default
    if not re.fullmatch(r"[89]\.\d+\.\d+", version) or numbers(version) < _OLDEST[major(version)]:
        raise SettingsError(
            f"Elasticsearch {version!r} cannot be embedded; choose {' or '.join(DEFAULTS)}, "
            "or another release from 8.19.0 or 9.1.0 on"
        )
    return version


def choose(version: str | None, last: str | None, found: Sequence[Jdk | NoJdk]) -> tuple[str, Jdk]:
    """The version to run, and the JDK to run it on.

    Args:
        version: what the user asks for, in full.
        last: what ran last on the data folder: without a wish, its indices must be there again.
        found: what Java there is, the preferred one first.

    Raises:
        MissingError: no JDK fits.
    """
    if version is None and last is not None:
        version = max(last, *(default for default in DEFAULTS if major(default) == major(last)), key=numbers)
    for candidate in (version,) if version else DEFAULTS:
        jdk = first(found, java_of(candidate))
        if jdk is not None:
            return candidate, jdk
    raise wanted(candidate, java_of(candidate), found)
