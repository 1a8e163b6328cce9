"""The log: one line a reranked search, and never a secret or a query."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.service import logs
from es_reasonrank.service.ranking import Answer, Reason
from es_reasonrank.service.record import Family, Record, Stage
from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Window

SECRET = "VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw"
QUERY = "a disease that nobody should know of"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Leaves the process's loggers as they were."""
    names = ("", logs.NAME, "uvicorn.error", "uvicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.level, logger.propagate = handlers, level, propagate


def answer(detail: str = "", *, status: Status = Status.PARTIAL, remembered: bool = False) -> Answer:
    candidates = (Candidate("a", QUERY), Candidate("b", "two"))
    window = Window((0, 1), (1, 0), Outcome.OK, "", QUERY, QUERY, None, 300, 40, 1.5)
    trace = Trace("reasonrank", "m", (window, window), 2.0)
    ranking = Ranking(QUERY, candidates, (1, 0), (1.0, 0.5), trace)
    return Answer(ranking, status, Reason.DEADLINE, detail, queued=0.5, remembered=remembered)


def record() -> Record:
    return Record(Family.SEARCH, "articles", "shop-42", seconds={Stage.SEARCH: 0.02, Stage.RESPOND: 0.001})


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_reranked_search_is_one_json_line() -> None:
    logs.configure(stream := io.StringIO())
    logs.reranked(record(), answer("time was up"))
    (line,) = written(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "es_reasonrank.service",
        "message": "reranked",
        "family": "search",
        "opaque_id": "shop-42",
        "index": "articles",
        "profile": "reasonrank",
        "status": "partial",
        "reason": "deadline",
        "detail": "time was up",
        "documents": 2,
        "windows": {"ok": 2},
        "prompt_tokens": 600,
        "generated_tokens": 80,
        "seconds": {"search": 0.02, "queue": 0.5, "model": 2.0, "respond": 0.001},
    }


def test_a_remembered_order_cost_nothing() -> None:
    told = logs.fields(record(), answer(remembered=True))
    assert told["remembered"] is True
    assert told["prompt_tokens"] == 0
    assert "windows" not in told
    assert "model" not in told["seconds"]


def test_a_failed_ranking_is_a_warning() -> None:
    logs.configure(stream := io.StringIO())
    logs.reranked(record(), answer(status=Status.FAILED))
    assert written(stream)[0]["level"] == "warning"


def test_on_a_terminal_the_line_is_for_reading() -> None:
    logs.configure(stream := Terminal())
    logs.reranked(record(), answer())
    assert "articles" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        written(stream)


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_neither_query_nor_text_nor_reasoning_is_logged(stream: io.StringIO) -> None:
    logs.configure(stream)
    logs.reranked(record(), answer())
    assert "disease" not in stream.getvalue()


def test_a_callers_control_characters_do_not_reach_the_terminal() -> None:
    logs.configure(stream := Terminal())
    logs.reranked(Record(Family.SEARCH, opaque_id="x\x1b]0;owned\x07\ny"), answer("\x1b[2J"))
    assert "\x1b]" not in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


def test_libraries_write_the_same_lines() -> None:
    logs.configure(stream := io.StringIO())
    logging.getLogger("some.library").warning("node %s failed", "a:9200")
    logging.getLogger("some.library").info("not of interest")
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("uvicorn.access").info("GET /articles/_search?q=%s", QUERY)
    assert [(line["logger"], line["message"]) for line in written(stream)] == [
        ("some.library", "node a:9200 failed"),
        ("uvicorn.error", "Started"),
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
@pytest.mark.parametrize(
    "message",
    [
        f"headers: {{'Authorization': 'ApiKey {SECRET}'}}",
        f"sent Authorization: Bearer {SECRET}",
        f"authorization: basic {SECRET}==",
        f"cannot connect to https://elastic:{SECRET}@search:9200",
        f"POST /v1?api_key={SECRET}&x=1",
        f"password={SECRET}",
        f'{{"api_key": "{SECRET}"}}',
        f"Incorrect API key provided: sk-{SECRET}",
        f"the key esr_0123abcd_{SECRET} is not known",
    ],
)
def test_secrets_are_masked_whoever_writes_them(message: str, stream: io.StringIO) -> None:
    logs.configure(stream)
    logging.getLogger("some.library").error("%s", message)
    logs.reranked(record(), answer(message))
    try:
        raise ValueError(message)
    except ValueError:
        logging.getLogger("some.library").exception("it failed")
    text = stream.getvalue()
    assert "ValueError" in text
    assert SECRET not in text
    assert "ui2lp2axTNmsyakw9tvNnw" not in text


@given(
    scheme=st.sampled_from(["ApiKey", "Bearer", "Basic", "bearer", "APIKEY"]),
    secret=st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=._~:-", min_size=1),
    around=st.text(max_size=20),
)
def test_no_authorization_survives(scheme: str, secret: str, around: str) -> None:
    marked = f"S3CR3T{secret}S3CR3T"
    assert "S3CR3T" not in logs.redacted(f"{around} {scheme} {marked} {around}")


@pytest.mark.parametrize(
    "key", ["Authorization", "api_key", "x-api-key", "apiKey", "password", "client_secret", "Cookie"]
)
def test_a_telling_key_hides_its_value(key: str) -> None:
    assert logs.redacted({"a": [{key: SECRET}]}) == {"a": [{key: "***"}]}


@given(st.text(st.characters(exclude_characters=":/@=-_", exclude_categories=("Cs",)), max_size=60))
def test_what_is_no_secret_stays(text: str) -> None:
    harmless = not any(word in text.lower() for word in ("apikey", "basic", "bearer"))
    assert not harmless or logs.redacted({"detail": text, "prompt_tokens": 5}) == {"detail": text, "prompt_tokens": 5}
