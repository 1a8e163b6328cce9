"""The report holds what the metrics and the manifest say, to eyes and to readers of the page's text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.rerank.profile import load_profile
from tests.trainer.toys import BASE, WriteOptions, recipe
from trainer import report
from trainer.manifest import Artifact, Record, base_of, inputs_of, new_manifest
from trainer.report.markup import cell, duration
from trainer.report.metrics import curves, panels
from trainer.report.page import evenly
from trainer.report.plots import line_plot, ticks
from trainer.stages import METRICS

PROFILE = load_profile("embedded")
LOGGED = {
    "loss": 0.75,
    "reward": 0.625,
    "rewards/ndcg/mean": 0.5,
    "completions/mean_length": 321.5,
    "completions/clipped_ratio": 0.375,
    "clip_ratio/region_mean": 0.03125,
    "frac_reward_zero_std": 0.25,
    "kl": 0.0078125,
    "dev_nDCG@10": 0.4375,
    "tokens_per_second": 17.5,
}


class Page(HTMLParser):
    """The tables' rows, the plots' titles and descriptions, and everything that the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.plots: dict[str, str] = {}
        self.loads: list[str] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self._title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "script":
            self.loads.append("a script")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside in ("td", "th"):
            self.rows[-1][-1] += data
        elif inside == "title" and "svg" in self._open:
            self._title = data
        elif inside == "desc":
            self.plots[self._title] = data
        elif inside in ("h2", "h3"):
            self.headings.append(data)


def record(name: str, **values: Any) -> Record:
    inputs = inputs_of(WriteOptions(), {}, base=base_of(BASE), profile=PROFILE, seed=0)
    folder = f"01-{name}"
    given = {"stage": name, "label": name, "folder": folder, "status": "done", "inputs": inputs, "started": "now"}
    return Record.model_validate({**given, **values})


def shown(folder: Path, *records: Record, **values: Any) -> tuple[Page, str]:
    made = new_manifest(recipe(**values).model_dump(mode="json"), PROFILE)
    text = report.write(folder, made.model_copy(update={"records": records})).read_text()
    return Page(text), text


def logged(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / METRICS
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_metric_has_its_curve_its_table_and_its_words(tmp_path: Path) -> None:
    lines = [{"step": step, "time": 1.0, **{name: value * step for name, value in LOGGED.items()}} for step in (1, 2)]
    logged(tmp_path / "01-first", *lines)
    page, text = shown(tmp_path, record("first"))
    for name, value in LOGGED.items():
        assert [name, f"{value:.3g}", f"{2 * value:.3g}", f"{value:.3g}", f"{2 * value:.3g}"] in page.rows
    assert page.plots["Truncated completions"] == "completions/clipped_ratio from 0.375 to 0.75"
    assert page.plots["Clipped updates"] == "clip_ratio/region_mean from 0.03125 to 0.0625"
    assert page.plots["Zero-variance groups"] == "frac_reward_zero_std from 0.25 to 0.5"
    assert page.plots["Reward"] == "reward from 0.625 to 1.25, rewards/ndcg/mean from 0.5 to 1"
    assert page.plots["nDCG@10"] == "dev_nDCG@10 from 0.4375 to 0.875"
    assert page.plots.keys() >= {"Loss", "Completion length", "KL"}
    assert "tokens_per_second" not in " ".join(page.plots.values())
    assert text.count('<svg class="plot"') == len(page.plots)


def test_a_plot_is_named_for_those_who_do_not_see_it(tmp_path: Path) -> None:
    logged(tmp_path / "01-first", {"step": 1, "loss": 1.0})
    _, text = shown(tmp_path, record("first"))
    (names,) = re.findall(r'<svg class="plot"[^>]* role="img" aria-labelledby="(.*?)">', text)
    assert all(f' id="{name}"' in text for name in names.split())


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    logged(tmp_path / "01-first", {"step": 1, "loss": 1.0})
    page, text = shown(tmp_path, record("first"))
    assert page.loads == []
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_kept_and_dropped_stand_by_source(tmp_path: Path) -> None:
    sources = {
        "biology": {"kept": 5, "too long": 2, "mean nDCG@10": 0.5, "share at alpha": {"0.4": 0.75}},
        "<code>": {"kept": 3, "nDCG@10 below 0.4": 4},
    }
    page, _ = shown(tmp_path, record("filter", numbers={"sources": sources, "kept": 8}))
    assert page.plots["Kept and dropped"] == "8 kept, 6 dropped"
    assert ["sources", "kept", "too long", "mean nDCG@10", "share at alpha", "nDCG@10 below 0.4"] in page.rows
    assert ["biology", "5", "2", "0.5", "0.4 0.75", "0"] in page.rows
    assert ["<code>", "3", "0", "–", "–", "4"] in page.rows


def test_the_evaluation_is_a_table(tmp_path: Path) -> None:
    row = {"set": "scifact", "queries": 50, "low": 0.41, "high": 0.62, "prompt_tokens": 1000, "generated_tokens": 20}
    rows = [
        {**row, "model": model, "ndcg": ndcg, "seconds": 1.5, "outcomes": {"ok": 49, "repaired": 1}}
        for model, ndcg in (("base order", 0.5), ("sft", 0.53125))
    ]
    test = {"set": "scifact", "first": "base order", "second": "sft", "difference": 0.03125, "p": 0.04}
    (tmp_path / "evaluation.json").write_text(json.dumps({"rows": rows, "tests": [test]}))
    outputs = {"evaluation": Artifact(path="evaluation.json", sha256="")}
    page, _ = shown(tmp_path, record("evaluate", outputs=outputs))
    best = ["scifact", "sft (best)", "50", "0.5312", "0.4100 to 0.6200", "1,000", "20", "1.5", "ok 49, repaired 1"]
    assert best in page.rows
    assert ["scifact", "sft", "base order", "+0.0312", "0.0400"] in page.rows


def test_stages_stand_with_their_times_and_what_is_to_come(tmp_path: Path) -> None:
    done = record("first", seconds=200.0, attempts=2, ended="then")
    page, text = shown(tmp_path, done, record("second", status="failed", error="the <engine> is broken"))
    assert ["first", "done", "3 min 20 s", "2", "now", "then"] in page.rows
    assert ["third", "not begun", "", "", "", ""] in page.rows
    assert "the &lt;engine&gt; is broken" in text


def test_settings_stand_first(tmp_path: Path) -> None:
    page, text = shown(tmp_path, seed=17, source="2508.07050", description="What <it> is.")
    assert page.headings[:2] == ["Settings", "Stages"]
    assert "<dt>seed</dt><dd>17</dd>" in text
    assert "<dt>source</dt><dd>2508.07050</dd>" in text
    assert "What &lt;it&gt; is." in text


def test_a_step_that_was_done_twice_counts_as_it_was_done_last(tmp_path: Path) -> None:
    path = logged(tmp_path, {"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "loss": 2.5, "kl": 0.1})
    assert curves(path) == {"loss": ((1, 3.0), (2, 2.5)), "kl": ((2, 0.1),)}


def test_what_is_no_number_and_what_was_never_finished_are_left_out(tmp_path: Path) -> None:
    path = logged(tmp_path, {"step": 1, "loss": float("nan"), "kl": 0.5, "text": "x"}, {"loss": 1.0})
    with path.open("a") as file:
        file.write('{"step": 2, "kl"')
    assert curves(path) == {"kl": ((1, 0.5),)}


def test_no_metrics_are_no_curves(tmp_path: Path) -> None:
    assert curves(tmp_path / METRICS) == {}
    assert panels({}) == ([], {})


def test_a_curve_stands_in_one_panel() -> None:
    curve = ((1.0, 1.0),)
    names = ("reward", "rewards/toy/mean", "toy/ndcg", "toy/tags", "dev_ndcg", "silent/drawn", "num_tokens")
    found, rest = panels(dict.fromkeys(names, curve))
    assert {panel.title: list(panel.curves) for panel in found} == {
        "Reward": ["reward", "rewards/toy/mean"],
        "Parts of the reward": ["toy/ndcg", "toy/tags"],
        "nDCG@10": ["dev_ndcg"],
        "Zero-variance groups": ["silent/drawn"],
    }
    assert rest == {"num_tokens": curve}


def test_a_curve_is_drawn_where_its_values_are() -> None:
    """Steps 0 to 10 stand from 64 to 624; values 0 to 1 from 260 up to 12."""
    drawn = line_plot("name", "title", "told", {"loss": ((0, 0.0), (5, 0.5), (10, 1.0))})
    assert '<path class="line c0 d0" d="M64.0 260.0L344.0 136.0L624.0 12.0"/>' in drawn


def test_a_single_value_is_drawn_in_the_middle() -> None:
    drawn = line_plot("name", "title", "told", {"loss": ((3, 2.0),)})
    assert '<circle class="fill c0" cx="344.0" cy="136.0"' in drawn


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3, 47, [-10, 0, 10, 20, 30, 40, 50]),
        (0.0, 5e-324, [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6]),
        (1e-6, 4e-6, [1e-6, 1.5e-6, 2e-6, 2.5e-6, 3e-6, 3.5e-6, 4e-6]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_ticks_reach_around_the_values(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    found = ticks(low, high)
    slack = 1e-8 * max(abs(low), abs(high))
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert 2 <= len(found) <= 12
    assert found == sorted(set(found))


@given(st.integers(1, 300), st.integers(2, 50))
def test_chosen_steps_are_the_first_the_last_and_some_between(size: int, most: int) -> None:
    steps = [float(step) for step in range(size)]
    found = evenly(steps, most)
    assert found[0] == steps[0]
    assert found[-1] == steps[-1]
    assert len(found) == len(set(found)) == min(size, most)


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.24, "4.2 s"), (59.9, "59.9 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (None, "–"), (12345, "12,345"), (0.123456, "0.1235"), ({"ok": 3}, "ok 3"), (["a", "<"], "a, &lt;")],
)
def test_a_value_is_shown_as_people_read_it(value: Any, text: str) -> None:
    assert cell(value) == text
