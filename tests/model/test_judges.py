"""Every judge on a real model: SmolLM2-135M is too small to rank well, and what it says still becomes an outcome."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from es_reasonrank import Reranker, Status, load_profile
from es_reasonrank.engines.base import Completion, NextToken, Request
from es_reasonrank.engines.transformers import TransformersEngine, TransformersOptions
from es_reasonrank.errors import EngineError
from es_reasonrank.rerank.judges import Judge
from es_reasonrank.rerank.judges.first_token import FirstTokenJudge, FirstTokenOptions
from es_reasonrank.rerank.judges.graded import GradedJudge, GradedOptions
from es_reasonrank.rerank.judges.relevance import RelevanceJudge, RelevanceOptions
from es_reasonrank.rerank.judges.setwise import SetwiseJudge, SetwiseOptions
from es_reasonrank.types import Candidate, Outcome, Verdict
from tests.model.contract import MODEL, PASSAGES, QUERY

WINDOW = [Candidate(str(number), text) for number, text in enumerate(PASSAGES[:3])]
BEGUN = "<think>The search query asks"


class Counting(TransformersEngine):
    """Counts what is asked of the model."""

    generations = 0
    looks = 0

    async def generate(self, request: Request) -> Completion:
        self.generations += 1
        return await super().generate(request)

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        answer = await super().next_token(request, choices)
        self.looks += 1
        return answer


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[Counting]:
    engine = Counting(TransformersOptions(model=MODEL, dtype="float32", context=1536, batch=8))
    yield engine
    await engine.aclose()


@pytest.fixture(autouse=True)
def counted(engine: Counting) -> None:
    engine.generations = engine.looks = 0


def whole(verdict: Verdict) -> None:
    """What holds for every verdict."""
    assert sorted(verdict.order) == list(range(len(WINDOW)))
    assert verdict.outcome not in (Outcome.ENGINE_ERROR, Outcome.DEADLINE), verdict.detail
    assert verdict.outcome.ranks or verdict.order == tuple(range(len(WINDOW)))
    assert verdict.prompt_tokens > 50
    assert verdict.reply
    if verdict.scores is not None:
        assert len(verdict.scores) == len(WINDOW)
        assert all(math.isfinite(score) for score in verdict.scores)


def scored(verdict: Verdict) -> tuple[float, ...]:
    """The scores of a window whose every passage must have one."""
    whole(verdict)
    assert verdict.outcome.ranks, verdict.detail
    assert verdict.scores is not None
    assert verdict.order == tuple(sorted(range(len(WINDOW)), key=lambda place: -verdict.scores[place]))  # type: ignore[index]
    return verdict.scores


async def test_first_token_is_one_forward_pass(engine: Counting) -> None:
    verdict = await FirstTokenJudge(FirstTokenOptions(), engine).judge(QUERY, WINDOW)
    scores = scored(verdict)
    assert (engine.generations, engine.looks) == (0, 1)
    assert verdict.generated_tokens <= 1
    assert verdict.outcome is Outcome.OK
    assert all(score < 0 for score in scores)
    assert sum(math.exp(score) for score in scores) < 1
    assert len(set(scores)) == len(WINDOW)


async def test_first_token_reads_what_the_model_would_write(engine: Counting) -> None:
    """Greedy generation begins with the likeliest identifier wherever the model writes one at all."""
    judge = FirstTokenJudge(FirstTokenOptions(), engine)
    verdict = await judge.judge(QUERY, WINDOW)
    request = await judge.prompter.request(QUERY, WINDOW, reply_tokens=1)
    written = (await engine.generate(request)).text
    assert written in "ABC"
    assert verdict.reply == f"[{written}"


async def test_first_token_with_letters_up_to_t(engine: Counting) -> None:
    many = [Candidate(str(number), f"passage {number}") for number in range(20)]
    verdict = await FirstTokenJudge(FirstTokenOptions(), engine).judge(QUERY, many)
    assert (verdict.outcome, len(verdict.scores or ())) == (Outcome.OK, 20)


async def test_first_token_with_numbers_of_two_tokens_fails_clearly(engine: Counting) -> None:
    many = [Candidate(str(number), f"passage {number}") for number in range(12)]
    judge = FirstTokenJudge(FirstTokenOptions(identifiers="numbers"), engine)
    with pytest.raises(EngineError, match=r"'10' is 2 tokens of .*; use other identifiers"):
        await judge.judge(QUERY, many)
    assert engine.looks == 0


@pytest.mark.parametrize("select", ["best", "worst"])
async def test_setwise_by_likelihood(engine: Counting, select: Any) -> None:
    options = SetwiseOptions(template="setwise", thinking=False, read="likelihood", select=select)
    verdict = await SetwiseJudge(options, engine).judge(QUERY, WINDOW)
    whole(verdict)
    assert (verdict.outcome, engine.generations, engine.looks) == (Outcome.OK, 0, 1)
    (named,) = verdict.reply.removeprefix("[")
    assert verdict.order[0 if select == "best" else -1] == int(named) - 1


@pytest.mark.parametrize("thinking", [True, False])
async def test_setwise_by_its_answer(engine: Counting, thinking: bool) -> None:
    template = "setwise_think" if thinking else "setwise"
    options = SetwiseOptions(template=template, thinking=thinking, thinking_tokens=6, answer_tokens=6)
    verdict = await SetwiseJudge(options, engine).judge(QUERY, WINDOW)
    whole(verdict)
    assert 0 < verdict.generated_tokens <= 12


async def test_relevance_at_once(engine: Counting) -> None:
    options = RelevanceOptions(template="relevance", thinking=False)
    scores = scored(await RelevanceJudge(options, engine).judge(QUERY, WINDOW))
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) > 1
    assert (engine.generations, engine.looks) == (0, len(WINDOW))


async def test_relevance_behind_a_chain(engine: Counting) -> None:
    verdict = await RelevanceJudge(RelevanceOptions(thinking_tokens=6, prefix=BEGUN), engine).judge(QUERY, WINDOW)
    assert all(0 < score < 1 for score in scored(verdict))
    assert (engine.generations, engine.looks) == (len(WINDOW), len(WINDOW))
    assert verdict.reasoning
    assert "the reasoning was closed after 6 tokens" in verdict.detail
    assert verdict.generated_tokens <= 7 * len(WINDOW)


async def test_the_integer_scale(engine: Counting) -> None:
    """Two looks a passage: 10 is two tokens of this model."""
    options = GradedOptions(template="graded", thinking=False)
    scores = scored(await GradedJudge(options, engine).judge(QUERY, WINDOW))
    assert all(0 <= score <= 10 for score in scores)
    assert (engine.generations, engine.looks) == (0, 2 * len(WINDOW))


async def test_the_integer_scale_behind_a_chain(engine: Counting) -> None:
    verdict = await GradedJudge(GradedOptions(thinking_tokens=6, prefix=BEGUN), engine).judge(QUERY, WINDOW)
    assert all(0 <= score <= 10 for score in scored(verdict))
    assert engine.generations == len(WINDOW)


async def test_the_expected_grade(engine: Counting) -> None:
    options = GradedOptions(template="graded", thinking=False, read="expectation", highest=4)
    scores = scored(await GradedJudge(options, engine).judge(QUERY, WINDOW))
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) > 1
    assert engine.looks == len(WINDOW)


@pytest.mark.parametrize("thinking", [True, False])
async def test_listed_grades(engine: Counting, thinking: bool) -> None:
    template = "graded_group_think" if thinking else "graded_group"
    options = GradedOptions(template=template, read="listed", thinking=thinking, thinking_tokens=6, answer_tokens=12)
    verdict = await GradedJudge(options, engine).judge(QUERY, WINDOW)
    whole(verdict)
    assert (verdict.scores is not None) is verdict.outcome.ranks


async def test_the_same_question_has_the_same_answer(engine: Counting) -> None:
    judges: list[Judge] = [
        FirstTokenJudge(FirstTokenOptions(), engine),
        RelevanceJudge(RelevanceOptions(template="relevance", thinking=False), engine),
    ]
    for judge in judges:
        first, second = [await judge.judge(QUERY, WINDOW) for _ in range(2)]
        assert first.scores == pytest.approx(second.scores, abs=1e-4)
        assert first.order == second.order


@pytest.mark.parametrize("name", ["first", "tfrank"])
async def test_a_published_profile_runs_on_this_model(engine: Counting, name: str) -> None:
    ranking = await Reranker.load(load_profile(name), engine=engine).arank(QUERY, PASSAGES[:3])
    assert sorted(ranking.order) == [0, 1, 2]
    assert ranking.trace.status is Status.OK, ranking.trace.windows[0].detail
    assert engine.generations == 0
    assert all(math.isfinite(score) for score in ranking.scores)
