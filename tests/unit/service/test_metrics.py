"""What is counted, and that the documentation names it all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from es_reasonrank.service.metrics import FOLDER, Metrics, rendered
from es_reasonrank.service.ranking import Answer, Ask, Reason
from es_reasonrank.service.record import CURRENT, Family, Record, Stage, family_of, index_of
from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Window

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "monitor.md"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def window(outcome: Outcome, *, cached: bool = False) -> Window:
    tokens = 0 if cached else 100
    return Window((0, 1), (1, 0), outcome, "", "", "", None, tokens, tokens // 10, 0.5, cached=cached)


def answer(
    *windows: Window, status: Status = Status.OK, reason: Reason = Reason.NONE, remembered: bool = False
) -> Answer:
    candidates = (Candidate("a", "one"), Candidate("b", "two"))
    ranking = Ranking("q", candidates, (1, 0), (1.0, 0.5), Trace("reasonrank", "m", windows, 2.0))
    return Answer(ranking, status, reason, queued=0.25, remembered=remembered)


ASK = Ask("q", ())


def samples(metrics: Metrics, accept: str = "") -> Samples:
    text = rendered(metrics, accept)[0].decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"es_reasonrank_{name}", frozenset(labels.items())))


def exercised() -> Metrics:
    metrics = Metrics()
    metrics.requested(Family.SEARCH, 200, 0.1)
    metrics.skipped("sort")
    metrics.searched(0.02)
    metrics.responded(0.001)
    metrics.answered(ASK, answer(window(Outcome.OK), window(Outcome.TRUNCATED), window(Outcome.OK, cached=True)))
    metrics.looked_at(_Ranking())  # type: ignore[arg-type]
    return metrics


class _Ranking:
    """As much of a ranking service as is looked at."""

    class gate:  # noqa: N801
        waiting, running = 3, 2

    class rankers:  # noqa: N801
        profiles = ("reasonrank", "encoder")

    class _open:  # noqa: N801
        is_open = True

    breakers = {"reasonrank": _open}  # noqa: RUF012


def test_an_answer_is_counted_by_what_came_of_it() -> None:
    found = samples(exercised())
    assert value(found, "answers_total", profile="reasonrank", status="ok", reason="") == 1
    assert value(found, "windows_total", profile="reasonrank", outcome="ok") == 2
    assert value(found, "windows_total", profile="reasonrank", outcome="truncated") == 1
    assert value(found, "tokens_total", profile="reasonrank", kind="prompt") == 200
    assert value(found, "tokens_total", profile="reasonrank", kind="generated") == 20
    assert value(found, "cache_total", kind="verdict", result="hit") == 1
    assert value(found, "cache_total", kind="verdict", result="miss") == 2
    assert value(found, "cache_total", kind="order", result="miss") == 1
    assert value(found, "stage_seconds_sum", stage="model", profile="reasonrank") == 2.0
    assert value(found, "stage_seconds_sum", stage="queue", profile="reasonrank") == 0.25
    assert value(found, "stage_seconds_sum", stage="search", profile="") == 0.02


def test_what_was_remembered_costs_nothing_again() -> None:
    metrics = Metrics()
    metrics.answered(ASK, answer(window(Outcome.OK), remembered=True))
    found = samples(metrics)
    assert value(found, "answers_total", profile="reasonrank", status="ok", reason="") == 1
    assert value(found, "cache_total", kind="order", result="hit") == 1
    assert not [name for name, _ in found if name.startswith(("es_reasonrank_windows", "es_reasonrank_tokens"))]


def test_a_failure_is_counted_with_its_reason() -> None:
    metrics = Metrics()
    metrics.answered(ASK, answer(status=Status.FAILED, reason=Reason.CIRCUIT_OPEN))
    assert value(samples(metrics), "answers_total", profile="reasonrank", status="failed", reason="circuit_open") == 1


def test_queue_and_breakers_stand_as_they_are() -> None:
    found = samples(exercised())
    assert value(found, "rankings", state="waiting") == 3
    assert value(found, "rankings", state="running") == 2
    assert value(found, "breaker_open", profile="reasonrank") == 1
    assert value(found, "breaker_open", profile="encoder") == 0


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.requested(Family.PASS, 200, 0.1)
    assert value(samples(second), "requests_total", family="pass", status="200") is None


@pytest.mark.parametrize(
    ("accept", "begins"),
    [
        ("", "text/plain"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("text/plain; version=nonsense, */*;q=0.1", "text/plain"),
    ],
)
def test_the_format_is_the_one_that_is_accepted(accept: str, begins: str) -> None:
    body, media_type = rendered(exercised(), accept)
    assert media_type.startswith(begins)
    assert b"es_reasonrank_requests_total" in body


def test_the_request_that_runs_learns_of_its_stages() -> None:
    lines: list[tuple[dict[Stage, float], Answer]] = []
    record = Record(Family.SEARCH, line=lambda record, answer: lines.append((dict(record.seconds), answer)))
    token = CURRENT.set(record)
    ranked = answer(window(Outcome.OK))
    try:
        metrics = Metrics()
        metrics.searched(0.5)
        metrics.answered(ASK, ranked)
        metrics.responded(0.25)
    finally:
        CURRENT.reset(token)
    assert lines == []
    record.end()
    assert lines == [({Stage.SEARCH: 0.5, Stage.RESPOND: 0.25}, ranked)]
    record.answered(ranked)
    assert len(lines) == 2, "a ranking that outlives its request is told at once"


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/_search", Family.SEARCH),
        ("/a,b/_search", Family.SEARCH),
        ("/a/_search/", Family.SEARCH),
        ("/a/_msearch", Family.MSEARCH),
        ("/a/_search/template", Family.PASS),
        ("/", Family.PASS),
        ("/rerank", Family.RERANK),
        ("/v2/rerank", Family.RERANK),
        ("/_inference/rerank/reasonrank", Family.RERANK),
        ("/_inference/sparse_embedding/x", Family.PASS),
        ("/playground/app.js", Family.PLAYGROUND),
        ("/v1/feedback", Family.FEEDBACK),
        ("/metrics", Family.SERVICE),
        ("/metrics/_search", Family.SEARCH),
    ],
)
def test_every_path_has_a_family(path: str, family: Family) -> None:
    assert family_of(path) is family


@pytest.mark.parametrize(
    ("path", "index"), [("/a,b/_search", "a,b"), ("/_search", ""), ("/_msearch", ""), ("/a", ""), ("/", "")]
)
def test_the_index_of_a_path(path: str, index: str) -> None:
    assert index_of(path) == index


_WORKER = """
from es_reasonrank.service.metrics import Metrics
from es_reasonrank.service.record import Family
from tests.unit.service.test_metrics import _Ranking
metrics = Metrics()
metrics.requested(Family.SEARCH, 200, 0.1)
metrics.looked_at(_Ranking())
"""

_SCRAPED = """
from es_reasonrank.service.metrics import Metrics, rendered
print(rendered(Metrics(), "")[0].decode())
"""


def test_workers_add_up_and_the_dead_hold_no_queue(tmp_path: Path) -> None:
    environ = os.environ | {FOLDER: str(tmp_path)}

    def run(code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True)
        return done.stdout

    run(_WORKER)
    run(_WORKER)
    lines = run(_SCRAPED).splitlines()
    assert 'es_reasonrank_requests_total{family="search",status="200"} 2.0' in lines
    assert 'es_reasonrank_request_seconds_count{family="search"} 2.0' in lines
    assert not [line for line in lines if line.startswith("es_reasonrank_rankings{")]


def documented() -> dict[str, tuple[str, set[str]]]:
    """The page's table: each metric's type and labels."""
    rows = re.findall(r"^\| `(es_reasonrank_\w+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_page_names_every_metric_with_its_type_and_labels() -> None:
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(rendered(exercised(), "")[0].decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        kept = [sample for sample in family.samples if not sample.name.endswith("_created")]
        if kept and not name.endswith("_created"):
            found[name] = (family.type, labels)
    assert documented() == found


@pytest.mark.parametrize("words", [Family, Stage, Status, Outcome, [reason for reason in Reason if reason]])
def test_the_page_names_every_value_of_a_closed_label(words: list[str]) -> None:
    page = PAGE.read_text()
    assert [str(word) for word in words if f"`{word}`" not in page] == []
