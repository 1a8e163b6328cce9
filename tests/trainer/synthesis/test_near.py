"""What counts as the same text, or nearly so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.synthesis.near import Near, jaccard, normalised, shingles

TEXTS = {
    "long": "what are the long term effects of a high protein diet on the kidneys of adults",
    "short": "what is the capital of france",
}


@pytest.mark.parametrize(
    ("text", "found", "exact"),
    [
        (TEXTS["long"], ["long"], True),
        ("What are the LONG-TERM effects of a high-protein diet, on the kidneys of adults?", ["long"], True),
        ("what are the long term effects of a high protein diet on the liver of adults", ["long"], False),
        ("which long term effects has a diet of much protein on adults", [], False),
        ("what is the capital of spain", [], False),
        ("what is the capital of France?", ["short"], True),
        ("", [], False),
        ("?!", [], False),
    ],
)
def test_a_text_is_found_again(text: str, found: list[str], exact: bool) -> None:
    matches = Near(TEXTS).matches(text)
    assert [match.id for match in matches] == found
    assert all(match.exact is exact for match in matches)


def test_similarity_by_hand() -> None:
    """Of a b c and a b d: words {a, b} of {a, b, c, d}, pairs {a b} of {a b, b c, b d}; 3 of 7."""
    assert jaccard(shingles("a b c"), shingles("a b d")) == pytest.approx(3 / 7)


def test_texts_without_letters_are_none() -> None:
    assert not Near({"a": "...", "b": ""}).matches("---")


words = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=14).map(" ".join)


@given(texts=st.lists(words, min_size=1, max_size=12), text=words, least=st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]))
def test_no_pair_that_is_near_enough_is_missed(texts: list[str], text: str, least: float) -> None:
    named = {str(place): each for place, each in enumerate(dict.fromkeys(texts))}
    expected = {
        name for name, each in named.items() if jaccard(shingles(text), shingles(normalised(each))) >= least - 1e-9
    }
    assert {match.id for match in Near(named, least=least).matches(text)} == expected
