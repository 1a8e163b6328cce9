"""The demonstration's passages, questions and judgments."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.demo import corpus
from es_reasonrank.files import json_lines, text_lines

DATA = Path(corpus.__file__).parent
DIGEST = """
import hashlib, json
from es_reasonrank.demo.corpus import passages
print(hashlib.sha256(json.dumps(passages()).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def passages() -> list[dict[str, Any]]:
    return corpus.passages()


@pytest.fixture(scope="module")
def ids(passages: list[dict[str, Any]]) -> set[str]:
    return {passage["_id"] for passage in passages}


@pytest.fixture(scope="module")
def questions() -> dict[str, str]:
    return {row["_id"]: row["text"] for _, row in json_lines(DATA / "queries.jsonl")}


@pytest.fixture(scope="module")
def judgments() -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for number, line in text_lines(DATA / "qrels.tsv"):
        if number > 1:
            question, passage, grade = line.split("\t")
            assert passage not in grades[question], f"line {number}: judged twice"
            grades[question][passage] = int(grade)
    return grades


def test_passages_have_the_form_of_a_corpus(passages: list[dict[str, Any]], ids: set[str]) -> None:
    assert len(passages) > 4000
    assert len(ids) == len(passages)
    assert [passage["_id"] for passage in passages] == sorted(ids)
    for passage in passages:
        assert passage.keys() == {"_id", "title", "body", "metadata"}
        assert passage["title"].startswith(passage["_id"].removeprefix("builtins."))
        assert len(passage["body"]) >= corpus.SHORTEST_BODY
        assert passage["body"] == passage["body"].strip()
        assert passage["_id"].startswith(passage["metadata"]["module"])


def test_no_text_stands_twice(passages: list[dict[str, Any]]) -> None:
    whole = Counter(passage["body"] for passage in passages if passage["metadata"]["kind"] != "module")
    assert whole.most_common(1)[0][1] == 1


def test_passages_stand_under_the_names_that_users_know(ids: set[str]) -> None:
    assert {"builtins.open", "os.path.join", "asyncio.Queue", "json.dumps", "collections.abc.Mapping"} <= ids
    assert {"io.open", "posixpath.join", "asyncio.queues.Queue"}.isdisjoint(ids)
    assert not any("._" in name or name.startswith("_") for name in ids)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("builtins.sorted", "sorted(iterable, /, *, key=None, reverse=False)"),
        ("textwrap.dedent", "textwrap.dedent(text)"),
        ("pathlib.Path.rename", "pathlib.Path.rename(target)"),
        ("functools.total_ordering", "functools.total_ordering(cls)"),
        ("threading.Thread.daemon", "threading.Thread.daemon"),
        ("secrets", "secrets"),
    ],
)
def test_a_title_shows_how_the_thing_is_called(passages: list[dict[str, Any]], name: str, title: str) -> None:
    assert [passage["title"] for passage in passages if passage["_id"] == name] == [title]


def test_titles_are_short_and_free_of_addresses(passages: list[dict[str, Any]]) -> None:
    for passage in passages:
        assert len(passage["title"]) <= len(passage["_id"]) + corpus.LONGEST_SIGNATURE + len(", ...)")
        assert " at 0x" not in passage["title"]


def test_long_module_texts_are_cut(passages: list[dict[str, Any]]) -> None:
    modules = [passage for passage in passages if passage["metadata"]["kind"] == "module"]
    assert max(len(passage["body"]) for passage in modules) <= corpus.LONGEST_MODULE_BODY


def test_every_process_makes_the_same_passages_and_says_nothing_else() -> None:
    processes = [
        subprocess.run(
            [sys.executable, "-W", "always", "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        )
        for seed in ("1", "2")
    ]
    assert processes[0].stdout == processes[1].stdout
    assert len(processes[0].stdout.split()) == 1
    assert [process.stderr for process in processes] == ["", ""]


def test_there_are_enough_questions(questions: dict[str, str], judgments: dict[str, dict[str, int]]) -> None:
    assert len(questions) >= 40
    assert len(set(questions.values())) == len(questions)
    assert questions.keys() == judgments.keys()


def test_judgments_have_the_form_of_beir(judgments: dict[str, dict[str, int]]) -> None:
    assert next(text_lines(DATA / "qrels.tsv")) == (1, "query-id\tcorpus-id\tscore")
    assert {grade for grades in judgments.values() for grade in grades.values()} == {0, 1, 2, 3}


def test_every_question_has_an_answer_in_this_python(ids: set[str], judgments: dict[str, dict[str, int]]) -> None:
    for question, grades in judgments.items():
        assert any(grade == 3 and name in ids for name, grade in grades.items()), question


def test_nearly_all_judged_passages_are_in_this_python(ids: set[str], judgments: dict[str, dict[str, int]]) -> None:
    useful = {name for grades in judgments.values() for name, grade in grades.items() if grade > 0}
    assert len(useful - ids) <= len(useful) // 50


def test_no_question_names_its_answer(questions: dict[str, str], judgments: dict[str, dict[str, int]]) -> None:
    for question, text in questions.items():
        for name, grade in judgments[question].items():
            leaf = name.rpartition(".")[2].lower()
            assert grade < 3 or len(leaf) <= 4 or leaf not in text.lower(), (question, leaf)
