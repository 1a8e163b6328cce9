"""The report's page, from a run's manifest and its stages' metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from trainer.manifest import Manifest, Record
from trainer.report.markup import cell, details, duration, facts, table
from trainer.report.metrics import Curve, Panel, curves, panels
from trainer.report.plots import bar_plot, legend, line_plot
from trainer.stages import METRICS

_SHOWN = 40
"""Steps that a table of values holds at most."""


def page(folder: Path, manifest: Manifest) -> str:
    """The whole page.

    Args:
        folder: the run's.
    """
    recipe = manifest.recipe
    title = f"{recipe['name']}: training report"
    style = resources.files("trainer.report").joinpath("style.css").read_text(encoding="utf-8")
    body = [
        f"<header><h1>{escape(recipe['name'])}</h1><p>{escape(recipe.get('description', ''))}</p></header>",
        _settings(manifest),
        _stages(manifest),
        *(_stage(folder, record) for record in manifest.records),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>\n{style}</style></head>\n<body><main>\n" + "\n".join(body) + "\n</main></body></html>\n"
    )


def _settings(manifest: Manifest) -> str:
    recipe = manifest.recipe
    shown = {
        "base model": recipe["base"],
        "profile": recipe["profile"],
        "seed": recipe["seed"],
        "source": recipe.get("source"),
        "begun": _moment(manifest.created),
        "commit": manifest.commit,
        **manifest.machine,
        "python": manifest.python,
        "versions": manifest.versions,
    }
    return f"<section><h2>Settings</h2>{facts(shown)}</section>"


def _stages(manifest: Manifest) -> str:
    rows = [
        (
            record.label,
            record.status,
            duration(record.seconds),
            record.attempts,
            _moment(record.started),
            _moment(record.ended),
        )
        for record in manifest.records
    ]
    waiting = [
        (name, "not begun", "", "", "", "")
        for entry in manifest.recipe["stages"][len(manifest.records) :]
        for name in entry
    ]
    columns = ["stage", "status", "time", "attempts", "begun", "ended"]
    caption = "Each stage; time is of work, without attempts that were killed."
    content = table(columns, [*rows, *waiting], caption=caption, numbers=["time", "attempts"])
    return f"<section><h2>Stages</h2>{content}</section>"


def _moment(text: str | None) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC") if text else ""


def _stage(folder: Path, record: Record) -> str:
    found, rest = panels(curves(folder / record.folder / METRICS))
    parts = [
        f'<p class="bad">{escape(record.error)}</p>' if record.error else "",
        *_results(folder, record),
        *(_panel(record.folder, each) for each in found),
        _others(rest),
        details("Options", facts(record.inputs.options)),
        details("What it was given, and what it made", *_files(record)),
    ]
    return f'<section id="{record.folder}"><h2>{escape(record.label)}</h2>{"".join(parts)}</section>'


def _results(folder: Path, record: Record) -> Iterator[str]:
    """A stage's numbers: those by source as bars, tables as tables, the rest as facts."""
    if "evaluation" in record.outputs:
        yield from _evaluation(folder / record.outputs["evaluation"].path)
        return
    nested = {name: value for name, value in record.numbers.items() if _is_nested(value)}
    yield facts({_words(name): value for name, value in record.numbers.items() if name not in nested})
    for name, value in nested.items():
        yield _by_name(record, name, value)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(inner, Mapping) for inner in value.values())


def _by_name(record: Record, name: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Mappings by name as a table; what the filter kept and dropped as bars beside it."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    counted = [column for column in columns if all(isinstance(row.get(column, 0), int) for row in rows.values())]
    values = {
        column: [row.get(column, 0 if column in counted else None) for row in rows.values()] for column in columns
    }
    numbers = [column for column in columns if not any(isinstance(value, (Mapping, str)) for value in values[column])]
    shown = table(
        [_words(name), *map(_words, columns)],
        zip(rows, *values.values(), strict=True),
        caption=f"By {_words(name)}",
        numbers=[_words(column) for column in numbers],
    )
    if "kept" not in counted:
        return shown
    kept = {label: row.get("kept", 0) for label, row in rows.items()}
    bars = {
        label: (kept[label], sum(row.get(column, 0) for column in counted) - kept[label]) for label, row in rows.items()
    }
    told = f"{sum(kept.values())} kept, {sum(dropped for _, dropped in bars.values())} dropped"
    plot = bar_plot(f"{record.folder}-{name}", "Kept and dropped", told, bars, ("kept", "dropped"))
    return _figure("Kept and dropped", told, legend(("kept", "dropped"), lines=False) + plot, shown)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _evaluation(path: Path) -> Iterator[str]:
    """What `evaluate` found: every ranker on every set, and the tests."""
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = found["rows"]
    values = [(row["set"], row["ndcg"]) for row in rows]
    best = {
        place for place in values if values.count(place) == 1 and place == max(v for v in values if v[0] == place[0])
    }
    columns = ["set", "ranker", "queries", "nDCG@10", "95% interval", "prompt tokens", "generated tokens", "seconds"]
    yield table(
        [*columns, "outcomes"],
        [
            (
                row["set"],
                row["model"] + (" (best)" if (row["set"], row["ndcg"]) in best else ""),
                row["queries"],
                f"{row['ndcg']:.4f}",
                f"{row['low']:.4f} to {row['high']:.4f}",
                row["prompt_tokens"],
                row["generated_tokens"],
                row["seconds"],
                row["outcomes"],
            )
            for row in rows
        ],
        caption="Evaluation: means over queries with bootstrap intervals, tokens and seconds summed over queries",
        numbers=columns[2:],
    )
    tests = [
        (test["set"], test["second"], test["first"], f"{test['difference']:+.4f}", f"{test['p']:.4f}")
        for test in found["tests"]
    ]
    if tests:
        columns = ["set", "ranker", "against", "difference", "p"]
        caption = "Differences of nDCG@10, with p of a paired t-test over queries"
        yield details("Tests", table(columns, tests, caption=caption, numbers=["difference", "p"]))


def _panel(folder: str, panel: Panel) -> str:
    told = ", ".join(f"{name} from {cell(curve[0][1])} to {cell(curve[-1][1])}" for name, curve in panel.curves.items())
    name = f"{folder}-{panel.title.lower().replace(' ', '-')}"
    plot = legend(list(panel.curves)) + line_plot(name, panel.title, told, panel.curves)
    return _figure(panel.title, panel.note, plot, _summary(panel.curves) + _values(panel.curves))


def _figure(title: str, note: str, plot: str, beside: str) -> str:
    caption = f"<figcaption><h3>{escape(title)}</h3><p>{escape(note)}</p></figcaption>"
    return f'<figure>{caption}<div class="drawn">{plot}</div><div class="told">{beside}</div></figure>'


def _summary(found: Mapping[str, Curve]) -> str:
    rows = []
    for name, curve in found.items():
        values = [value for _, value in curve]
        rows.append((name, *(f"{value:.3g}" for value in (values[0], values[-1], min(values), max(values)))))
    columns = ["metric", "first", "last", "least", "most"]
    return table(columns, rows, caption="At a glance", numbers=columns[1:])


def _values(found: Mapping[str, Curve]) -> str:
    """The values step by step; of many steps, some that are evenly apart."""
    by_step = {name: dict(curve) for name, curve in found.items()}
    steps = sorted({step for points in by_step.values() for step in points})
    chosen = evenly(steps, _SHOWN)
    rows = [(f"{step:g}", *(points.get(step) for points in by_step.values())) for step in chosen]
    caption = f"{len(chosen)} of {len(steps)} steps"
    return details("Values", table(["step", *found], rows, caption=caption, numbers=["step", *found]))


def evenly(steps: Sequence[float], most: int) -> list[float]:
    """At most so many of the steps, evenly apart, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]


def _others(rest: Mapping[str, Curve]) -> str:
    return details("Other metrics", _summary(rest)) if rest else ""


def _files(record: Record) -> Iterator[str]:
    columns = ["name", "path", "SHA-256"]
    given = [
        *((name, artifact.path, artifact.sha256) for name, artifact in record.inputs.artifacts.items()),
        *(("named in its options", path, mark) for path, mark in record.inputs.files.items()),
    ]
    made = [(name, artifact.path, artifact.sha256) for name, artifact in record.outputs.items()]
    for caption, rows in (("Given", given), ("Made", made)):
        if rows:
            yield table(columns, rows, caption=caption)
