"""Every source brings queries with what is known of them, or says in a sentence why it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import DataError, SettingsError
from es_reasonrank.validation import checked
from tests.trainer.synthesis.world import DOCUMENTS, QRELS, QUERIES, beir, lines
from trainer.synthesis.material import Material
from trainer.synthesis.sources.answers import passages
from trainer.synthesis.sources.judged import Clicks, graded
from trainer.synthesis.stage import Options

DATA = Path(__file__).parents[4] / "shared" / "data"
HERE = pytest.mark.skipif(not DATA.is_dir(), reason="the folder shared/data is not beside the project")


async def nowhere() -> AsyncElasticsearch:
    raise AssertionError("this source needs no Elasticsearch")


async def loaded(**source: Any) -> Material:
    options = checked(Options, {"sources": [source]}, where="test")
    return await options.sources[0].load(nowhere)


class TestBeir:
    async def test_queries_come_with_their_judgments(self, tmp_path: Path) -> None:
        material = await loaded(kind="beir", path=beir(tmp_path))
        assert {query.id: query.text for query in material.queries} == QUERIES
        assert {query.id: query.relevant for query in material.queries} == QRELS
        assert {name: text.text for name, text in material.corpus.items()} == DOCUMENTS

    def test_the_test_split_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="the test split is for measuring, never for training; name another"):
            checked(Options, {"sources": [{"kind": "beir", "path": tmp_path, "split": "test"}]}, where="config")

    async def test_judgments_without_a_positive(self, tmp_path: Path) -> None:
        beir(tmp_path, qrels={"sky?0": {"sky-0": 0}})
        with pytest.raises(DataError, match=r"train\.tsv: no judgment is above 0"):
            await loaded(kind="beir", path=tmp_path)

    async def test_what_cannot_be_used_is_counted(self, tmp_path: Path) -> None:
        beir(tmp_path, qrels={"sky?0": {"sky-0": 2, "sky-1": 0}, "cats?0": {"lost": 1}, "unknown": {"sky-0": 1}})
        material = await loaded(kind="beir", path=tmp_path)
        assert [query.id for query in material.queries] == ["sky?0"]
        assert material.queries[0].grades == {"sky-0": 2, "sky-1": 0}
        assert material.left_out == {"no positive in the corpus": 1, "no text": 1}

    async def test_an_empty_corpus(self, tmp_path: Path) -> None:
        (beir(tmp_path) / "corpus.jsonl").write_text("")
        with pytest.raises(DataError, match="holds no documents"):
            await loaded(kind="beir", path=tmp_path)


class TestAnswers:
    async def test_an_answer_is_gold_and_its_passages_are_relevant(self, tmp_path: Path) -> None:
        long = "First of all it rains. " * 5 + "Then it stops. " * 5
        rows = [
            {"_id": "a", "question": "Why does it rain?", "answer": long},
            {"_id": "b", "question": "why does it RAIN", "answer": "Clouds are full."},
            {"_id": "c", "question": "When?", "answer": ""},
        ]
        material = await loaded(kind="answers", path=lines(tmp_path / "qa.jsonl", rows), words=25)
        (query,) = material.queries
        assert query.text == "Why does it rain?"
        assert list(query.relevant) == ["a#0", "a#1", "b#0"]
        assert query.gold == f"{long.strip()}\n\nClouds are full."
        assert material.corpus["b#0"].text == "Clouds are full."
        assert material.left_out == {"no question or no answer": 1}

    @given(st.text(alphabet="ab. !?\n", max_size=200), st.integers(1, 10))
    def test_passages_hold_every_word_once(self, text: str, words: int) -> None:
        pieces = list(passages(text, words))
        assert " ".join(pieces).split() == text.split()

    async def test_a_key_that_no_row_knows(self, tmp_path: Path) -> None:
        path = lines(tmp_path / "qa.jsonl", [{"query": "x", "answer": "y"}])
        with pytest.raises(DataError, match="row 1 has no text 'question'; its keys are query, answer"):
            await loaded(kind="answers", path=path)


class TestCoding:
    ROWS = (
        {"_id": 1, "title": "Sum", "statement": "Add.", "solution_py": "a + b", "explanation": "Adds.", "x": False},
        {"_id": 2, "title": "", "statement": "Subtract.", "solution_py": "a - b", "explanation": "", "x": True},
        {"_id": 3, "title": "", "statement": "Divide.", "solution_py": "", "explanation": "", "x": False},
    )

    async def test_a_problem_is_a_query_and_never_its_own_document(self, tmp_path: Path) -> None:
        material = await loaded(kind="coding", path=lines(tmp_path / "p.jsonl", self.ROWS), skip="x")
        (query,) = material.queries
        assert (query.id, query.text, query.gold, query.excluded) == ("1", "Add.", "a + b\n\nAdds.", {"1"})
        assert material.corpus["1"] == ("Sum", "Add.\n\na + b")
        assert material.left_out == {"marked x": 1, "no problem or no solution": 1}
        assert "algorithm" in material.criterion

    async def test_all_of_a_test_set(self, tmp_path: Path) -> None:
        path = lines(tmp_path / "p.jsonl", self.ROWS[1:])
        with pytest.raises(DataError, match="no row can be used: no solutions, or all are of a test set"):
            await loaded(kind="coding", path=path, skip="x")


async def test_math_problems_rest_on_theorems(tmp_path: Path) -> None:
    problems = lines(tmp_path / "p.jsonl", [{"_id": "m1", "problem": "Show that...", "solution": "By Rolle."}])
    corpus = lines(tmp_path / "t.jsonl", [{"_id": "rolle", "title": "Rolle", "text": "Between two zeros..."}])
    material = await loaded(kind="math", path=problems, corpus=corpus)
    assert (material.queries[0].gold, material.queries[0].relevant) == ("By Rolle.", {})
    assert list(material.corpus) == ["rolle"]


async def test_documents_without_queries_are_all_to_be_asked_about(tmp_path: Path) -> None:
    material = await loaded(kind="documents", path=beir(tmp_path))
    assert material.unasked == tuple(DOCUMENTS)
    assert not material.queries


class TestReleased:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        for kind, texts in (("id_query", {"1": "why"}), ("id_doc", {"a": "A.", "b": "B."})):
            (tmp_path / kind).mkdir()
            (tmp_path / kind / f"math-qa_{kind}.json").write_text(json.dumps(texts))
            (tmp_path / kind / "math-theorem.json").write_text("{}")
        row = {
            "dataset": "math-qa",
            "qid": "1",
            "initial_list": ["a", "b"],
            "final_list": ["b", "a"],
            "reasoning": "[2] fits.",
            "relevant_docids": ["b"],
        }
        return lines(tmp_path / "all.jsonl", [row])

    async def test_lists_are_joined_with_their_texts(self, path: Path) -> None:
        material = await loaded(kind="released", path=path)
        (query,) = material.queries
        assert (query.id, query.text, query.relevant) == ("math-qa/1", "why", {"math-qa/b": 1})
        assert query.pool == ("math-qa/a", "math-qa/b")
        assert query.order == ("math-qa/b", "math-qa/a")
        assert query.reasoning == "[2] fits."
        assert material.corpus["math-qa/a"].text == "A."

    async def test_orders_may_be_left_behind(self, path: Path) -> None:
        (query,) = (await loaded(kind="released", path=path, ordered=False)).queries
        assert (query.order, query.reasoning) == ((), "")

    async def test_a_text_that_is_missing(self, path: Path) -> None:
        (path.parent / "id_doc" / "math-qa_id_doc.json").write_text('{"a": "A."}')
        with pytest.raises(DataError, match="holds no text of 'b', which a list of math-qa names"):
            await loaded(kind="released", path=path)

    async def test_a_dataset_without_a_file(self, path: Path) -> None:
        (path.parent / "id_query" / "math-qa_id_query.json").unlink()
        with pytest.raises(DataError, match="0 of its 1 JSON files belong to dataset 'math-qa'"):
            await loaded(kind="released", path=path)


class TestClicks:
    def click(self, document: str, position: int, search: str, query: str = "q") -> dict[str, Any]:
        return {"query": query, "document": document, "source": "click", "position": position, "search": search}

    def rating(self, document: str, grade: float, source: str = "human") -> dict[str, Any]:
        return {"query": "q", "document": document, "source": source, "grade": grade}

    def test_ratings_are_grades_and_people_are_trusted_more(self) -> None:
        rows = [self.rating("a", 3), self.rating("a", 0, "model"), self.rating("b", 1, "model"), self.rating("c", 0)]
        assert graded(rows, {}, Clicks()) == {"q": {"a": 3, "b": 1, "c": 0}}

    def test_a_click_far_down_says_more_than_one_at_the_head(self) -> None:
        """Two clicks on place 1 weigh 2, two on place 4 weigh 8: the first is less than half of the second."""
        rows = [self.click("head", 1, "s1"), self.click("head", 1, "s2"), self.click("deep", 4, "s1")]
        rows += [self.click("deep", 4, "s3")]
        assert graded(rows, {}, Clicks()) == {"q": {"deep": 1}}
        assert graded(rows, {}, Clicks(eta=0)) == {"q": {"head": 1, "deep": 1}}
        assert graded(rows, {}, Clicks(most_weight=2)) == {"q": {"head": 1, "deep": 1}}

    def test_clicks_of_one_search_count_once(self) -> None:
        rows = [self.click("a", 1, "s1"), self.click("a", 1, "s1")]
        assert graded(rows, {}, Clicks()) == {"q": {}}
        assert graded(rows, {}, Clicks(least_clicks=1)) == {"q": {"a": 1}}

    def test_a_click_changes_no_rating_and_makes_nothing_irrelevant(self) -> None:
        rows = [self.click("a", 1, "s1"), self.click("a", 1, "s2"), self.rating("a", 0), self.rating("b", 2)]
        assert graded(rows, {}, Clicks()) == {"q": {"a": 0, "b": 2}}
        assert graded([self.rating("b", 2)], {}, None) == {"q": {"b": 2}}

    def test_a_click_that_names_its_search_alone_finds_its_query_in_the_log(self) -> None:
        rows = [{**self.click("a", 1, search), "query": None} for search in ("s1", "s2")]
        assert graded(rows, {"s1": "q", "s2": "q"}, Clicks()) == {"q": {"a": 1}}
        assert graded(rows, {}, Clicks()) == {}


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ([], "key 'sources': tuple should have at least 1 item"),
        ([{"kind": "beer", "path": "x"}], "'beer' found using 'kind' does not match any of the expected tags"),
        ([{"kind": "beir"}], "key 'sources.0.beir.path' is missing"),
        ([{"kind": "beir", "path": "x", "limits": 3}], "unknown key 'sources.0.beir.limits'"),
        ([{"kind": "beir", "path": "x"}, {"kind": "documents", "path": "y/x"}], "two sources are called 'x'"),
    ],
)
def test_a_wrong_config_is_one_sentence(sources: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        checked(Options, {"sources": sources}, where="config")


@pytest.mark.parametrize(("share", "limit", "taken"), [(1.0, None, 12), (0.5, None, 6), (1.0, 5, 5), (0.01, None, 1)])
async def test_some_queries_are_taken_by_the_seed(tmp_path: Path, share: float, limit: int | None, taken: int) -> None:
    options = checked(
        Options, {"sources": [{"kind": "beir", "path": tmp_path, "share": share, "limit": limit}]}, where="x"
    )
    (source,) = options.sources
    names = list(QUERIES)
    first, again, other = (source.taken(names, seed) for seed in ("0", "0", "1"))
    assert len(first) == taken
    assert first == again == sorted(first, key=names.index)
    assert taken == 12 or first != other or taken == 1


@HERE
@pytest.mark.parametrize(
    ("source", "queries"),
    [
        ({"kind": "beir", "path": DATA / "scifact"}, 809),
        ({"kind": "answers", "path": DATA / "medquad_train" / "qa.jsonl"}, 14_000),
        ({"kind": "coding", "path": DATA / "leetcode_train" / "problems.jsonl"}, 3_000),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_real_data(source: dict[str, Any], queries: int) -> None:
    material = await loaded(**source)
    assert len(material.queries) >= queries
    assert all(query.text and (query.relevant or query.gold) for query in material.queries)
    assert all(name in material.corpus for query in material.queries for name in query.relevant)
