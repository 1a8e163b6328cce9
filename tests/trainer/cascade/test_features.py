"""Features of candidates."""

from __future__ import annotations

import math

import pytest
import torch

from es_reasonrank.errors import InputError
from es_reasonrank.types import Candidate
from trainer.cascade.features import CHEAP, COSTLY, NAMES, Pool, cheap, costly, lists, rarity, similarities

CANDIDATES = [
    Candidate("a", "Why the sky is blue.", "Sky", 8.0),
    Candidate("b", "Blue paint dries.", "", 2.0),
]


def test_cheap_features_by_hand() -> None:
    rows = cheap("Blue sky?", CANDIDATES, {"blue": 1.0, "sky": 3.0})
    assert len(rows[0]) == len(CHEAP)
    assert rows[0] == pytest.approx((8, 1, 0, math.log(6), math.log(3), 1, 0.5, 1))
    assert rows[1] == pytest.approx((2, 0.25, math.log(2), math.log(4), math.log(3), 0.5, 0, 0.25))


def test_an_empty_query_and_a_search_without_scores_give_numbers() -> None:
    rows = cheap("?", [Candidate("a", "", score=None)], {})
    assert rows == [(0, 0, 0, 0, 0, 0, 0, 0)]


def test_costly_features_by_hand() -> None:
    rows = costly([0.25, 0.75, 0.5])
    assert len(rows[0]) == len(COSTLY)
    assert rows == [(0.25, -0.5, math.log(3)), (0.75, 0, 0), (0.5, -0.25, math.log(2))]
    assert costly([]) == []


def test_rare_words_weigh_more() -> None:
    rare = rarity(["The sky", "the SEA", "the sea is salt"])
    assert rare["the"] == pytest.approx(math.log(2))
    assert rare["sea"] == pytest.approx(math.log(1 + 3 / 2))
    assert rare["salt"] == rare["sky"] == pytest.approx(math.log(4))


def test_lists_are_padded_and_judged() -> None:
    pool = Pool({"1": "sky", "2": "paint", "3": "sea"}, {"1": CANDIDATES, "2": CANDIDATES[1:], "3": []})
    made = lists(pool, {"1": {"a": 2, "b": 0}, "2": {"c": 1}}, {"1": [0.5, 0.1], "2": [0.2], "3": []}, {})
    assert made.queries == ("1", "2")
    assert made.documents == (("a", "b"), ("b",))
    assert made.features.shape == (2, 2, len(NAMES))
    assert made.mask.tolist() == [[True, True], [True, False]]
    assert made.relevant.tolist() == [[1, 0], [0, 0]]
    assert made.features[0, 0].tolist() == pytest.approx([*cheap("sky", CANDIDATES, {})[0], *costly([0.5, 0.1])[0]])
    assert made.features[1, 1].abs().sum() == 0
    assert made.teaching.queries == ("1",)
    assert made.part([1]).documents == (("b",),)


def test_without_any_candidate_there_is_no_list() -> None:
    with pytest.raises(InputError, match="no query has a candidate"):
        lists(Pool({"1": "sky"}, {"1": []}), {}, {"1": []}, {})


def test_similarity_is_the_cosine_of_query_and_passage() -> None:
    pool = Pool({"1": "why is the sky blue", "2": "nothing"}, {"1": CANDIDATES, "2": []})
    found = similarities(pool)
    assert found["2"] == []
    assert 1 >= found["1"][0] > found["1"][1] > -1
    same = similarities(Pool({"1": "Sky\nWhy the sky is blue."}, {"1": CANDIDATES[:1]}))
    assert torch.tensor(same["1"]).tolist() == pytest.approx([1.0], abs=1e-5)
