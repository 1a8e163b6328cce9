"""The answers of both sides as one table, the goals, and where the time went. Pure: text out of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from es_reasonrank.evaluation.measures import by_place, measure
from es_reasonrank.evaluation.runs import Qrels

FASTER, OVERHEAD = 2.0, 1.02
"""The goals: times the peer's queries a minute, and times the time of the engine alone."""
_WIDTH = 21

Answer = Mapping[str, Any]
"""What a side wrote, with the runs of all its turns."""


def lines(peer: Answer, ours: Answer, qrels: Qrels, base: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The whole report.

    Args:
        qrels: the judgments of the measured queries.
        base: the first stage's orders.
    """
    columns = {f"rank_llm {name}": (peer, runs) for name, runs in peer["runs"].items()}
    columns |= {f"ours {name}": (ours, runs) for name, runs in ours["runs"].items()}
    yield from _table(columns, qrels)
    yield ""
    yield f"nDCG@10 of the first stage {_quality(base, qrels):.3f}, for lists of these depths"
    yield from _same(peer, ours)
    yield ""
    yield from _goals(peer, ours)
    yield ""
    yield from _where(peer, ours)


def _table(columns: Mapping[str, tuple[Answer, list[Any]]], qrels: Qrels) -> Iterator[str]:
    rows: dict[str, Callable[[Answer, Any], str]] = {
        "queries a minute": lambda _, run: f"{_rate(run):.2f}",
        "p50 seconds a query": lambda _, run: f"{_percentile(run, 0.5):.1f}",
        "p95 seconds a query": lambda _, run: f"{_percentile(run, 0.95):.1f}",
        "seconds in all": lambda _, run: f"{run['seconds']:.1f}",
        "prompt tokens": lambda _, run: f"{_total(run, 'prompt_tokens'):,}",
        "generated tokens": lambda _, run: f"{_total(run, 'generated_tokens'):,}",
        "calls": lambda _, run: str(len(run["calls"])),
        "malformed replies": lambda _, run: str(len(_malformed(run))),
        "  that moved passages": lambda _, run: str(sum(call["moved"] for call in _malformed(run))),
        "nDCG@10": lambda _, run: f"{_quality(run['orders'], qrels):.3f}",
        "seconds making prompts": lambda _, run: f"{run['spent'].get('prompts', 0.0):.2f}",
        "peak memory, GiB": lambda side, _: f"{median(side['peak_memory']) / 2**30:.2f}",
        "load time, seconds": lambda side, _: f"{median(side['load_seconds']):.0f}",
    }
    yield _row("", list(columns))
    for label, cell in rows.items():
        yield _row(label, [cell(side, _middle(runs)) for side, runs in columns.values()])
    yield _row("runs, the median's shown", [str(len(runs)) for _, runs in columns.values()])


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:26}" + "".join(f"{text:>{_WIDTH}}" for text in cells)


def _same(peer: Answer, ours: Answer) -> Iterator[str]:
    """Whether both sides asked the same; orders that differ make later windows differ."""
    theirs = {call["prompt"]: call for call in _calls(peer, "by length")}
    own = {call["prompt"]: call for call in _calls(ours, "sliding")}
    shared = theirs.keys() & own.keys()
    agree = sum(theirs[prompt]["prompt_tokens"] == own[prompt]["prompt_tokens"] for prompt in shared)
    limits = {call["size"]: call["limit"] for call in theirs.values()}
    equal = all(limits.get(call["size"]) == call["limit"] for call in own.values())
    yield (
        f"prompts that both sides sent letter for letter: {len(shared)} of {len(own)}; token counts agree in {agree}; "
        f"limits of replies {'agree for every size of window' if equal else f'DIFFER: {limits}'}"
    )
    first, their_first = (_first(_calls(side, name)) for side, name in ((ours, "sliding"), (peer, "by length")))
    match = sum(prompt == their_first.get(query) for query, prompt in first.items())
    yield f"first windows, over the same passages on both sides: {match} of {len(first)} the same prompt"


def _goals(peer: Answer, ours: Answer) -> Iterator[str]:
    best = max(_rate(_middle(runs)) for runs in peer["runs"].values())
    factors = {name: _rate(_middle(runs)) / best for name, runs in ours["runs"].items()}
    yield (
        f"queries a minute, ours to rank_llm at its best: {factors['sliding']:.2f}x; "
        f"the goal {FASTER:g}x is {_met(factors.pop('sliding') >= FASTER)}"
    )
    for name, factor in factors.items():
        yield f"  by another strategy, with fewer calls or shorter ones, {name}: {factor:.2f}x"
    sliding, alone = ours["runs"]["sliding"], ours["alone"]
    pairs = [run["seconds"] / each["seconds"] for run, each in zip(sliding, alone["in sequence"], strict=True)]
    yield (
        f"scheduling overhead, to the engine alone on each query's prompts in sequence: {median(pairs):.3f}x; "
        f"the goal {OVERHEAD:g}x is {_met(median(pairs) <= OVERHEAD)}"
    )
    yield f"  pair by pair: {', '.join(f'{each:.3f}' for each in pairs)}"
    once = _median(sliding) / _median(alone["all at once"])
    yield (
        f"  to the engine alone on all prompts at once: {once:.3f}x; that knows every prompt beforehand, "
        "while a sliding window waits for the one before it"
    )


def _where(peer: Answer, ours: Answer) -> Iterator[str]:
    """Where the time goes: what reading the prompts takes bounds every scheduler."""
    sliding, theirs = _middle(ours["runs"]["sliding"]), _middle(peer["runs"]["by length"])
    reading = _median(ours["alone"]["prompts only"])
    speed = _total(sliding, "prompt_tokens") / reading
    yield (
        f"reading our prompts, all at once, one token a reply: {reading:.1f} s, {speed:,.0f} tokens/s: "
        f"{100 * reading / sliding['seconds']:.0f} % of our time, {100 * reading / theirs['seconds']:.0f} % of "
        f"rank_llm's; no scheduling of these calls can have more than {theirs['seconds'] / reading:.2f}x its rate"
    )
    for name, run in (("rank_llm", theirs), ("ours", sliding)):
        full = sum(call["generated_tokens"] >= call["limit"] for call in run["calls"])
        yield (
            f"{name}: {run['seconds'] - reading:.1f} s more than that, for {_total(run, 'generated_tokens'):,} "
            f"generated tokens; {full} of {len(run['calls'])} replies went to the limit"
        )
    yield f"rank_llm: {theirs['spent']['prompts']:.2f} s making prompts, {theirs['spent']['engine']:.1f} s in vLLM"
    yield f"ours: {sliding['spent']['prompts']:.2f} s cutting and tokenising, beside vLLM, which goes on meanwhile"


def _median(runs: Sequence[Any]) -> float:
    return float(median(run["seconds"] for run in runs))


def _middle(runs: Sequence[Any]) -> Any:
    """The run of median time; of two in the middle, the slower."""
    return sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]


def _rate(run: Any) -> float:
    return 60 * len(run["query_seconds"]) / float(run["seconds"])


def _percentile(run: Any, share: float) -> float:
    """Between the two nearest values, in proportion."""
    values = sorted(run["query_seconds"].values())
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (place - low) * (values[high] - values[low]))


def _total(run: Any, key: str) -> int:
    return int(sum(call[key] for call in run["calls"]))


def _malformed(run: Any) -> list[Any]:
    """The calls whose reply does not name every passage of the window exactly once, in brackets."""
    return [call for call in run["calls"] if sorted(map(int, call["named"])) != list(range(1, call["size"] + 1))]


def _quality(orders: Mapping[str, Sequence[str]], qrels: Qrels) -> float:
    return measure({query: qrels[query] for query in orders}, by_place(orders), ["nDCG@10"]).means["nDCG@10"]


def _calls(side: Answer, name: str) -> list[Any]:
    found: list[Any] = side["runs"][name][0]["calls"]
    return found


def _first(calls: Sequence[Any]) -> dict[str, str]:
    """Each query's first prompt."""
    return {call["query"]: call["prompt"] for call in reversed(calls)}


def _met(reached: bool) -> str:
    return "met" if reached else "MISSED"
