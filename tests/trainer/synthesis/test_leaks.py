"""A test set is kept out of training, and a set that only looks like it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.runs import Text
from tests.trainer.synthesis.world import beir, lines
from trainer.synthesis.leaks import Guard, HeldOut, LeakOptions, summary
from trainer.synthesis.material import Material, Query

TEST_QUERY = "how does regular exercise change the blood pressure of older adults over a year"
TEST_DOCUMENT = (
    "Walking half an hour a day lowers the pressure of the blood in most people who keep doing it for months"
)


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    documents = {"t1": TEST_DOCUMENT, "t2": "A document that no test query asks for, about the price of tea in ports"}
    queries = {"q1": TEST_QUERY, "other": "a query of another split that is free to be learned from by anyone"}
    return beir(tmp_path / "held", documents=documents, queries=queries, qrels={"q1": {"t1": 1}}, split="test")


def guard(path: Path, **options: object) -> Guard:
    return Guard(LeakOptions(sets=(HeldOut(path=path, **options),)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("planted", "how"),
    [
        (TEST_QUERY, "exact"),
        (TEST_QUERY.upper() + "?!", "exact"),
        (TEST_QUERY.replace("older", "elderly"), "near"),
        ("how does regular exercise change the mood of older adults", ""),
        ("how does regular reading change the blood pressure of young children over a week", ""),
        ("a query of another split that is free to be learned from by anyone", ""),
    ],
)
def test_a_planted_query_is_caught_and_a_lookalike_is_kept(held_out: Path, planted: str, how: str) -> None:
    material = Material((Query("mine", planted, {"d": 1}),), {"d": Text("", "Anything at all.")})
    clean, removed = guard(held_out).cleaned("train", material)
    assert [(each.what, each.id, each.of, each.how) for each in removed] == ([("query", "mine", "q1", how)] * bool(how))
    assert len(clean.queries) == (not how)


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        (TEST_DOCUMENT, True),
        (TEST_DOCUMENT.replace("an hour", "one hour").upper(), True),
        ("Walking half an hour a day wears out the shoes of most people who keep doing it for months", False),
        ("A document that no test query asks for, about the price of tea in ports", False),
    ],
)
def test_a_planted_document_is_caught(held_out: Path, planted: str, caught: bool) -> None:
    material = Material((Query("q", "anything", {"d": 1, "e": 1}),), {"d": Text("", planted), "e": Text("", "Other.")})
    clean, removed = guard(held_out).cleaned("train", material)
    assert [each.id for each in removed] == ["d"] * caught
    assert set(clean.corpus) == ({"e"} if caught else {"d", "e"})
    assert set(clean.queries[0].grades) == set(clean.corpus)


def test_a_query_whose_only_positive_leaks_goes_too(held_out: Path) -> None:
    material = Material((Query("q", "anything", {"d": 1}),), {"d": Text("", TEST_DOCUMENT)})
    clean, _ = guard(held_out).cleaned("train", material)
    assert not clean.queries
    assert clean.left_out == {"its documents leak": 1}


def test_a_finished_list_that_loses_a_passage_goes(held_out: Path) -> None:
    query = Query("q", "anything", {"e": 1}, pool=("e", "d"), order=("e", "d"), reasoning="[1] is better than [2]")
    material = Material((query,), {"d": Text("", TEST_DOCUMENT), "e": Text("", "Other.")})
    assert not guard(held_out).cleaned("train", material)[0].queries


@pytest.mark.parametrize(("documents", "kept_out"), [("all", 2), ("relevant", 1), ("none", 0)])
def test_which_documents_are_kept_out_is_an_option(held_out: Path, documents: str, kept_out: int) -> None:
    corpus = {
        "a": Text("", TEST_DOCUMENT),
        "b": Text("", "A document that no test query asks for, about the price of tea in ports"),
    }
    _, removed = guard(held_out, documents=documents).cleaned("train", Material((), corpus))
    assert len(removed) == kept_out


def test_a_file_of_queries_is_a_test_set_too(tmp_path: Path) -> None:
    path = lines(tmp_path / "ours.jsonl", [{"_id": "x", "text": TEST_QUERY}])
    material = Material((Query("mine", TEST_QUERY, {}),), {})
    assert [removed.of for removed in guard(path).cleaned("train", material)[1]] == ["x"]


def test_the_report_counts_by_test_set(held_out: Path) -> None:
    material = Material((Query("mine", TEST_QUERY, {"d": 1}),), {"d": Text("", TEST_DOCUMENT)})
    _, removed = guard(held_out).cleaned("train", material)
    assert summary(removed) == {str(held_out): {"exact document": 1, "exact query": 1}}
    assert removed[0].row() == {
        "dataset": "train",
        "what": "query",
        "id": "mine",
        "set": str(held_out),
        "of": "q1",
        "how": "exact",
        "similarity": 1.0,
    }


def test_what_is_no_test_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no test set: it has no qrels/test\.tsv"):
        guard(tmp_path)
