"""A strategy that asks two rankers, on real models: the encoder over all, a language model over the head."""

from __future__ import annotations

import pytest

from es_reasonrank import Outcome, Reranker, Status, load_profile
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.profile import Profile

TEXTS = [
    "Cats sleep for most of the day and hunt at dusk.",
    "A blue whale is the largest animal that has ever lived.",
    "Paint dries faster in warm and moving air.",
    "Air molecules scatter short wavelengths of sunlight, blue, far more than long ones, red.",
    "Seen from the Moon, where there is no air, the sky is black even by day.",
]


def cascade(*changes: str) -> Profile:
    """CoRanking's profile with the embedded language model as its large ranker."""
    small = load_profile("embedded")
    return (
        load_profile("coranking")
        .assigned(["strategy.head=3", *changes])
        .model_copy(update={"judge": {**small.judge, "constrained": True}, "engine": small.engine})
    )


async def test_the_small_ranker_finds_and_the_large_one_orders_the_head() -> None:
    async with Reranker.load(cascade()) as reranker:
        ranking = await reranker.arank("why is the sky blue", TEXTS)
        assert len(reranker.ranker.engines) == 2
    stages = [window.stage for window in ranking.trace.windows]
    assert stages == ["small"] * 5 + [""]
    large = ranking.trace.windows[-1]
    assert large.outcome is Outcome.OK
    assert set(large.shown) == set(ranking.order[:3])
    assert {3, 4} <= set(large.shown)
    assert ranking.order[:3] == large.order
    assert ranking.trace.status is Status.OK


def test_a_ranker_is_no_stage_of_itself() -> None:
    with pytest.raises(SettingsError, match="profile coranking is a stage of itself: coranking > coranking"):
        Reranker.load(cascade("strategy.small=coranking"))


def test_a_stage_that_is_unknown() -> None:
    with pytest.raises(SettingsError, match=r"unknown profile 'encodr' \(did you mean 'encoder'\?\)"):
        Reranker.load(cascade("strategy.small=encodr"))
