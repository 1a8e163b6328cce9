"""What happened while a ranking was made, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.text import Text

from es_reasonrank.cli import output
from es_reasonrank.errors import PartialError, ReasonRankError, ServiceError
from es_reasonrank.types import Ranking, Status, Trace

_CODES = {
    Status.OK: 0,
    Status.SKIPPED: 0,
    Status.PARTIAL: PartialError.exit_code,
    Status.FAILED: ServiceError.exit_code,
}


def exit_code(status: Status) -> int:
    """The exit code of a ranking's status: 7 where a part kept its base order, 6 where all of it did."""
    return _CODES[status]


def settled(summary: Mapping[str, Any], failed: Mapping[str, ReasonRankError], *, as_json: bool, written: str) -> int:
    """Print what a job over many queries did, and return its exit code: 7 where some queries failed, 6 where all did.

    Args:
        summary: names and values to show; `queries` is how many there were.
        failed: the error of each query that failed.
        written: where the results are.
    """
    if as_json:
        output.emit_json({**summary, "output": written, "errors": {name: str(error) for name, error in failed.items()}})
    else:
        output.out.print(
            output.facts(
                {name.replace("_", " "): _shown(value) for name, value in summary.items()} | {"output": written}
            )
        )
    if not failed:
        return 0
    name, error = next(iter(failed.items()))
    message = f"{len(failed)} of {summary['queries']} queries failed, {name} first: {error}; run again to do these"
    raise (
        PartialError(message, failed=len(failed), total=summary["queries"])
        if len(failed) < summary["queries"]
        else ServiceError(message)
    )


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return "-" if value is None else str(value)


def move(base: int, rank: int) -> Text:
    """How far a hit moved."""
    if base == rank:
        return Text("=", style="dim")
    return Text(f"▲{base - rank}", style="green") if base > rank else Text(f"▼{rank - base}", style="red")


def print_trace(ranking: Ranking, *, explain: bool, before: str = "") -> None:
    """The ranking in a line or two; with `explain`, every window with its reasoning."""
    trace = ranking.trace
    if explain:
        for number, window in enumerate(trace.windows, start=1):
            if len(window.shown) > 1 or not window.outcome.ranks:
                _print_window(number, ranking)
    tokens = f"{trace.prompt_tokens} prompt and {trace.generated_tokens} generated tokens"
    ranker = f"[bold]{trace.profile}[/bold] ({escape(trace.model)})"
    output.out.print(f"{ranker}: {_status(trace)}; {before}rerank {trace.seconds:.2f} s; {tokens}")
    for window in trace.windows:
        if not window.outcome.ranks:
            output.err.print(
                f"[yellow]{window.outcome}[/yellow]: {escape(window.detail)}; its window kept the base order"
            )
            break


def _status(trace: Trace) -> str:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(trace.outcomes.items()))
    remembered = f", {trace.cached} remembered" if trace.cached else ""
    return f"{trace.status} ({len(trace.windows)} windows: {counts}{remembered})" if counts else "nothing to rank"


def _print_window(number: int, ranking: Ranking) -> None:
    window = ranking.trace.windows[number - 1]
    output.out.print(
        f"[bold]window {number}[/bold]: base ranks {min(window.shown) + 1} to {max(window.shown) + 1}, "
        f"[{'green' if window.outcome.ranks else 'yellow'}]{window.outcome}[/] {escape(window.detail)}, "
        f"{window.seconds:.2f} s"
    )
    if window.reasoning:
        output.out.print(Text(window.reasoning, style="italic"))
    order = " > ".join(str(index + 1) for index in window.order)
    output.out.print(f"order by base rank: {order}\n")
