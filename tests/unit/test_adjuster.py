"""The order adjuster as it serves: what it sees, what it makes of that, and its file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from es_reasonrank.errors import DataError
from es_reasonrank.rerank.adjuster import FEATURES, Adjuster, Seen, observed

HEAD = [Seen(3, 9.0), Seen(1, 3.0), Seen(0, 6.0)]
LENGTH = math.log1p(1) / 3 + math.log1p(3) / 3


def test_features_by_hand() -> None:
    assert observed(HEAD) == [
        pytest.approx((0, 1, math.log1p(3) - LENGTH)),
        pytest.approx((0.5, 0, math.log1p(1) - LENGTH)),
        pytest.approx((1, 0.5, -LENGTH)),
    ]
    assert observed(HEAD, ["place"]) == [(0.0,), (0.5,), (1.0,)]


def test_without_scores_and_with_a_single_passage_features_are_numbers() -> None:
    assert observed([Seen(1), Seen(1, 1.0)]) == [(0, 0, 0), (1, 0, 0)]
    assert observed([Seen(1, 3.0)]) == [(0, 0, 0)]


def test_the_scorer_by_hand() -> None:
    """Two units: max(0, 1 - 2 place) and max(0, place), weighed 1 and 3."""
    adjuster = Adjuster(("place",), ((-2.0, 1.0), (1.0, 0.0)), (1.0, 3.0))
    assert adjuster.scores(HEAD) == pytest.approx([1.0, 1.5, 3.0])
    assert adjuster.order(HEAD) == (2, 1, 0)


def test_equal_scores_keep_the_small_rankers_order() -> None:
    assert Adjuster(("place",), ((0.0, 1.0),), (1.0,)).order(HEAD) == (0, 1, 2)


def test_it_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    adjuster = Adjuster(FEATURES, ((0.1, -0.2, 1 / 3, 0.0),), (0.7,))
    adjuster.save(tmp_path / "adjuster")
    assert Adjuster.load(tmp_path / "adjuster") == Adjuster.load(tmp_path / "adjuster" / "adjuster.json") == adjuster


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("[1]", "must be a JSON object"),
        ('{"form": 1}', "holds no adjuster"),
        ('{"form": 1, "features": ["place"], "inner": 3, "outer": []}', "holds no adjuster"),
        ('{"form": 1, "features": ["place"], "inner": [[1.0]], "outer": [1.0]}', "weights do not fit its features"),
        ('{"form": 1, "features": ["place"], "inner": [[1.0, "x"]], "outer": [1.0]}', "a weight is no number"),
        ('{"form": 2, "features": ["place"], "inner": [], "outer": []}', "another version"),
        ('{"form": 1, "features": ["colour"], "inner": [], "outer": []}', "another version"),
    ],
)
def test_a_folder_without_an_adjuster_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "adjuster.json").write_text(content)
    with pytest.raises(DataError, match=rf"adjuster\.json.*{words}"):
        Adjuster.load(tmp_path)
