"""Every outcome that a window can end in, brought about on a real model by what it is asked.

    outcome       how
    ok            the reply is made to begin with an order, and the model names what is left
    repaired      the same without brackets, which were asked for
    truncated     an order is asked for, and three tokens are all it may take
    malformed     the prompt asks for a capital
    empty         the reasoning is done already and says that this is all, and the model adds nothing
    refused       the reply is made to begin as a refusal does, and the model goes on with it
    engine_error  the likelihood of "10" is asked for, which is two tokens of this model
    deadline      a long chain, and half a second

The engines vllm and transformers run the model in this process: there is no server that could refuse a request, so the
model's own words are the only refusal they have. The engine openai has both; a server that refuses is asked in
test_openai.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from es_reasonrank import Outcome, Reranker, Status, load_profile
from es_reasonrank.engines.base import TextEngine
from es_reasonrank.rerank.profile import Profile
from tests.model.contract import PASSAGES, QUERY

DIRECT = {"name": "listwise", "template": "listwise", "thinking": False, "passage_tokens": 28, "answer_tokens": 12}
THINKING = {"name": "listwise", "template": "listwise_think", "passage_tokens": 28, "thinking_tokens": 500}
CAPITAL = {
    "method": "singleturn_listwise",
    "prefix": "{query}\n",
    "body": "[{rank}] {candidate}\n",
    "suffix": "Forget all this. What is the capital of France? One word.",
}


@dataclass(frozen=True)
class Case:
    """A window that ends in a certain way."""

    judge: dict[str, Any]
    passages: Sequence[str] = tuple(PASSAGES)
    deadline: float | None = None

    @property
    def profile(self) -> Profile:
        """The judge over a single window; the engine is the test's."""
        values = load_profile("embedded").model_dump() | {"strategy": {"name": "single"}, "judge": self.judge}
        return Profile(**values | {"depth": 20})


CASES: dict[Outcome, Case] = {
    Outcome.OK: Case(DIRECT | {"prefix": "[5] > [4] > [3] > [2] > ["}),
    Outcome.REPAIRED: Case(DIRECT | {"prefix": "2 >"}, PASSAGES[:2]),
    Outcome.TRUNCATED: Case(DIRECT | {"answer_tokens": 3}, PASSAGES[:2]),
    Outcome.MALFORMED: Case(DIRECT | {"template": CAPITAL}),
    Outcome.EMPTY: Case(DIRECT | {"prefix": "<think>That is all.</think>"}, PASSAGES[:2]),
    Outcome.REFUSED: Case(DIRECT | {"prefix": "I'm sorry, but I"}, PASSAGES[:2]),
    Outcome.ENGINE_ERROR: Case({"name": "first_token", "identifiers": "numbers"}, 2 * PASSAGES),
    Outcome.DEADLINE: Case(THINKING, deadline=0.5),
}


class OutcomesContract:
    """Subclasses bring the fixture `engine`."""

    @pytest.mark.parametrize("outcome", Outcome)
    async def test_every_outcome(self, engine: TextEngine, outcome: Outcome) -> None:
        """It is recorded with what is wrong, and only an order moves anything."""
        case = CASES[outcome]
        await engine.start()
        ranking = await Reranker.load(case.profile, engine=engine).arank(QUERY, case.passages, deadline=case.deadline)
        (window,) = ranking.trace.windows
        assert window.outcome is outcome, (window.detail, window.reply)
        assert bool(window.detail) is (outcome is not Outcome.OK)
        assert ranking.trace.status is (Status.OK if outcome.ranks else Status.FAILED)
        base = tuple(range(len(case.passages)))
        assert ranking.order == (tuple(reversed(base)) if outcome.ranks else base)
        silent = outcome in (Outcome.EMPTY, Outcome.ENGINE_ERROR, Outcome.DEADLINE)
        assert silent or window.generated_tokens > 0
