"""The profile that ranks nothing: the identity judge over the engine that offers nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank import Candidate, Outcome, Profile, Reranker, Status, load_profile
from es_reasonrank.engines.base import Engine, TextEngine, VectorEngine
from es_reasonrank.engines.none import NoneEngine, NoneOptions
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.judges.identity import IdentityJudge, IdentityOptions

DOCUMENTS = ["alpha", "", "gamma", "alpha"]


@given(st.lists(st.text(max_size=9), max_size=30))
async def test_the_base_order_comes_out_again(texts: list[str]) -> None:
    ranking = await Reranker.load("identity").arank("why", texts)
    assert ranking.order == tuple(range(len(texts)))
    shown = tuple(place for place, text in enumerate(texts) if text.strip())
    assert ranking.trace.status is (Status.OK if len(shown) > 1 else Status.SKIPPED)
    if len(shown) > 1:
        (window,) = ranking.trace.windows
        assert (window.shown, window.order, window.outcome) == (shown, shown, Outcome.OK)
        assert (window.reply, window.prompt_tokens, window.generated_tokens) == ("", 0, 0)


async def test_it_is_a_ranking_like_any_other() -> None:
    ranking = await Reranker.load("identity").arank("why", DOCUMENTS, depth=3)
    assert ranking.scores == (1.0, 0.75, 0.5, 0.25)
    assert (ranking.trace.profile, ranking.trace.model) == ("identity", "none")


async def test_the_judge_leaves_a_window_as_it_is() -> None:
    judge = IdentityJudge(IdentityOptions(), NoneEngine(NoneOptions()))
    passages: Sequence[Candidate] = [Candidate(str(number), "text") for number in range(3)]
    verdict = await judge.judge("why", passages)
    assert (verdict.order, verdict.outcome, verdict.scores) == ((0, 1, 2), Outcome.OK, None)
    assert not judge.needs
    assert not judge.gives_scores


async def test_the_engine_offers_nothing_and_needs_nothing() -> None:
    engine = NoneEngine(NoneOptions())
    assert isinstance(engine, Engine)
    assert not isinstance(engine, (TextEngine, VectorEngine))
    assert engine.capabilities == frozenset()
    assert await engine.identity() == engine.model == "none"
    await engine.start()
    await engine.aclose()
    await engine.aclose()


def test_a_judge_that_asks_a_model_is_refused() -> None:
    profile = load_profile("rankgpt")
    with pytest.raises(SettingsError, match=r"needs an engine with text, and engine 'none' has nothing"):
        Reranker.load(Profile(**{**profile.model_dump(), "engine": {"name": "none"}}))


def test_there_is_nothing_to_set() -> None:
    for assignment in ("judge.template=listwise", "engine.model=m"):
        with pytest.raises(SettingsError, match="unknown key"):
            Reranker.load(load_profile("identity").assigned([assignment]))
