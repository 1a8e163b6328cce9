"""Asking again, by outcome."""

from __future__ import annotations

import pytest

from es_reasonrank import Outcome, Ranking, Reranker
from es_reasonrank.engines.base import Request
from es_reasonrank.errors import EngineError, SettingsError
from es_reasonrank.rerank.profile import profile_from
from tests.unit.fakes import Reply, ScriptedEngine, listwise


async def ranked(replies: list[Reply], retry: dict[str, object]) -> tuple[Ranking, list[Request]]:
    script = iter(replies)
    engine = ScriptedEngine(lambda request: next(script))
    profile = profile_from({**listwise().model_dump(), "retry": retry}, where="profile small")
    return await Reranker.load(profile, engine=engine).arank("why", ["a", "b"]), engine.requests


async def test_a_malformed_reply_is_asked_for_again_cooler() -> None:
    ranking, requests = await ranked(["what?", "[2] > [1]"], {"malformed": {"temperature": 0.3}})
    assert ranking.order == (1, 0)
    (window,) = ranking.trace.windows
    assert (window.outcome, window.attempts, window.generated_tokens) == (Outcome.OK, 2, 2)
    assert [request.sampling.temperature for request in requests] == [0.0, 0.3]


async def test_only_as_often_as_the_rule_says() -> None:
    ranking, requests = await ranked(["what?"] * 3, {"malformed": {"times": 2}})
    assert ranking.trace.outcomes == {Outcome.MALFORMED: 1}
    assert len(requests) == ranking.trace.windows[0].attempts == 3


async def test_each_outcome_has_its_own_rule() -> None:
    lost = EngineError("gone", engine="scripted")
    rules = {"engine_error": {"times": 1}, "malformed": {"times": 1}}
    ranking, _ = await ranked([lost, "what?", "[2] > [1]"], rules)
    assert ranking.trace.windows[0].attempts == 3
    ranking, requests = await ranked([lost, lost], {"malformed": {}})
    assert ranking.trace.outcomes == {Outcome.ENGINE_ERROR: 1}
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("retry", "sentence"),
    [
        ({"ok": {}}, "outcome 'ok' is never asked about again"),
        ({"deadline": {}}, "outcome 'deadline' is never asked about again"),
        ({"malformd": {}}, "malformd"),
        ({"malformed": {"times": 0}}, "times"),
        ({"malformed": {"tmes": 1}}, "unknown key 'retry.malformed.tmes' (did you mean 'times'?)"),
    ],
)
def test_a_rule_that_is_none(retry: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        profile_from({**listwise().model_dump(), "retry": retry}, where="profile small")
    assert sentence in str(caught.value)


def test_a_judge_that_draws_no_tokens_has_no_temperature() -> None:
    values = listwise().model_dump() | {
        "strategy": {"name": "pointwise"},
        "judge": {"name": "encoder"},
        "engine": {"name": "sentence_transformers", "model": "x"},
        "retry": {"malformed": {"temperature": 1.0}},
    }
    with pytest.raises(SettingsError, match="judge 'encoder' draws no tokens"):
        Reranker.load(profile_from(values, where="profile small"))
