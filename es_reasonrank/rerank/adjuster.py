"""The order adjuster: a small scorer that puts the head of a list into the order in which a large ranker reads it best.

Source: CoRanking (2503.23427). It goes by numbers, never by texts; `trainer adjuster` makes it from orders that were
tried.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from es_reasonrank.errors import DataError
from es_reasonrank.files import json_object, replacing

Feature = Literal["place", "score", "length"]
FEATURES: tuple[Feature, ...] = ("place", "score", "length")
"""Of a passage in the head: its place by the small ranker, 0 to 1; the small ranker's score, 0 to 1 in the head; the
logarithm of its words, less the head's mean."""
FILE = "adjuster.json"
_FORM = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a passage in the head."""

    words: int
    """Of its text."""
    score: float | None = None
    """The small ranker's, where it gives one."""


@dataclass(frozen=True)
class Adjuster:
    """A scorer with one hidden layer. It needs no torch: a head is 20 passages."""

    features: tuple[Feature, ...]
    inner: tuple[tuple[float, ...], ...]
    """Weights of each hidden unit, its bias last."""
    outer: tuple[float, ...]
    """Weight of each hidden unit."""

    def scores(self, head: Sequence[Seen]) -> list[float]:
        """A score for each passage of a head, given in the small ranker's order; the highest is shown first."""
        rows = observed(head, self.features)
        return [
            sum(weight * max(0.0, unit) for weight, unit in zip(self.outer, self._units(row), strict=True))
            for row in rows
        ]

    def order(self, head: Sequence[Seen]) -> tuple[int, ...]:
        """Places of the head in the order to show; equal scores keep the small ranker's."""
        scores = self.scores(head)
        return tuple(sorted(range(len(scores)), key=lambda place: -scores[place]))

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / FILE) as file:
            json.dump({"form": _FORM, **asdict(self)}, file)

    @classmethod
    def load(cls, path: Path) -> Adjuster:
        """The adjuster of a folder, or of a file.

        Raises:
            DataError: there is none, or it is of another form.
        """
        path = path / FILE if path.is_dir() else path
        try:
            values = json_object(path.read_text(encoding="utf-8"), path=path, line=1)
            if values["form"] != _FORM or set(values["features"]) - set(FEATURES):
                raise DataError("holds an adjuster of another version; train it again", path=str(path))
            return _whole(tuple(values["features"]), tuple(map(tuple, values["inner"])), tuple(values["outer"]))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"holds no adjuster: {error}", path=str(path)) from error

    def _units(self, row: Sequence[float]) -> list[float]:
        return [bias + sum(w * x for w, x in zip(weights, row, strict=True)) for *weights, bias in self.inner]


def _whole(features: tuple[Feature, ...], inner: tuple[tuple[float, ...], ...], outer: tuple[float, ...]) -> Adjuster:
    """An adjuster whose numbers fit one another.

    Raises:
        ValueError: they do not.
    """
    if len(inner) != len(outer) or any(len(unit) != len(features) + 1 for unit in inner):
        raise ValueError("its weights do not fit its features")
    if not all(isinstance(weight, int | float) for unit in (*inner, outer) for weight in unit):
        raise ValueError("a weight is no number")
    return Adjuster(features, inner, outer)


def observed(head: Sequence[Seen], features: Sequence[Feature] = FEATURES) -> list[tuple[float, ...]]:
    """What the scorer sees of each passage of a head. Where a score is missing, all count as 0."""
    size = len(head)
    given = [passage.score for passage in head if passage.score is not None]
    low, high = (min(given), max(given)) if len(given) == size else (0.0, 0.0)
    lengths = [math.log1p(passage.words) for passage in head]
    columns: dict[str, list[float]] = {
        "place": [place / max(size - 1, 1) for place in range(size)],
        "score": [((passage.score or 0.0) - low) / (high - low) if high > low else 0.0 for passage in head],
        "length": [length - sum(lengths) / size for length in lengths],
    }
    return list(zip(*(columns[name] for name in features), strict=True))
