"""A real language model as the teacher, too small to be a good one: all that it can be asked, and replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from es_reasonrank.validation import checked
from tests.trainer.synthesis.world import DOCUMENTS, QUERIES, beir, lines, working
from trainer.lists import read_lists
from trainer.stages import Made
from trainer.synthesis.stage import Options, run

TEACHER = {
    "kind": "model",
    "profile": "embedded",
    "assign": ["judge.thinking_tokens=6", "judge.answer_tokens=24"],
    "temperature": 0.8,
}


def made(folder: Path, path: Path, **teacher: Any) -> Made:
    rows = [
        {"_id": f"p{place}", "statement": QUERIES[f"{topic}?0"], "solution_py": DOCUMENTS[f"{topic}-0"]}
        for place, topic in enumerate(("sky", "cats", "bread"))
    ]
    sources = [
        {"kind": "beir", "path": beir(path / "toy"), "limit": 1},
        {"kind": "coding", "path": lines(path / "coding" / "p.jsonl", rows), "limit": 1},
        {"kind": "documents", "path": path / "toy", "limit": 1, "name": "asked"},
    ]
    candidates = {"bm25": False, "size": 4, "depth": 6}
    values = {"sources": sources, "candidates": candidates, "teacher": TEACHER | teacher}
    return run(working(folder), checked(Options, values, where="config"))


def test_a_model_teaches_and_its_transcript_does_so_again(tmp_path: Path) -> None:
    first = made(tmp_path / "first", tmp_path, record=True)
    rows = [json.loads(line) for line in (tmp_path / "first" / "answers.jsonl").read_text().splitlines()[1:]]
    kinds = [row["kind"] for row in rows]
    assert {"order", "helpful", "misleading", "query"} <= set(kinds)
    assert len({row["key"] for row in rows}) == len(rows) == first.numbers["teacher"]["answers"]
    assert all(row["prompt_tokens"] > 50 for row in rows)
    estimate = first.numbers["estimate"]
    known = [row for row in rows if row["kind"] != "order"]
    assert estimate["calls"] == len(known) + 3
    assert estimate["answer_tokens"] >= sum(row["generated_tokens"] for row in rows)
    lists = list(read_lists(first.artifacts["lists"]))
    assert lists
    assert all(one.reasoning for one in lists)
    again = made(tmp_path / "again", tmp_path, replay=first.artifacts["transcript"])
    assert list(read_lists(again.artifacts["lists"])) == lists
    assert again.numbers["teacher"]["generated_tokens"] == first.numbers["teacher"]["generated_tokens"]


def test_what_it_will_be_asked_is_counted_by_its_own_tokenizer(tmp_path: Path) -> None:
    sources = [{"kind": "beir", "path": beir(tmp_path / "toy"), "limit": 2}]
    values = {"sources": sources, "candidates": {"bm25": False, "size": 3}, "teacher": TEACHER}
    result = run(working(tmp_path / "work"), checked(Options, values, where="config"))
    rows = [json.loads(line) for line in (tmp_path / "work" / "answers.jsonl").read_text().splitlines()[1:]]
    assert sum(row["prompt_tokens"] for row in rows) == result.numbers["estimate"]["prompt_tokens"]
    assert len(rows) == result.numbers["estimate"]["calls"] == 2
