"""A teacher over a scripted engine: what it is asked, what is made of its answers, and what is never asked twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.engines.base import Completion, Finish, Request
from es_reasonrank.errors import EngineError, ServiceError, SettingsError
from es_reasonrank.evaluation.runs import Text
from es_reasonrank.types import Outcome
from tests.unit.fakes import Reply, ScriptedEngine
from trainer.lists import Passage, TrainingList
from trainer.synthesis.candidates import Selected
from trainer.synthesis.cost import Call, Prices
from trainer.synthesis.material import Query
from trainer.synthesis.teacher import Teacher, journal, spent
from trainer.synthesis.teachers import ModelTeacher

LIST = TrainingList(
    dataset="toy",
    qid="1",
    query="why is the sky blue",
    passages=tuple(Passage(id=name, text=f"Passage {name}.") for name in "abcd"),
    relevant={"c": 1},
    gold="THE GOLD ANSWER",
)
CORPUS = {f"d{number}": Text("", f"Text {number}.") for number in range(45)}
QUERY = Query("1", "why is the sky blue", gold="THE GOLD ANSWER")


@contextmanager
def teaching(
    path: Path, script: Callable[[Request], Reply], *, context: int = 100_000, **options: Any
) -> Iterator[Any]:
    """A teacher, and the engine that it asks."""
    options = {"kind": "model", "profile": "rankgpt", **options}
    chosen = ModelTeacher.model_validate(options)
    engine = ScriptedEngine(script, context)
    with journal(path / "answers.jsonl") as answers:
        yield Teacher(chosen, chosen.profiled(), engine, answers, seed=7), engine


def thinking(order: str, chain: str = "Blue scatters.") -> str:
    return f"<think>{chain}</think>\n<answer>{order}</answer>"


THINKING = {"profile": "reasonrank", "engine": {"name": "openai"}}


class TestOrder:
    async def test_a_list_gets_the_teachers_order_and_chain(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: thinking("[3] > [1] > [2] > [4]"), **THINKING) as (teacher, _):
            one = await teacher.rank(LIST)
        assert (one.order, one.reasoning) == (("c", "a", "b", "d"), "Blue scatters.")

    async def test_who_ranks_never_sees_the_answer(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: thinking("[3] > [1] > [2] > [4]"), **THINKING) as (teacher, engine):
            await teacher.rank(LIST)
        assert "GOLD" not in str(engine.requests)

    async def test_the_whole_list_is_one_question(self, tmp_path: Path) -> None:
        """Whatever window the profile has."""
        with teaching(tmp_path, lambda request: "[2] > [1] > [3] > [4]", assign=("strategy.window=2", "depth=2")) as (
            teacher,
            engine,
        ):
            await teacher.rank(LIST)
        assert len(engine.requests) == 1
        assert "[4] Passage d." in engine.requests[0].messages[-1]["content"]

    async def test_of_several_samples_the_one_that_agrees_best_counts(self, tmp_path: Path) -> None:
        """nDCG@10 with c alone relevant: 1/log2(4) = 0.5 at place 3, 1/log2(3) = 0.63 at place 2."""
        replies = {7: "[1] > [2] > [3] > [4]", 8: "[4] > [3] > [2] > [1]", 9: "no idea"}
        script = lambda request: thinking(replies[request.sampling.seed], f"seed {request.sampling.seed}")  # noqa: E731
        with teaching(tmp_path, script, samples=3, temperature=0.7, **THINKING) as (teacher, engine):
            one = await teacher.rank(LIST)
        assert (one.order[0], one.reasoning) == ("d", "seed 8")
        assert {request.sampling.temperature for request in engine.requests} == {0.7}
        assert teacher.outcomes["order"] == {Outcome.OK: 2, Outcome.MALFORMED: 1}

    async def test_equal_samples_are_decided_by_the_first(self, tmp_path: Path) -> None:
        orders = iter(["[3] > [1] > [2] > [4]", "[3] > [4] > [2] > [1]"])
        with teaching(tmp_path, lambda request: next(orders), samples=2, temperature=1) as (teacher, _):
            assert (await teacher.rank(LIST)).order == ("c", "a", "b", "d")

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            ("no idea", "the teacher gave no order: malformed"),
            (Completion("[1] > [2", Finish.LENGTH, generated_tokens=9), "the teacher gave no order: truncated"),
            ("", "the teacher gave no order: empty"),
            ("I'm sorry, I cannot.", "the teacher gave no order: refused"),
        ],
    )
    async def test_a_reply_without_an_order_makes_no_list(self, tmp_path: Path, reply: Reply, reason: str) -> None:
        with teaching(tmp_path, lambda request: reply) as (teacher, _):
            assert await teacher.rank(LIST) == reason

    async def test_a_list_that_does_not_fit_makes_none(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: "", context=20) as (teacher, engine):
            assert "shorten the query" in await teacher.rank(LIST)
        assert not engine.requests


class TestSelection:
    def script(self, request: Request) -> str:
        asked = request.messages[-1]["content"]
        return ("[2] [3]" if "every passage that counts" in asked else "[3] [5]") if "Text 0" in asked else "None"

    async def test_the_answer_is_shown_and_what_is_named_for_both_is_neither(self, tmp_path: Path) -> None:
        passages = {name: CORPUS[name] for name in list(CORPUS)[:6]}
        with teaching(tmp_path, self.script) as (teacher, engine):
            assert await teacher.select(QUERY, "it helps", passages) == Selected(("d1",), ("d4",))
        assert all("THE GOLD ANSWER" in request.messages[-1]["content"] for request in engine.requests)

    async def test_a_pool_is_asked_about_in_lists_of_20(self, tmp_path: Path) -> None:
        with teaching(tmp_path, self.script) as (teacher, engine):
            found = await teacher.select(QUERY, "it helps", CORPUS)
        assert found == Selected(("d1",), ("d4",))
        assert len(engine.requests) == 6

    async def test_hard_negatives_are_an_option(self, tmp_path: Path) -> None:
        with teaching(tmp_path, self.script, misleading=False) as (teacher, engine):
            assert await teacher.select(QUERY, "it helps", CORPUS) == Selected(("d1", "d2"), ())
        assert len(engine.requests) == 3

    async def test_nonsense_selects_nothing(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: "The second one, I think: 2") as (teacher, _):
            assert await teacher.select(QUERY, "it helps", CORPUS) == Selected()
        assert teacher.outcomes["helpful"] == {Outcome.MALFORMED: 3}


class TestJournal:
    async def test_nothing_is_asked_twice(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: "[3] > [1] > [2] > [4]") as (teacher, _):
            first = await teacher.rank(LIST)
            await teacher.select(QUERY, "it helps", CORPUS)
            made = await teacher.query(CORPUS["d0"])
        with teaching(tmp_path, lambda request: EngineError("gone", engine="x")) as (teacher, engine):
            assert await teacher.rank(LIST) == first
            assert await teacher.select(QUERY, "it helps", CORPUS) == Selected()
            assert await teacher.query(CORPUS["d0"]) == made
        assert not engine.requests

    async def test_a_line_that_a_kill_cut_off_is_asked_again(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: "[3] > [1] > [2] > [4]") as (teacher, _):
            await teacher.rank(LIST)
        path = tmp_path / "answers.jsonl"
        path.write_bytes(path.read_bytes()[:-20])
        with teaching(tmp_path, lambda request: "[3] > [1] > [2] > [4]") as (teacher, engine):
            await teacher.rank(LIST)
        assert len(engine.requests) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"query": "why is the sea blue"},
            {"passages": (*LIST.passages[:3], Passage(id="d", text="Another text."))},
            {"passages": (*LIST.passages[:3], Passage(id="e", text="Passage d."))},
            {"passages": LIST.passages[::-1]},
        ],
    )
    async def test_another_question_is_asked(self, tmp_path: Path, change: dict[str, Any]) -> None:
        with teaching(tmp_path, lambda request: "[3] > [1] > [2] > [4]") as (teacher, engine):
            await teacher.rank(LIST)
            one = await teacher.rank(LIST.model_copy(update=change))
        assert len(engine.requests) == 2
        assert sorted(one.order) == sorted(passage.id for passage in one.passages)

    async def test_another_setting_asks_again_and_loses_no_answer(self, tmp_path: Path) -> None:
        for tokens in (100, 50, 100):
            with teaching(
                tmp_path, lambda request: "[3] > [1] > [2] > [4]", assign=(f"judge.passage_tokens={tokens}",)
            ) as (teacher, _):
                await teacher.rank(LIST)
        assert spent(tmp_path / "answers.jsonl", None)["answers"] == 2

    async def test_a_failure_is_no_answer(self, tmp_path: Path) -> None:
        gone = EngineError("gone", engine="x")
        with teaching(tmp_path, lambda request: gone) as (teacher, _), pytest.raises(EngineError, match="gone"):
            await teacher.rank(LIST)
        assert (tmp_path / "answers.jsonl").read_text().count("\n") == 1

    async def test_what_was_spent_is_told(self, tmp_path: Path) -> None:
        reply = Completion("[3] > [1] > [2] > [4]", Finish.STOP, prompt_tokens=1_000, generated_tokens=500)
        with teaching(tmp_path, lambda request: reply) as (teacher, _):
            await teacher.rank(LIST)
        told = {"answers": 1, "prompt_tokens": 1_000, "generated_tokens": 500}
        assert spent(tmp_path / "answers.jsonl", None) == told
        assert spent(tmp_path / "answers.jsonl", Prices(prompt=1.0, generated=4.0)) == {**told, "money": 0.003}


class TestCalls:
    async def counted(self, calls: Any) -> list[Call]:
        return [call async for call in calls]

    async def test_what_will_be_asked_is_counted_exactly(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: "[1] > [2] > [3] > [4]", samples=2, temperature=1.0) as (
            teacher,
            engine,
        ):
            calls = [
                *await self.counted(teacher.order_calls(LIST, guessed=False)),
                *await self.counted(teacher.select_calls(QUERY, "it helps", CORPUS)),
                *await self.counted(teacher.query_calls(CORPUS["d0"])),
            ]
            assert not engine.requests
            await teacher.rank(LIST)
            await teacher.select(QUERY, "it helps", CORPUS)
            await teacher.query(CORPUS["d0"])
            asked = [(await engine.count(each), each.max_tokens) for each in engine.requests]
            assert Counter((call.prompt_tokens, call.answer_tokens) for call in calls) == Counter(asked)
            assert len(calls) == len(engine.requests) == 2 + 6 + 1
            assert not await self.counted(teacher.order_calls(LIST, guessed=False))
            assert not await self.counted(teacher.select_calls(QUERY, "it helps", CORPUS))

    async def test_what_does_not_fit_costs_nothing(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: "", context=20) as (teacher, _):
            assert not await self.counted(teacher.order_calls(LIST, guessed=False))


class TestPatience:
    async def test_a_teacher_that_is_down_is_left_alone(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: EngineError("no route to host", engine="x")) as (teacher, _):
            for _ in range(10):
                teacher.check()
                with pytest.raises(EngineError):
                    await teacher.rank(LIST)
            with pytest.raises(
                ServiceError, match="failed 10 times in a row, the last time: no route to host; what was"
            ):
                teacher.check()

    async def test_a_success_between_failures_is_enough(self, tmp_path: Path) -> None:
        replies: Iterator[Reply] = iter(
            [EngineError("busy", engine="x")] * 9 + ["[1]"] + [EngineError("x", engine="x")]
        )
        with teaching(tmp_path, lambda request: next(replies)) as (teacher, _):
            for _ in range(9):
                with pytest.raises(EngineError):
                    await teacher.rank(LIST)
            await teacher.rank(LIST)
            with pytest.raises(EngineError):
                await teacher.rank(LIST.model_copy(update={"query": "another"}))
            teacher.check()

    async def test_nonsense_is_told_before_it_costs_much(self, tmp_path: Path) -> None:
        with teaching(tmp_path, lambda request: "as you like it") as (teacher, _):
            for number in range(20):
                teacher.check()
                await teacher.rank(LIST.model_copy(update={"query": f"query {number}"}))
            sentence = (
                "answers nonsense: of 20 answers to 'order', 20 malformed; choose a larger one; what was answered"
            )
            with pytest.raises(EngineError, match=sentence):
                teacher.check()


def test_an_engine_without_text_cannot_teach(tmp_path: Path) -> None:
    from es_reasonrank.engines.none import NoneEngine, NoneOptions

    options = ModelTeacher(kind="model", profile="rankgpt")
    with journal(tmp_path / "a.jsonl") as answers, pytest.raises(SettingsError, match="generates no text"):
        Teacher(options, options.profiled(), NoneEngine(NoneOptions()), answers, 0)


def test_the_journal_is_json_lines(tmp_path: Path) -> None:
    with journal(tmp_path / "a.jsonl"):
        pass
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {"fingerprint": "teacher 1"}
