"""TREC runs, judgments, queries and corpora; measures and the paired test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from es_reasonrank.errors import DataError, SettingsError
from es_reasonrank.evaluation.measures import by_place, measure, paired_p
from es_reasonrank.evaluation.runs import (
    Text,
    read_qrels,
    read_queries,
    read_run,
    read_texts,
    write_metadata,
    write_run,
)


@pytest.fixture
def file(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str | bytes, name: str = "file.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_run_is_ordered_by_score(file) -> None:  # type: ignore[no-untyped-def]
    path = file("q1 Q0 a 2 1.5 t\nq1\tQ0\tb\t1\t2.5\tt\n\nq2 Q0 a 1 1 t\n")
    assert {query: [hit.id for hit in hits] for query, hits in read_run(path).items()} == {
        "q1": ["b", "a"],
        "q2": ["a"],
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("q1 Q0 a 1 2\n", "line 1: a run's line has six columns"),
        ("q1 Q0 a 1 2 t\nq1 Q0 a b 1 2 t\n", "line 2: .* has 7; a document id must not hold a space"),
        ("q1 Q0 a 1 high t\n", "line 1: score 'high' is no number"),
        ("q1 Q0 a 1 nan t\n", "line 1: score 'nan' is no number"),
        ("q1 Q0 a 1 2 t\nq1 Q0 a 2 1 t\n", "line 2: document a stands twice under query q1"),
        (b"q1 Q0 \xff 1 2 t\n", "line 1: not UTF-8"),
    ],
)
def test_a_broken_run_names_the_line(file, text: str | bytes, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=sentence):
        read_run(file(text))


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.trec: cannot be read: No such file"):
        read_run(tmp_path / "none.trec")


def test_written_runs_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.trec"
    write_run(path, {"q1": ["b", "a"], "q2": []}, tag="ours")
    assert path.read_text() == "q1 Q0 b 1 2 ours\nq1 Q0 a 2 1 ours\n"
    assert [hit.id for hit in read_run(path)["q1"]] == ["b", "a"]


def test_a_run_with_a_bad_id_is_not_half_written(tmp_path: Path) -> None:
    path = tmp_path / "out.trec"
    with pytest.raises(DataError, match=r"id 'a b' is empty or holds a space"):
        write_run(path, {"q1": ["fine", "a b"]}, tag="ours")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["q1 0 a 2\nq1 0 b 0\n", "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t0\n", "q1 a 2\nq1 b 0\n"]
)
def test_judgments_in_three_forms(file, text: str) -> None:  # type: ignore[no-untyped-def]
    assert read_qrels(file(text)) == {"q1": {"a": 2, "b": 0}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("q1 a\n", "line 1: judgments have four"),
        ("q1 0 a 1\nq1 0 b good\n", "line 2: grade 'good'"),
        ("\n", "no judgments"),
    ],
)
def test_broken_judgments(file, text: str, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=sentence):
        read_qrels(file(text))


def test_queries(file) -> None:  # type: ignore[no-untyped-def]
    rows = [{"_id": 1, "text": "one"}, {"id": "2", "query": "two"}]
    assert read_queries(file("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows))) == {"1": "one", "2": "two"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"_id": "1"}\n', 'line 1: a query needs "_id" and "text"'),
        ('{"_id": "1", "text": "a"}\n{"_id": "1", "text": "b"}\n', "line 2: query id 1 stands twice"),
        ("[1]\n", "line 1: must be a JSON object, not list"),
        ("{\n", "line 1: not valid JSON"),
        ("", "holds no queries"),
    ],
)
def test_broken_queries(file, text: str, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=sentence):
        read_queries(file(text))


def test_only_the_wanted_texts_are_kept(file) -> None:  # type: ignore[no-untyped-def]
    path = file('{"_id": "a", "title": "T", "text": "x"}\n{"docid": "b", "contents": "y"}\n{"_id": "c", "text": "z"}\n')
    assert read_texts(path, {"a", "b"}) == {"a": Text("T", "x"), "b": Text("", "y")}
    with pytest.raises(DataError, match=r"1 of 2 documents of the run are not in this corpus, the first is 'd'"):
        read_texts(path, {"a", "d"})


def test_metadata_stands_beside_the_run(tmp_path: Path) -> None:
    path = write_metadata(tmp_path / "out.trec", {"seed": 1})
    assert path.name == "out.trec.meta.json"
    assert json.loads(path.read_text()) == {"seed": 1}


def test_measures_by_hand() -> None:
    """One relevant document at place 2: nDCG@10 = 1/log2(3), RR = 1/2; a query without a ranking counts as 0."""
    values = measure(
        {"q1": {"a": 1}, "q2": {"a": 1}}, by_place({"q1": ["b", "a"]}), ["nDCG@10", "RR@10", "R@100", "Judged@10"]
    )
    assert values.by_query["nDCG@10"] == pytest.approx({"q1": 0.63093, "q2": 0.0}, abs=1e-5)
    assert values.means == pytest.approx(
        {"nDCG@10": 0.315465, "RR@10": 0.25, "R@100": 0.5, "Judged@10": 0.25}, abs=1e-5
    )


def test_an_unknown_measure() -> None:
    with pytest.raises(SettingsError, match=r"unknown measure 'nDCH@10'"):
        measure({"q": {"a": 1}}, {}, ["nDCH@10"])


def test_the_paired_test() -> None:
    """By hand: deltas 1, 2, 3 give t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom, p = 0.0742."""
    assert paired_p({"a": 0, "b": 0, "c": 0}, {"a": 1, "b": 2, "c": 3}) == pytest.approx(0.0742, abs=1e-4)
    assert paired_p({"a": 1, "b": 2}, {"a": 1, "b": 2}) == 1.0
