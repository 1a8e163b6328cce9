"""The values that every part speaks: candidates in, windows asked, a ranking out. All of them are frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How one window ended. The set is closed; only `ok` and `repaired` change an order."""

    OK = "ok"
    """The reply is a permutation of the window's identifiers in the form that was asked for."""
    REPAIRED = "repaired"
    """The reply names an order, but something was mended: missing, repeated or unknown identifiers, or the form."""
    TRUNCATED = "truncated"
    """The reply was cut before its answer was complete."""
    MALFORMED = "malformed"
    """The reply is there, but names no order."""
    EMPTY = "empty"
    """The reply holds no text."""
    REFUSED = "refused"
    """The model or its server declined to answer."""
    ENGINE_ERROR = "engine_error"
    """The engine failed; there is no reply."""
    DEADLINE = "deadline"
    """Time was up before the reply was complete."""

    @property
    def ranks(self) -> bool:
        """Whether a window that ended so names an order."""
        return self in (Outcome.OK, Outcome.REPAIRED)


class Status(StrEnum):
    """How a whole ranking ended, as its caller sees it."""

    OK = "ok"
    """Every window named an order."""
    PARTIAL = "partial"
    """Some windows kept their incoming order; the trace says which and why."""
    FAILED = "failed"
    """No window named an order: the ranking is the incoming order."""
    SKIPPED = "skipped"
    """There was nothing to order: fewer than two candidates with text."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One passage that may be moved.

    The model sees `title` and `text`, never `id`. A candidate with neither keeps its place; `note` says why.
    """

    id: str
    text: str = ""
    title: str = ""
    score: float | None = None
    """The first stage's score, kept beside the new one."""
    note: str = ""

    @property
    def has_text(self) -> bool:
        """Whether there is anything for a judge to read."""
        return bool(self.text.strip() or self.title.strip())


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's answer on one window of n passages.

    `order` is a permutation of range(n), best first. `scores` are the judge's own, one for each passage of the
    window in the order shown, or None where the judge gives an order only.
    """

    order: tuple[int, ...]
    outcome: Outcome
    scores: tuple[float, ...] | None = None
    detail: str = ""
    reasoning: str = ""
    reply: str = ""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    attempts: int = 1
    """How often the judge was asked, where the profile asks again after a failure."""

    @classmethod
    def unchanged(cls, size: int, outcome: Outcome, detail: str = "") -> Verdict:
        """The verdict of a window that keeps its incoming order."""
        return cls(order=tuple(range(size)), outcome=outcome, detail=detail)


@dataclass(frozen=True, slots=True)
class Window:
    """One question that was put to a judge, and what came of it.

    `shown` and `order` hold indices into the ranking's candidates: as they were shown, and as the judge put them.
    """

    shown: tuple[int, ...]
    order: tuple[int, ...]
    outcome: Outcome
    detail: str
    reasoning: str
    reply: str
    scores: tuple[float, ...] | None
    prompt_tokens: int
    generated_tokens: int
    seconds: float
    attempts: int = 1
    """How often the judge was asked."""
    cached: bool = False
    """Whether the verdict was remembered from an earlier ranking; no tokens were spent then."""
    stage: str = ""
    """The ranker that was asked, where a strategy asks several."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What happened while a ranking was made."""

    profile: str
    model: str
    windows: tuple[Window, ...] = ()
    seconds: float = 0.0

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How many windows ended in which outcome."""
        return Counter(window.outcome for window in self.windows)

    @property
    def cached(self) -> int:
        """How many windows were remembered."""
        return sum(window.cached for window in self.windows)

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens of all windows."""
        return sum(window.prompt_tokens for window in self.windows)

    @property
    def generated_tokens(self) -> int:
        """Generated tokens of all windows, reasoning included."""
        return sum(window.generated_tokens for window in self.windows)

    @property
    def status(self) -> Status:
        """The whole in one word."""
        ranked = sum(window.outcome.ranks for window in self.windows)
        if not self.windows:
            return Status.SKIPPED
        if ranked == len(self.windows):
            return Status.OK
        return Status.PARTIAL if ranked else Status.FAILED


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order of n candidates: always a permutation of what came in.

    `order` holds indices into `candidates`, best first. `scores` has one value for each place of `order`, never
    increasing: the judge's own where it gives scores, (n - place) / n where it gives an order only.
    """

    query: str
    candidates: tuple[Candidate, ...]
    order: tuple[int, ...]
    scores: tuple[float, ...]
    trace: Trace = field(repr=False)

    def __iter__(self) -> Iterator[Candidate]:
        """The candidates, best first."""
        return (self.candidates[index] for index in self.order)

    def __len__(self) -> int:
        return len(self.order)
