"""The service in numbers, for Prometheus. Every name begins with `es_reasonrank_`; docs/how-to/monitor.md has them all.

With several workers, each writes its numbers to files in a shared folder, and whichever is asked adds them up. This is
prometheus_client's way, on where PROMETHEUS_MULTIPROC_DIR is set before its first import; see `share_among_workers`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from es_reasonrank import __version__
from es_reasonrank.service.record import CURRENT, Family, Stage

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from es_reasonrank.service.ranking import Answer, Ask, RankingService

PREFIX = "es_reasonrank"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client learns of the shared folder."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_REFRESH = 1.0
"""Seconds between two looks at what is no event: queues and breakers of a worker that is not itself asked."""


def share_among_workers(folder: Path) -> None:
    """Make all processes that are started from here keep their numbers in one folder, which is emptied.

    Call it before any of them imports prometheus_client.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()
    os.environ[FOLDER] = str(folder)


def are_shared() -> bool:
    """Whether several workers add up their numbers."""
    return bool(os.environ.get(FOLDER))


class Metrics:
    """Counts what happens. Give `answered` to the ranking service as an observer."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        self._requests = Counter(
            "requests", "Requests answered.", ("family", "status"), namespace=PREFIX, registry=self.registry
        )
        self._request_seconds = Histogram(
            "request_seconds",
            "Time until a request's response was sent.",
            ("family",),
            namespace=PREFIX,
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._stage_seconds = Histogram(
            "stage_seconds",
            "Time that a stage took.",
            ("stage", "profile"),
            namespace=PREFIX,
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._answers = Counter(
            "answers", "Lists ranked.", ("profile", "status", "reason"), namespace=PREFIX, registry=self.registry
        )
        self._skipped = Counter(
            "skipped",
            "Searches that asked and were not reranked.",
            ("reason",),
            namespace=PREFIX,
            registry=self.registry,
        )
        self._windows = Counter(
            "windows", "Windows put to the model.", ("profile", "outcome"), namespace=PREFIX, registry=self.registry
        )
        self._tokens = Counter(
            "tokens", "Tokens of the model.", ("profile", "kind"), namespace=PREFIX, registry=self.registry
        )
        self._cache = Counter(
            "cache", "Orders and verdicts looked up.", ("kind", "result"), namespace=PREFIX, registry=self.registry
        )
        self._rankings = Gauge(
            "rankings",
            "Rankings under way.",
            ("state",),
            namespace=PREFIX,
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._breaker_open = Gauge(
            "breaker_open",
            "Whether the model is left alone after failures.",
            ("profile",),
            namespace=PREFIX,
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._build = Gauge(
            "build_info",
            "The version that runs.",
            ("version",),
            namespace=PREFIX,
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._build.labels(__version__).set(1)

    def requested(self, family: Family, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(family, status).inc()
        self._request_seconds.labels(family).observe(seconds)

    def searched(self, seconds: float) -> None:
        """Elasticsearch answered a search."""
        self._staged(Stage.SEARCH, seconds)

    def skipped(self, reason: str) -> None:
        """A search that asked for it was not given to the ranker."""
        self._skipped.labels(reason).inc()

    def responded(self, seconds: float) -> None:
        """A response was put together."""
        self._staged(Stage.RESPOND, seconds)

    def answered(self, ask: Ask, answer: Answer) -> None:
        """A list was ranked, or not. What was remembered as a whole cost nothing again."""
        trace = answer.ranking.trace
        profile = trace.profile
        self._answers.labels(profile, answer.status, answer.reason).inc()
        self._cache.labels("order", "hit" if answer.remembered else "miss").inc()
        if not answer.remembered:
            self._stage_seconds.labels(Stage.QUEUE, profile).observe(answer.queued)
            self._stage_seconds.labels(Stage.MODEL, profile).observe(trace.seconds)
            for outcome, count in trace.outcomes.items():
                self._windows.labels(profile, outcome).inc(count)
            self._tokens.labels(profile, "prompt").inc(trace.prompt_tokens)
            self._tokens.labels(profile, "generated").inc(trace.generated_tokens)
            self._cache.labels("verdict", "hit").inc(trace.cached)
            self._cache.labels("verdict", "miss").inc(len(trace.windows) - trace.cached)
        record = CURRENT.get()
        if record is not None:
            record.answered(answer)

    def looked_at(self, ranking: RankingService) -> None:
        """How things stand now: queue and breakers."""
        self._rankings.labels("waiting").set(ranking.gate.waiting)
        self._rankings.labels("running").set(ranking.gate.running)
        for profile in ranking.rankers.profiles:
            breaker = ranking.breakers.get(profile)
            self._breaker_open.labels(profile).set(breaker is not None and breaker.is_open)

    async def keep_looking(self, ranking: RankingService) -> None:
        """Look again and again, for a worker whose numbers others tell."""
        while True:
            self.looked_at(ranking)
            await asyncio.sleep(_REFRESH)

    def _staged(self, stage: Stage, seconds: float) -> None:
        self._stage_seconds.labels(stage, "").observe(seconds)
        record = CURRENT.get()
        if record is not None:
            record.stage(stage, seconds)


def rendered(metrics: Metrics, accept: str) -> tuple[bytes, str]:
    """All numbers in the text format that a scraper accepts, and that format's media type."""
    from prometheus_client.exposition import choose_encoder

    try:
        encode, media_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # prometheus_client 0.26 stumbles over a version that is no number.
        encode, media_type = choose_encoder("")
    return encode(_whole(metrics)), media_type


def _whole(metrics: Metrics) -> CollectorRegistry:
    """This process's numbers, or those of all workers."""
    if not are_shared():
        return metrics.registry
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    _forget_the_dead(Path(os.environ[FOLDER]))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _forget_the_dead(folder: Path) -> None:
    """Drop what only holds while a worker lives, where it ended without saying so."""
    from prometheus_client.multiprocess import mark_process_dead

    for pid in {int(file.stem.rsplit("_", 1)[-1]) for file in folder.glob("gauge_live*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
