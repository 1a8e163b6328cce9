"""The circuit breaker: when it opens, who may try, and what closes it again."""

from __future__ import annotations

import pytest

from es_reasonrank.service.breaker import Breaker, Call


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(3, 10.0, clock)


def called(breaker: Breaker) -> Call:
    call = breaker.enter()
    assert call is not None
    return call


def fail(breaker: Breaker, times: int = 1, weight: float = 1.0) -> None:
    for _ in range(times):
        breaker.failed(called(breaker), "it is dead", weight)


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open
    assert breaker.refuses
    assert breaker.enter() is None
    assert breaker.why == "it is dead"


def test_a_success_begins_the_row_anew(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded(called(breaker))
    fail(breaker, 2)
    assert not breaker.is_open


def test_after_the_pause_one_may_try(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 9.9
    assert breaker.enter() is None
    clock.now += 0.1
    trial = called(breaker)
    assert breaker.enter() is None, "one trial at a time"
    breaker.succeeded(trial)
    assert not breaker.is_open
    assert called(breaker)


def test_a_failed_trial_begins_the_pause_anew(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker)
    assert breaker.enter() is None
    clock.now += 9
    assert breaker.enter() is None
    clock.now += 1
    assert breaker.enter() is not None


def test_a_trial_whose_caller_left_makes_room_for_the_next(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    breaker.gave_up(called(breaker))
    assert breaker.is_open
    assert breaker.enter() is not None


def test_calls_from_before_it_opened_say_nothing_by_their_failure(breaker: Breaker, clock: Clock) -> None:
    early = [called(breaker) for _ in range(5)]
    for call in early[:3]:
        breaker.failed(call)
    clock.now += 10
    trial = called(breaker)
    breaker.failed(early[3])
    breaker.gave_up(early[4])
    assert breaker.enter() is None, "the trial is still under way"
    breaker.succeeded(trial)
    assert not breaker.is_open


def test_a_late_success_is_a_sign_of_life(breaker: Breaker) -> None:
    early = called(breaker)
    fail(breaker, 3)
    breaker.succeeded(early)
    assert not breaker.is_open


def test_light_failures_add_up(breaker: Breaker) -> None:
    """3.0 in fifths: sums of floating-point numbers may fall short of it by a hair."""
    fail(breaker, 14, weight=0.2)
    assert not breaker.is_open
    fail(breaker, weight=0.2)
    assert breaker.is_open


def test_light_failures_of_trials_add_up_too(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker, 4, weight=0.2)
    assert not breaker.refuses, "the next one may try at once"
    fail(breaker, weight=0.2)
    assert breaker.refuses


def test_callers_in_a_hurry_do_not_open_it(breaker: Breaker) -> None:
    fail(breaker, 1000, weight=0.001)
    assert not breaker.is_open
