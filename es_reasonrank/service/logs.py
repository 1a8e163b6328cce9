"""What the service says on stderr: lines for people on a terminal, one JSON object a line for everything else.

A reranked search is one line. No query and no document stands in it, for they are the users' own; no line of any
library holds a key or a password.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from es_reasonrank.service.answers import Answer
from es_reasonrank.service.record import Record, Stage
from es_reasonrank.types import Status

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

NAME = "es_reasonrank.service"

_LEVELS = {NAME: logging.INFO, "uvicorn.error": logging.INFO, "uvicorn.access": logging.CRITICAL}
"""An access log would hold the queries that stand in addresses; metrics count requests."""
_FIELDS = (
    "family",
    "opaque_id",
    "trace_id",
    "index",
    "profile",
    "status",
    "reason",
    "detail",
    "remembered",
    "documents",
    "windows",
    "prompt_tokens",
    "generated_tokens",
    "seconds",
)
"""What a line tells of a reranked search, in this order; what else libraries attach to theirs is left out."""
_LONGEST = 300
"""Characters of a text that came from elsewhere."""
_MASK = "***"
_SECRET_KEYS = re.compile(r"authorization|api[-_]?key|passw|secret|cookie|credential", re.IGNORECASE)
_SECRETS = (
    (re.compile(r"\b(ApiKey|Basic|Bearer)\s+[\w+/=.~:-]+", re.IGNORECASE), rf"\1 {_MASK}"),
    (re.compile(r"://[^/\s@]+@"), f"://{_MASK}@"),
    (
        re.compile(r"\b((?:api[-_]?key|password|token|secret)['\"]?\s*[=:]\s*['\"]?)[^&\s,'\"}]+", re.IGNORECASE),
        rf"\1{_MASK}",
    ),
    (re.compile(r"\b(sk-|esr_|scrypt:)[\w:-]{8,}"), rf"\1{_MASK}"),
)


def configure(stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream`, stderr by default, and nowhere else."""
    import structlog

    stream = stream or sys.stderr
    terminal = stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal, key="time"),
                structlog.stdlib.ExtraAdder(_FIELDS),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redacted,
                *_renderers(terminal=terminal),
            ],
        )
    )
    _route(handler)


def _renderers(*, terminal: bool) -> list[Processor]:
    import structlog

    if terminal:
        return [structlog.dev.ConsoleRenderer(timestamp_key="time", pad_event_to=10, sort_keys=False)]
    return [
        structlog.processors.EventRenamer("message"),
        _ordered,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _route(handler: logging.Handler) -> None:
    """One handler for all loggers, those included that a library gave handlers of its own."""
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name, level in _LEVELS.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = []
        logger.propagate = True


def reranked(record: Record, answer: Answer) -> None:
    """Write the line of one reranked search; a warning where it did not get its order."""
    level = logging.WARNING if answer.status is Status.FAILED else logging.INFO
    logging.getLogger(NAME).log(level, "reranked", extra=fields(record, answer))


def fields(record: Record, answer: Answer) -> dict[str, Any]:
    """What a line tells. What is empty is left out."""
    trace = answer.ranking.trace
    spent = None if answer.remembered else trace
    windows = {str(outcome): count for outcome, count in sorted(spent.outcomes.items())} if spent else {}
    seconds = {Stage.SEARCH: record.seconds.get(Stage.SEARCH), Stage.QUEUE: answer.queued or None}
    seconds |= {Stage.MODEL: spent.seconds if spent else None, Stage.RESPOND: record.seconds.get(Stage.RESPOND)}
    told = {
        "family": str(record.family),
        "opaque_id": printable(record.opaque_id),
        "trace_id": record.trace_id,
        "index": printable(record.index),
        "profile": trace.profile,
        "status": str(answer.status),
        "reason": str(answer.reason),
        "detail": printable(answer.detail),
        "remembered": answer.remembered,
        "documents": len(answer.ranking.candidates),
        "windows": windows,
        "prompt_tokens": spent.prompt_tokens if spent else 0,
        "generated_tokens": spent.generated_tokens if spent else 0,
        "seconds": {str(stage): round(value, 6) for stage, value in seconds.items() if value is not None},
    }
    return {key: value for key, value in told.items() if value is not False and value not in ("", {})}


def printable(text: str) -> str:
    """A text of the caller's, fit for a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST])


def _ordered(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """What every line has comes first."""
    first = {key: event.pop(key) for key in ("time", "level", "logger", "message")}
    return {**first, **event}


def _redacted(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {key: redacted(value, key) for key, value in event.items()}


def redacted(value: Any, key: str = "") -> Any:
    """The value without secrets: those under a telling key, and those that a text shows by its form."""
    if isinstance(value, Mapping):
        return {name: redacted(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, key) for item in value]
    if not isinstance(value, str | bytes):
        return value
    if _SECRET_KEYS.search(key):
        return _MASK
    text = value if isinstance(value, str) else value.decode("utf-8", "replace")
    for pattern, masked in _SECRETS:
        text = pattern.sub(masked, text)
    return text
