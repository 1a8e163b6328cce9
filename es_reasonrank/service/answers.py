"""A list to rank, and the answer to it: an order with a status, and with a reason where it is not the model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from es_reasonrank.rerank.profile import Profile
from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Window

_LONGEST = 86_400.0
"""Seconds: a day is as good as no deadline, and a number that clocks can hold."""


class Reason(StrEnum):
    """Why a search did not get all of its reranking. The set is closed; headers, logs and metrics use these words."""

    NONE = ""
    NOTHING_TO_RANK = "nothing_to_rank"
    """Fewer than two hits with text."""
    DEADLINE = "deadline"
    """Time was up."""
    OVERLOAD = "overload"
    """Too many rankings were waiting."""
    CIRCUIT_OPEN = "circuit_open"
    """The model failed so often that it is left alone for a while."""
    MODEL_LOADING = "model_loading"
    """The model is not loaded yet."""
    MODEL_FAILED = "model_failed"
    """The model, or what serves it, failed."""
    BAD_ANSWER = "bad_answer"
    """The model answered, but named no order."""
    STOPPING = "stopping"
    """The service is about to stop."""


@dataclass(frozen=True)
class Ask:
    """One list to rank. It stands in the first stage's order."""

    query: str
    candidates: Sequence[Candidate]
    profile: str = ""
    """A profile's name; the service's default where it is empty."""
    depth: int | None = None
    deadline: float | None = None
    """Seconds; the service's default where it is None."""
    caller: str = ""
    """What tells callers' credentials apart: nobody is served what was remembered for another."""
    on_window: Callable[[Window], None] | None = None
    continues: bool = False
    """Whether it is a further page of a list: then the order of the page before holds, be it whole or not."""


@dataclass(frozen=True)
class Answer:
    """The order, and how it came about."""

    ranking: Ranking
    status: Status
    reason: Reason = Reason.NONE
    detail: str = ""
    """A sentence, where there is something to say."""
    queued: float = 0.0
    """Seconds that it waited for its turn."""
    remembered: bool = False
    """Whether the whole order was known from before."""


def movable(profile: Profile, ask: Ask) -> bool:
    """Whether there are two hits, within the depth, that have a text."""
    depth = profile.depth if ask.depth is None else ask.depth
    return sum(candidate.has_text for candidate in ask.candidates[:depth]) > 1


def seconds_of(asked: float | None, usual: float) -> float:
    """The time that a caller gives, bounded; what is no positive number is no time at all."""
    seconds = usual if asked is None else asked
    return min(seconds, _LONGEST) if seconds > 0 else 0.0


def answer_of(profile: Profile, ask: Ask, ranking: Ranking) -> Answer:
    """The ranking with its status, and the reason where it is not whole."""
    size = len(ask.candidates)
    if sorted(ranking.order) != list(range(size)) or len(ranking.scores) != size:
        return base(profile, ask, Reason.MODEL_FAILED, "the ranker gave no order of the whole list")
    trace = ranking.trace
    status = trace.status
    if status is Status.OK:
        return Answer(ranking, status)
    if status is Status.SKIPPED:
        return base(profile, ask, Reason.NOTHING_TO_RANK)
    failed = next(window for window in trace.windows if not window.outcome.ranks)
    return Answer(ranking, status, _REASONS.get(failed.outcome, Reason.BAD_ANSWER), failed.detail or failed.outcome)


_REASONS = {Outcome.DEADLINE: Reason.DEADLINE, Outcome.ENGINE_ERROR: Reason.MODEL_FAILED}

_SENTENCES = {
    Reason.NOTHING_TO_RANK: "fewer than two hits have a text to rank by",
    Reason.DEADLINE: "time was up before the model answered",
    Reason.OVERLOAD: "too many rankings are waiting; try again later",
    Reason.CIRCUIT_OPEN: "the model failed too often and is left alone for a while",
    Reason.STOPPING: "the service is about to stop",
}


def base(profile: Profile, ask: Ask, reason: Reason, detail: str = "") -> Answer:
    """The base order."""
    size = len(ask.candidates)
    ranking = Ranking(
        query=ask.query,
        candidates=tuple(ask.candidates),
        order=tuple(range(size)),
        scores=tuple((size - place) / size for place in range(size)),
        trace=Trace(profile.name, str(profile.engine.get("model", profile.engine["name"]))),
    )
    sentence = "; last: ".join(part for part in (_SENTENCES.get(reason, ""), detail) if part)
    status = Status.SKIPPED if reason is Reason.NOTHING_TO_RANK else Status.FAILED
    return Answer(ranking, status, reason, sentence)
