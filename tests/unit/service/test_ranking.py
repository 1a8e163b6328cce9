"""The ranking service over models that do as told: whatever they do, an order comes back, in time, with its reason."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import EngineError, InputError, MissingError, SettingsError
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.service.rankers import Loading
from es_reasonrank.service.ranking import Answer, Ask, RankingService, Reason
from es_reasonrank.service_settings import ServiceSettings
from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Window

THREE = tuple(Candidate(id=letter, text=f"text {letter}", score=1.0) for letter in "abc")
REVERSED = (2, 1, 0)
Step = Callable[[float | None], Awaitable[Ranking | None]]


def ranked(candidates: Sequence[Candidate], order: Sequence[int], *outcomes: Outcome, on_window: Any = None) -> Ranking:
    """A ranking with a window for each outcome."""
    size = len(candidates)
    windows = tuple(
        Window(tuple(range(size)), tuple(order), outcome, "said so", "because", "", None, 7, 3, 0.1)
        for outcome in outcomes
    )
    for window in windows if on_window else ():
        on_window(window)
    scores = tuple((size - place) / size for place in range(size))
    return Ranking("q", tuple(candidates), tuple(order), scores, Trace("identity", "none", windows, 0.1))


class Scripted:
    """Rankers by a script of outcomes, errors and functions; the last step stays."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script or [Outcome.OK])
        self.profiles = {name: load_profile(name) for name in ("identity", "encoder")}
        self.asked: list[str] = []
        self.deadlines: list[float | None] = []
        self.running = 0

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def rank(
        self,
        profile: str,
        query: str,
        candidates: Sequence[Candidate],
        *,
        depth: int | None,
        deadline: float | None,
        on_window: Callable[[Window], None] | None = None,
    ) -> Ranking:
        self.asked.append(profile)
        self.deadlines.append(deadline)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.running += 1
        try:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Outcome):
                step = (step,)
            if isinstance(step, tuple):
                order = REVERSED if any(outcome.ranks for outcome in step) else range(len(candidates))
                return ranked(candidates, list(order)[: len(candidates)], *step, on_window=on_window)
            found = await step(deadline)
            return found or ranked(candidates, REVERSED, Outcome.OK)
        finally:
            self.running -= 1


async def hanging(deadline: float | None) -> None:
    """No answer, until it is given up."""
    await asyncio.Event().wait()


async def stubborn(deadline: float | None) -> None:
    """No answer, even when it is given up."""
    ends = time.monotonic() + 0.5
    while time.monotonic() < ends:
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            continue


def service(*script: Any, **settings: Any) -> RankingService:
    return RankingService(Scripted(*script), ServiceSettings(**{"deadline": 0.2, **settings}))


def scripted(ranking: RankingService) -> Scripted:
    assert isinstance(ranking.rankers, Scripted)
    return ranking.rankers


def ask(number: object = "", **more: Any) -> Ask:
    return Ask(**{"query": f"why {number}", "candidates": THREE, **more})


def is_base(answer: Answer, reason: Reason) -> bool:
    ranking = answer.ranking
    whole = ranking.order == (0, 1, 2) and ranking.candidates == THREE and len(ranking.scores) == 3
    return whole and answer.status is Status.FAILED and answer.reason is reason


class TestAnswers:
    async def test_the_model_s_order(self) -> None:
        answer = await service().rank(ask())
        assert answer.ranking.order == REVERSED
        assert (answer.status, answer.reason, answer.detail) == (Status.OK, Reason.NONE, "")

    @pytest.mark.parametrize(
        ("step", "status", "reason"),
        [
            ((Outcome.OK, Outcome.DEADLINE), Status.PARTIAL, Reason.DEADLINE),
            ((Outcome.REPAIRED, Outcome.MALFORMED), Status.PARTIAL, Reason.BAD_ANSWER),
            ((Outcome.OK, Outcome.ENGINE_ERROR), Status.PARTIAL, Reason.MODEL_FAILED),
            (Outcome.ENGINE_ERROR, Status.FAILED, Reason.MODEL_FAILED),
            (Outcome.REFUSED, Status.FAILED, Reason.BAD_ANSWER),
            (Outcome.TRUNCATED, Status.FAILED, Reason.BAD_ANSWER),
            (Outcome.EMPTY, Status.FAILED, Reason.BAD_ANSWER),
            (Outcome.DEADLINE, Status.FAILED, Reason.DEADLINE),
            (EngineError("gone", engine="x"), Status.FAILED, Reason.MODEL_FAILED),
            (MissingError("no package"), Status.FAILED, Reason.MODEL_FAILED),
            (Loading("soon"), Status.FAILED, Reason.MODEL_LOADING),
            (RuntimeError("a bug"), Status.FAILED, Reason.MODEL_FAILED),
            (TimeoutError(), Status.FAILED, Reason.MODEL_FAILED),
        ],
    )
    async def test_every_end_has_its_status_and_reason(self, step: Any, status: Status, reason: Reason) -> None:
        answer = await service(step).rank(ask())
        assert (answer.status, answer.reason) == (status, reason)
        assert sorted(answer.ranking.order) == [0, 1, 2]
        assert answer.detail

    @pytest.mark.parametrize("order", [(0, 1), (0, 1, 1), (0, 1, 3), (0, 1, 2, 3)])
    async def test_what_is_no_order_of_the_whole_list_is_none(self, order: tuple[int, ...]) -> None:
        async def wrong(deadline: float | None) -> Ranking:
            return ranked(THREE, order, Outcome.OK)

        assert is_base(await service(wrong).rank(ask()), Reason.MODEL_FAILED)

    async def test_a_ranking_that_was_broken_off_from_inside(self) -> None:
        async def broken(deadline: float | None) -> None:
            raise asyncio.CancelledError

        assert is_base(await service(broken).rank(ask()), Reason.MODEL_FAILED)

    @pytest.mark.parametrize(
        "more",
        [
            {"candidates": ()},
            {"candidates": THREE[:1]},
            {"candidates": (THREE[0], Candidate(id="x"))},
            {"depth": 1},
            {"depth": 0},
        ],
    )
    async def test_the_model_is_not_asked_where_there_is_nothing_to_rank(self, more: dict[str, Any]) -> None:
        ranking = service()
        answer = await ranking.rank(ask(**more))
        assert (answer.status, answer.reason) == (Status.SKIPPED, Reason.NOTHING_TO_RANK)
        assert answer.ranking.order == tuple(range(len(answer.ranking.candidates)))
        assert not scripted(ranking).asked

    async def test_what_cannot_be_asked(self) -> None:
        with pytest.raises(InputError, match="query is empty"):
            await service().rank(ask(query=" \n"))
        with pytest.raises(SettingsError, match="not served here"):
            await service().rank(ask(profile="encodr"))

    async def test_each_profile_by_its_name(self) -> None:
        ranking = service()
        for name in ("", "identity", "encoder"):
            await ranking.rank(ask(profile=name, query=f"q {name}"))
        assert scripted(ranking).asked == ["identity", "identity", "encoder"]


class TestDeadline:
    @pytest.mark.parametrize("step", [hanging, stubborn])
    async def test_it_is_kept_whatever_the_model_does(self, step: Step) -> None:
        took = []
        for _ in range(4):
            started = time.monotonic()
            answer = await service(step).rank(ask())
            took.append(time.monotonic() - started)
            assert is_base(answer, Reason.DEADLINE)
        assert min(took) < 0.25, "later than 50 ms even when the machine had time"

    async def test_the_model_s_own_comes_a_little_before(self) -> None:
        ranking = service()
        await ranking.rank(ask(deadline=1.0))
        await ranking.rank(ask(2, deadline=60.0))
        first, second = scripted(ranking).deadlines
        assert first == pytest.approx(0.95, abs=0.01)
        assert second == pytest.approx(59.9, abs=0.01)

    async def test_what_is_done_by_then_counts(self) -> None:
        async def partly(deadline: float | None) -> Ranking:
            assert deadline is not None
            await asyncio.sleep(deadline)
            return ranked(THREE, REVERSED, Outcome.OK, Outcome.DEADLINE)

        answer = await service(partly).rank(ask())
        assert (answer.status, answer.reason) == (Status.PARTIAL, Reason.DEADLINE)
        assert answer.ranking.order == REVERSED

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
    async def test_no_time_is_no_time(self, seconds: float) -> None:
        ranking = service()
        assert is_base(await ranking.rank(ask(deadline=seconds)), Reason.DEADLINE)
        assert not scripted(ranking).asked

    async def test_endless_time_is_a_long_time(self) -> None:
        assert (await service().rank(ask(deadline=float("inf")))).status is Status.OK

    async def test_it_holds_in_the_queue(self) -> None:
        ranking = service(stubborn, at_once=1)
        started = time.monotonic()
        answers = await asyncio.gather(*(ranking.rank(ask(number)) for number in range(3)))
        assert time.monotonic() - started < 0.27
        assert all(is_base(answer, Reason.DEADLINE) for answer in answers)
        assert max(answer.queued for answer in answers) == pytest.approx(0.2, abs=0.05)


class TestLoad:
    async def test_who_finds_no_place_is_told_at_once(self) -> None:
        ranking = service(hanging, at_once=1, queue=1)
        tasks = [asyncio.create_task(ranking.rank(ask(number))) for number in range(3)]
        started = time.monotonic()
        assert is_base(await tasks[2], Reason.OVERLOAD)
        assert time.monotonic() - started < 0.05
        await asyncio.gather(*tasks)

    async def test_a_caller_that_leaves_frees_his_slot(self) -> None:
        ranking = service(hanging, Outcome.OK, at_once=1, queue=1)
        task = asyncio.create_task(ranking.rank(ask()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ranking.gate.running == 0
        assert scripted(ranking).running == 0
        assert (await ranking.rank(ask())).status is Status.OK

    async def test_a_model_that_does_not_heed_its_end_holds_no_slot(self) -> None:
        ranking = service(stubborn, Outcome.OK, at_once=1, queue=0)
        assert is_base(await ranking.rank(ask(deadline=0.05)), Reason.DEADLINE)
        assert scripted(ranking).running == 1
        assert (await ranking.rank(ask())).status is Status.OK

    async def test_an_observer_that_fails_costs_nobody_his_answer(self) -> None:
        seen: list[Reason] = []

        def failing(asked: Ask, answer: Answer) -> None:
            raise RuntimeError("no disk")

        ranking = service(Outcome.OK, Outcome.REFUSED)
        ranking.observers += [failing, lambda asked, answer: seen.append(answer.reason)]
        await ranking.rank(ask(1))
        await ranking.rank(ask(2))
        assert seen == [Reason.NONE, Reason.BAD_ANSWER]


class TestBreaker:
    async def test_a_dead_model_is_left_alone_and_found_again(self) -> None:
        gone = EngineError("gone", engine="x")
        ranking = service(gone, gone, Outcome.OK, breaker_failures=2, breaker_pause=0.05)
        reasons = [(await ranking.rank(ask(number))).reason for number in range(4)]
        assert reasons == [Reason.MODEL_FAILED] * 2 + [Reason.CIRCUIT_OPEN] * 2
        assert "gone" in (await ranking.rank(ask())).detail
        assert len(scripted(ranking).asked) == 2
        await asyncio.sleep(0.05)
        assert (await ranking.rank(ask())).status is Status.OK

    async def test_a_model_that_hangs_costs_few_searches_their_deadline(self) -> None:
        ranking = service(hanging, deadline=0.05, breaker_failures=2)
        reasons = [(await ranking.rank(ask(number))).reason for number in range(5)]
        assert reasons == [Reason.DEADLINE] * 2 + [Reason.CIRCUIT_OPEN] * 3

    async def test_callers_in_a_hurry_shut_nobody_else_out(self) -> None:
        ranking = service(hanging, deadline=10.0, breaker_failures=1)
        for number in range(20):
            await ranking.rank(ask(number, deadline=0.001))
        assert not ranking.breakers["identity"].is_open

    async def test_a_model_that_answers_badly_is_there(self) -> None:
        ranking = service(Outcome.MALFORMED, breaker_failures=1)
        assert [(await ranking.rank(ask())).reason for _ in range(3)] == [Reason.BAD_ANSWER] * 3

    async def test_loading_is_no_failure(self) -> None:
        ranking = service(Loading("soon"), breaker_failures=1)
        assert [(await ranking.rank(ask())).reason for _ in range(3)] == [Reason.MODEL_LOADING] * 3

    async def test_callers_that_leave_are_no_failures(self) -> None:
        ranking = service(hanging, breaker_failures=1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ranking.rank(ask()), 0.01)
        assert not ranking.breakers["identity"].is_open

    async def test_each_profile_has_its_own(self) -> None:
        ranking = service(EngineError("gone", engine="x"), Outcome.OK, breaker_failures=1)
        await ranking.rank(ask())
        assert (await ranking.rank(ask())).reason is Reason.CIRCUIT_OPEN
        assert (await ranking.rank(ask(profile="encoder"))).status is Status.OK

    async def test_an_open_circuit_lets_nobody_wait_in_the_queue(self) -> None:
        ranking = service(EngineError("gone", engine="x"), hanging, breaker_failures=1, at_once=1)
        holding = asyncio.create_task(ranking.rank(ask(profile="encoder")))
        await asyncio.sleep(0)
        await holding
        other = asyncio.create_task(ranking.rank(ask()))
        await asyncio.sleep(0.01)
        started = time.monotonic()
        assert (await ranking.rank(ask(profile="encoder"))).reason is Reason.CIRCUIT_OPEN
        assert time.monotonic() - started < 0.05
        await other


class TestStopping:
    async def test_everybody_gets_his_base_order(self) -> None:
        ranking = service(stubborn, at_once=1, deadline=10.0)
        tasks = [asyncio.create_task(ranking.rank(ask(number))) for number in range(3)]
        await asyncio.sleep(0.01)
        ranking.stop()
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 0.1)
        assert all(is_base(answer, Reason.STOPPING) for answer in answers)
        assert is_base(await ranking.rank(ask("later")), Reason.STOPPING)

    async def test_it_may_come_as_the_deadline_does(self) -> None:
        ranking = service(hanging, deadline=0.02)
        tasks = [asyncio.create_task(ranking.rank(ask(number))) for number in range(5)]
        time.sleep(0.06)  # noqa: ASYNC251 - the deadline, and then stop, within one step of the loop
        await asyncio.sleep(0)
        ranking.stop()
        assert all(answer.status is Status.FAILED for answer in await asyncio.gather(*tasks))


class TestRemembered:
    async def test_an_equal_list_costs_nothing_again(self) -> None:
        ranking = service()
        windows: list[Window] = []
        first = await ranking.rank(ask())
        again = await ranking.rank(ask(on_window=windows.append))
        assert len(scripted(ranking).asked) == 1
        assert again.remembered
        assert again.ranking.order == first.ranking.order
        assert again.ranking.candidates == THREE
        assert [window.cached for window in windows] == [True]
        assert again.ranking.trace.prompt_tokens == again.ranking.trace.generated_tokens == 0
        assert again.ranking.trace.windows[0].reasoning == "because"

    @pytest.mark.parametrize(
        "other",
        [
            {"query": "else"},
            {"caller": "somebody else"},
            {"profile": "encoder"},
            {"depth": 2},
            {"candidates": THREE[::-1]},
            {"candidates": (*THREE[:2], Candidate(id="c", text="other", score=1.0))},
            {"candidates": (*THREE[:2], Candidate(id="c", text="text c", score=2.0))},
            {"candidates": (*THREE[:2], Candidate(id="c", title="text c", score=1.0))},
        ],
    )
    async def test_another_list_or_caller_is_asked_for(self, other: dict[str, Any]) -> None:
        ranking = service()
        await ranking.rank(ask(query="why"))
        answer = await ranking.rank(ask(**{"query": "why", **other}))
        assert not answer.remembered

    async def test_only_whole_orders_are_kept(self) -> None:
        ranking = service((Outcome.OK, Outcome.DEADLINE))
        await ranking.rank(ask())
        assert not (await ranking.rank(ask())).remembered

    @pytest.mark.parametrize("outcomes", [(Outcome.OK, Outcome.DEADLINE), (Outcome.ENGINE_ERROR,)])
    async def test_a_further_page_goes_on_from_an_order_that_is_not_whole(self, outcomes: tuple[Outcome, ...]) -> None:
        ranking = service(outcomes, Outcome.OK)
        first = await ranking.rank(ask())
        second = await ranking.rank(ask(continues=True))
        assert first.status is not Status.OK
        assert second.remembered
        assert (second.status, second.reason) == (first.status, first.reason)
        assert second.ranking.order == first.ranking.order
        assert second.ranking.candidates == THREE
        anew = await ranking.rank(ask())
        assert (anew.status, anew.remembered) == (Status.OK, False)
        assert (await ranking.rank(ask(continues=True))).ranking.order == anew.ranking.order

    async def test_a_further_page_without_a_first_one_is_ranked(self) -> None:
        answer = await service().rank(ask(continues=True))
        assert (answer.status, answer.remembered) == (Status.OK, False)

    async def test_for_a_while_and_not_too_many(self) -> None:
        ranking = service(cache_ttl=0.03, cache_size=1)
        await ranking.rank(ask(1))
        assert (await ranking.rank(ask(1))).remembered
        await ranking.rank(ask(2))
        assert not (await ranking.rank(ask(1))).remembered
        await asyncio.sleep(0.04)
        assert not (await ranking.rank(ask(1))).remembered

    async def test_half_a_surrogate_pair_is_text_like_any_other(self) -> None:
        ranking = service()
        half = (THREE[0], Candidate(id="x", text=json.loads('"\\ud800"')))
        other = (THREE[0], Candidate(id="x", text=json.loads('"\\ud801"')))
        for candidates, remembered in ((half, False), (half, True), (other, False)):
            scripted(ranking).script = [lambda deadline, shown=candidates: _both(shown)]
            assert (await ranking.rank(ask(candidates=candidates))).remembered is remembered

    async def test_a_probe_is_neither_remembered_nor_told_of(self) -> None:
        ranking = service(lambda deadline: _both(("a", "b")))
        ranking.observers.append(lambda asked, answer: pytest.fail("a probe is nobody's search"))
        assert [(await ranking.probe()).status for _ in range(2)] == [Status.OK] * 2
        assert len(scripted(ranking).asked) == 2


async def _both(shown: Sequence[Any]) -> Ranking:
    return ranked([Candidate(id=str(place)) for place in range(len(shown))], (1, 0), Outcome.OK)


@given(
    steps=st.lists(st.sampled_from(["ok", "error", "bug", "hang", "bad"]), min_size=1, max_size=12),
    at_once=st.integers(1, 3),
    queue=st.integers(0, 3),
)
def test_every_one_of_many_is_answered_and_no_slot_is_lost(steps: list[str], at_once: int, queue: int) -> None:
    meaning = {
        "ok": Outcome.OK,
        "error": EngineError("gone", engine="x"),
        "bug": KeyError("a bug"),
        "hang": hanging,
        "bad": Outcome.MALFORMED,
    }

    async def run() -> None:
        ranking = service(*(meaning[step] for step in steps), deadline=0.01, at_once=at_once, queue=queue)
        answers = await asyncio.gather(*(ranking.rank(ask(number)) for number in range(8)))
        assert all(sorted(answer.ranking.order) == [0, 1, 2] for answer in answers)
        assert all((answer.status is Status.OK) == (answer.reason is Reason.NONE) for answer in answers)
        assert (ranking.gate.running, ranking.gate.waiting) == (0, 0)

    asyncio.run(run())
