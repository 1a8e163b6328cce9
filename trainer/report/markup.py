"""The few pieces of HTML that the page is made of. Every text that comes from elsewhere is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str, numbers: Sequence[str] = ()) -> str:
    """A table; the columns named in `numbers` are set to the right."""
    kinds = [' class="number"' if name in numbers else "" for name in columns]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(columns, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell(value)}</td>" for value, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def facts(values: Mapping[str, Any]) -> str:
    """Names and values; those without a value are left out."""
    pairs = ((name, value) for name, value in values.items() if value not in (None, "", [], {}))
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{cell(value)}</dd>" for name, value in pairs) + "</dl>"


def details(summary: str, *content: str) -> str:
    """Content that is shown when it is asked for."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(content)}</details>"


def cell(value: Any) -> str:
    """A value as people read it, escaped."""
    return escape(_told(value))


def _told(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_told(entry)}" for name, entry in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(_told(entry) for entry in value)
    return str(value)


def duration(seconds: float) -> str:
    """Seconds as people say them: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
