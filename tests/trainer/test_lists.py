"""Training lists, and the lines that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.errors import DataError
from trainer.filtering import self_consistent
from trainer.lists import Passage, TrainingList, read_lists, write_lists

LIST = TrainingList(
    dataset="toy",
    qid="1",
    query="why is the sky blue",
    passages=(Passage(id="a", text="Rain."), Passage(id="b", text="Light scatters.", title="Sky", origin="qrels")),
    relevant={"b": 2},
    order=("b", "a"),
    reasoning="The second explains it.",
    gold="Scattering.",
)


def test_a_list_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_lists(tmp_path / "lists.jsonl", [LIST])
    assert list(read_lists(tmp_path / "lists.jsonl")) == [LIST]


def test_grades_and_places_are_as_shown() -> None:
    assert LIST.grades == (0, 2)
    assert LIST.places == (1, 0)


def test_the_filter_reads_it() -> None:
    assert self_consistent([LIST.record()]).kept == [LIST.record()]


@pytest.mark.parametrize(("reasoning", "chain"), [("Because.", "Because."), (["Because."], "Because."), ([], "")])
def test_a_chain_may_be_a_text_or_a_list_with_one(tmp_path: Path, reasoning: Any, chain: str) -> None:
    (tmp_path / "lists.jsonl").write_text(json.dumps({**LIST.record(), "reasoning": reasoning}))
    assert next(read_lists(tmp_path / "lists.jsonl")).reasoning == chain


def test_a_released_record_counts_each_relevant_document_once(tmp_path: Path) -> None:
    record = {name: value for name, value in LIST.record().items() if name not in ("grades", "gold")}
    (tmp_path / "lists.jsonl").write_text(json.dumps(record))
    assert next(read_lists(tmp_path / "lists.jsonl")).relevant == {"b": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"passages": None}, "not subscriptable"),
        ({"query": None}, "key 'query'"),
        ({"initial_list": ["a"]}, "key 'passages'"),
        ({"initial_list": ["a", "c"]}, "training list without 'c'"),
        ({"initial_list": ["a", "a"]}, "a passage stands in it twice"),
        ({"final_list": ["a", "a"]}, "its order is no permutation of its passages"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "lists.jsonl").write_text(json.dumps({**LIST.record(), **change}))
    with pytest.raises(DataError, match=rf"lists\.jsonl, line 1: .*{words}"):
        list(read_lists(tmp_path / "lists.jsonl"))
