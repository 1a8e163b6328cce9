"""Reasoning within a budget: where an answer begins, however the reasoning ended."""

from __future__ import annotations

import pytest

from es_reasonrank.engines.base import Completion, Finish, Request
from es_reasonrank.rerank.judges.thinking import Chain, closed, reason
from es_reasonrank.types import Candidate, Outcome
from tests.unit.fakes import Reply, ScriptedEngine

REQUEST = Request(({"role": "user", "content": "why"},), max_tokens=99)
LEAD = "\n<answer>"


async def chain_of(reply: Reply, *, budget: int = 7, prefix: str = "") -> tuple[Chain, list[Request]]:
    engine = ScriptedEngine(lambda request: reply)
    request = Request(REQUEST.messages, max_tokens=99, prefix=prefix)
    return await reason(engine, request, budget=budget, lead=LEAD), engine.requests


async def test_a_chain_that_the_model_closes() -> None:
    chain, requests = await chain_of(Completion("<think>because</think>\n\n", Finish.STOP, "", 5, 3))
    assert chain.request.prefix == "<think>because\n</think>\n<answer>"
    assert (chain.reasoning, chain.outcome, chain.detail, chain.forced) == ("because", Outcome.OK, "", False)
    assert [(request.max_tokens, request.stop) for request in requests] == [(7, ("</think>",))]
    answer = chain.with_answer(Completion("[1]</answer>", Finish.STOP, prompt_tokens=9, generated_tokens=2))
    assert answer.text == "<think>because\n</think>\n<answer>[1]</answer>"
    assert (answer.prompt_tokens, answer.generated_tokens) == (5, 5)


async def test_a_chain_over_its_budget_is_closed_by_force_at_its_last_sentence() -> None:
    chain, _ = await chain_of(
        Completion("The second one fits. The third one", Finish.LENGTH, generated_tokens=7), prefix="<think>"
    )
    assert chain.request.prefix == "<think>The second one fits.\n</think>\n<answer>"
    assert chain.reasoning == "The second one fits."
    assert (chain.outcome, chain.forced) == (Outcome.OK, True)
    assert chain.detail == "the reasoning was closed after 7 tokens"


async def test_no_budget_asks_for_no_reasoning() -> None:
    chain, requests = await chain_of("never said", budget=0)
    assert requests == []
    assert chain.request.prefix == "\n</think>\n<answer>"
    assert chain.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("reply", "outcome", "detail"),
    [
        (Completion("no", Finish.REFUSED), Outcome.REFUSED, "the model refused"),
        ("I'm sorry, I can't judge that.", Outcome.REFUSED, "the model refused"),
        ("", Outcome.EMPTY, "the reply holds no reasoning"),
        (" \n", Outcome.EMPTY, "the reply holds no reasoning"),
        ("It is the second one.", Outcome.REPAIRED, "the reasoning was never closed"),
        ("I'm sorry for it</think>", Outcome.OK, ""),
        (Completion("I'm sorry, but", Finish.LENGTH, generated_tokens=7), Outcome.OK, "closed after 7 tokens"),
    ],
)
async def test_how_a_chain_ended(reply: Reply, outcome: Outcome, detail: str) -> None:
    chain, _ = await chain_of(reply)
    assert chain.outcome is outcome
    assert chain.detail.endswith(detail)


@pytest.mark.parametrize("prefix", ["", "<think>", "<think>The query asks"])
async def test_a_reply_that_says_nothing_is_empty_whatever_it_was_made_to_begin_with(prefix: str) -> None:
    chain, _ = await chain_of("", prefix=prefix)
    assert (chain.outcome, chain.text) == (Outcome.EMPTY, prefix)


async def test_an_answer_inside_the_chain_is_not_gone_on_from() -> None:
    """What stands behind the closing tag is a rest of its last token; the lead is where the answer begins."""
    chain, _ = await chain_of("<think>a</think> <answer>[9]</answer>")
    assert chain.request.prefix == "<think>a\n</think>\n<answer>"


@pytest.mark.parametrize(
    ("reply", "prefix", "forced"),
    [
        (Completion("true", Finish.STOP, reasoning="because"), "<think>because\n</think>\n<answer>", False),
        (Completion("", Finish.STOP, reasoning="because"), "<think>because\n</think>\n<answer>", False),
        (Completion("", Finish.LENGTH, reasoning="Done. And"), "<think>Done.\n</think>\n<answer>", True),
    ],
)
async def test_a_server_may_separate_the_reasoning(reply: Completion, prefix: str, forced: bool) -> None:
    chain, _ = await chain_of(reply)
    assert (chain.request.prefix, chain.forced) == (prefix, forced)


def test_an_answer_that_was_begun_goes_on() -> None:
    reply = Completion("a</think><answer>[2] > [", Finish.LENGTH, generated_tokens=7)
    assert closed(REQUEST, reply, lead=LEAD).request.prefix == "a\n</think><answer>[2] > ["


async def test_a_refused_reasoning_gets_no_constrained_order() -> None:
    """A permutation could be forced out of any model; one that refused has named no order."""
    from es_reasonrank.rerank.judges.listwise import ListwiseJudge, ListwiseOptions

    def script(request: Request) -> Reply:
        assert not request.permutation, "asked for an order behind a refusal"
        return "I'm sorry, I can't rank these."

    judge = ListwiseJudge(ListwiseOptions(constrained=True), ScriptedEngine(script))
    verdict = await judge.judge("why", [Candidate("a", "alpha"), Candidate("b", "beta")])
    assert (verdict.outcome, verdict.order) == (Outcome.REFUSED, (0, 1))
