"""What a remembered verdict is found by, and how long it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from es_reasonrank import Candidate, Outcome, Reranker
from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.rerank.cache import MemoryCache
from es_reasonrank.types import Verdict
from tests.unit.fakes import ScriptedEngine, listwise, reverse

DOCUMENTS = ["a", "b", "c"]


class Revision(ScriptedEngine):
    """An engine whose weights have a name."""

    def __init__(self, identity: str = "weights 1") -> None:
        super().__init__(reverse)
        self.weights = identity

    async def identity(self) -> str:
        return self.weights


async def asked(cache: MemoryCache, engine: ScriptedEngine, query: str = "why", **changed: Any) -> int:
    """How many prompts a ranking puts to the engine."""
    documents = changed.pop("documents", DOCUMENTS)
    before = len(engine.requests)
    await Reranker.load(listwise(**changed), engine=engine, cache=cache).arank(query, documents)
    return len(engine.requests) - before


async def test_the_same_question_is_asked_once() -> None:
    cache, engine = MemoryCache(), Revision()
    assert await asked(cache, engine) == 1
    assert await asked(cache, engine) == 0
    assert await asked(cache, Revision()) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"query": "how"},
        {"documents": ["a", "c", "b"]},
        {"documents": ["a", "b", "d"]},
        {"documents": [Candidate("0", "a", title="t"), "b", "c"]},
        {"passage_tokens": 7},
        {"answer_tokens": 7},
        {
            "identifiers": "letters",
            "template": {"method": "singleturn_listwise", "body": "[{rank}] {candidate} {query}"},
        },
        {"sampling": {"temperature": 0.5, "seed": 1}},
        {"thinking": True},
        {"chat_options": {"enable_thinking": True}},
    ],
)
async def test_whatever_can_change_an_answer_changes_the_key(changed: dict[str, Any]) -> None:
    if "template" in changed:
        changed["template"] = {"method": "singleturn_listwise", "prefix": "{query}", "body": "[{rank}] {candidate}"}
    cache, engine = MemoryCache(), Revision()
    await asked(cache, engine)
    assert await asked(cache, engine, **changed) >= 1


async def test_other_weights_get_another_key() -> None:
    cache = MemoryCache()
    await asked(cache, Revision("weights 1"))
    assert await asked(cache, Revision("weights 2")) == 1


async def test_only_orders_are_remembered() -> None:
    """A failure may pass, and what is drawn at random is drawn anew."""
    cache = MemoryCache()
    cut = ScriptedEngine(lambda request: Completion("[1] > ", Finish.LENGTH))
    assert [await asked(cache, cut) for _ in range(2)] == [1, 1]
    drawn = ScriptedEngine(reverse)
    assert [await asked(cache, drawn, sampling={"temperature": 1.0}) for _ in range(2)] == [1, 1]


async def test_a_remembered_window_says_so_and_costs_no_tokens() -> None:
    cache = MemoryCache()
    rerankers = [Reranker.load(listwise(), engine=ScriptedEngine(reverse), cache=cache) for _ in range(2)]
    first, second = [await reranker.arank("why", DOCUMENTS) for reranker in rerankers]
    assert first.order == second.order == (2, 1, 0)
    assert [window.cached for window in (*first.trace.windows, *second.trace.windows)] == [False, True]
    assert (first.trace.generated_tokens, second.trace.generated_tokens) == (1, 0)
    assert [(each.ranker.counts.hits, each.ranker.counts.misses) for each in rerankers] == [(0, 1), (1, 0)]
    assert rerankers[1].ranker.counts.rate == 1.0


async def test_it_is_bounded_in_number_and_in_time() -> None:
    verdict = Verdict((0,), Outcome.OK)
    small = MemoryCache(size=2)
    for key in "abc":
        await small.put(key, verdict)
    assert [await small.get(key, 1) for key in "abc"] == [None, verdict, verdict]
    brief = MemoryCache(ttl=0.0)
    await brief.put("a", verdict)
    assert await brief.get("a", 1) is None
