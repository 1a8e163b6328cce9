"""The adjuster: a scorer of the passages of a head, and the order that it makes of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Literal

from es_reasonrank.errors import DataError, InputError
from es_reasonrank.files import json_object, replacing
from es_reasonrank.types import Candidate

Feature = Literal["place", "score", "length"]
FEATURES: tuple[Feature, ...] = ("place", "score", "length")
"""Of a passage in the head: its place by the small ranker, 0 to 1; the small ranker's score, 0 to 1 in the head; the
logarithm of its words, less the head's mean."""
Policy = Literal["small", "reversed", "random", "learned"]
_FILE = "adjuster.json"
_FORM = 1


@dataclass(frozen=True)
class Adjuster:
    """A scorer with one hidden layer. It needs no torch: a head is 20 passages."""

    features: tuple[Feature, ...]
    inner: tuple[tuple[float, ...], ...]
    """Weights of each hidden unit, its bias last."""
    outer: tuple[float, ...]
    """Weight of each hidden unit."""

    def scores(self, candidates: Sequence[Candidate]) -> list[float]:
        """A score for each passage of a head, given in the small ranker's order; the highest is shown first."""
        rows = observed(candidates, self.features)
        return [
            sum(weight * max(0.0, unit) for weight, unit in zip(self.outer, self._units(row), strict=True))
            for row in rows
        ]

    def order(self, candidates: Sequence[Candidate]) -> tuple[int, ...]:
        """Places of the head in the order to show; equal scores keep the small ranker's."""
        scores = self.scores(candidates)
        return tuple(sorted(range(len(scores)), key=lambda place: -scores[place]))

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / _FILE) as file:
            json.dump({"form": _FORM, **asdict(self)}, file)

    @classmethod
    def load(cls, folder: Path) -> Adjuster:
        """The adjuster of a folder.

        Raises:
            DataError: there is none, or it is of another form.
        """
        path = folder / _FILE
        try:
            values = json_object(path.read_text(encoding="utf-8"), path=path, line=1)
            if values["form"] != _FORM or set(values["features"]) - set(FEATURES):
                raise DataError("holds an adjuster of another version; train it again", path=str(path))
            return cls(tuple(values["features"]), tuple(map(tuple, values["inner"])), tuple(values["outer"]))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
        except (KeyError, TypeError) as error:
            raise DataError(f"holds no adjuster: {error}", path=str(path)) from error

    def _units(self, row: Sequence[float]) -> list[float]:
        return [bias + sum(w * x for w, x in zip(weights, row, strict=True)) for *weights, bias in self.inner]


def observed(candidates: Sequence[Candidate], features: Sequence[Feature] = FEATURES) -> list[tuple[float, ...]]:
    """What the scorer sees of each passage of a head. Where a score is missing, all count as 0."""
    size = len(candidates)
    given = [candidate.score for candidate in candidates if candidate.score is not None]
    low, high = (min(given), max(given)) if len(given) == size else (0.0, 0.0)
    lengths = [math.log1p(len(candidate.text.split())) for candidate in candidates]
    columns: dict[str, list[float]] = {
        "place": [place / max(size - 1, 1) for place in range(size)],
        "score": [((candidate.score or 0.0) - low) / (high - low) if high > low else 0.0 for candidate in candidates],
        "length": [length - sum(lengths) / size for length in lengths],
    }
    return list(zip(*(columns[name] for name in features), strict=True))


def shown(
    policy: Policy, candidates: Sequence[Candidate], *, random: Random | None = None, adjuster: Adjuster | None = None
) -> tuple[int, ...]:
    """Places of a head, given in the small ranker's order, in the order in which a policy shows them.

    Raises:
        InputError: the policy lacks its random numbers or its adjuster.
    """
    places = tuple(range(len(candidates)))
    match policy:
        case "small":
            return places
        case "reversed":
            return places[::-1]
        case "random" if random is not None:
            return tuple(random.sample(places, len(places)))
        case "learned" if adjuster is not None:
            return adjuster.order(candidates)
    raise InputError(f"policy {policy!r} needs {'random numbers' if policy == 'random' else 'a trained adjuster'}")
