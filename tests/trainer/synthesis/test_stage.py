"""The stage as a whole: whatever ends it early, what was finished is kept, and it says in a sentence what is wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.errors import DataError, EngineError, InputError, PartialError, ServiceError, SettingsError
from es_reasonrank.validation import checked
from tests.trainer.synthesis.conftest import TeacherServer
from tests.trainer.synthesis.world import DOCUMENTS, QRELS, QUERIES, beir, lines, working
from tests.unit.http_servers import answering
from trainer.lists import TrainingList, read_lists
from trainer.stages import Made
from trainer.synthesis.stage import Options, run

SMALL = {"bm25": False, "size": 6, "depth": 8}


def options(*sources: dict[str, Any], **more: Any) -> Options:
    return checked(Options, {"sources": list(sources), "candidates": SMALL, **more}, where="config")


def source(folder: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "beir", "path": beir(folder / "toy"), **more}


def model(server: TeacherServer, **more: Any) -> dict[str, Any]:
    return {**server.options, **more}


def lists_of(made: Made) -> list[TrainingList]:
    return list(read_lists(made.artifacts["lists"]))


class TestJudgments:
    """Without a model: by grade, then by all-MiniLM."""

    def test_lists_are_ordered_by_grade_and_similarity(self, tmp_path: Path) -> None:
        qrels = {**QRELS, "sky?0": {"sky-0": 1, "iron-0": 2}}
        made = run(working(tmp_path / "work"), options({"kind": "beir", "path": beir(tmp_path / "toy", qrels=qrels)}))
        found = {one.qid: one for one in lists_of(made)}
        assert found.keys() == QUERIES.keys()
        one = found["sky?0"]
        assert one.order[:2] == ("iron-0", "sky-0")
        assert one.order.index("sky-2") < one.order.index(
            next(name for name in one.order if "sky" not in name[:3] and name != "iron-0")
        )
        assert (one.reasoning, len(one.passages)) == ("", 6)
        assert made.numbers["lists"] == 12
        assert made.numbers["sources"]["toy"]["relevant_a_list"] == pytest.approx(13 / 12, abs=0.01)

    def test_it_is_the_same_again_for_the_same_seed(self, tmp_path: Path) -> None:
        first, again, other = (
            run(working(tmp_path / name), options(source(tmp_path), seed=seed)).artifacts["lists"].read_bytes()
            for name, seed in (("a", 1), ("b", 1), ("c", 2))
        )
        assert first == again != other

    def test_what_is_done_is_not_done_again(self, tmp_path: Path) -> None:
        said: list[str] = []
        toy = source(tmp_path)
        first = run(working(tmp_path / "work"), options(toy))
        again = run(working(tmp_path / "work", said), options(toy))
        assert again == first
        assert not said
        run(working(tmp_path / "work", said), options({**toy, "limit": 3}))
        assert said[0] == "toy: loading"

    def test_only_lists_and_reports_stay(self, tmp_path: Path) -> None:
        run(working(tmp_path / "work"), options(source(tmp_path)))
        kept = sorted(path.name for path in (tmp_path / "work").rglob("*") if path.is_file())
        assert kept == ["done.json", "leaks.jsonl", "leaks.jsonl", "lists.jsonl", "lists.jsonl"]

    def test_a_leak_that_was_planted_is_caught_and_reported(self, tmp_path: Path) -> None:
        queries = {"q": QUERIES["sky?0"].upper() + "!", "r": "who sails to the harbour of the old town in winter"}
        held = beir(tmp_path / "held", queries=queries, qrels={"q": {"cats-0": 1}, "r": {"sky-1": 1}}, split="test")
        made = run(working(tmp_path / "work"), options(source(tmp_path), leaks={"sets": [{"path": held}]}))
        found = lists_of(made)
        assert {one.qid for one in found} == QUERIES.keys() - {"sky?0", "sky?1", "cats?0"}
        assert not {"cats-0", "sky-1"} & {passage.id for one in found for passage in one.passages}
        rows = [json.loads(line) for line in made.artifacts["leaks"].read_text().splitlines()]
        assert {(row["what"], row["id"], row["how"]) for row in rows} == {
            ("query", "sky?0", "exact"),
            ("document", "cats-0", "exact"),
            ("document", "sky-1", "exact"),
        }
        assert made.numbers["sources"]["toy"]["leaks"] == {str(held): {"exact document": 2, "exact query": 1}}
        assert made.numbers["sources"]["toy"]["left_out"] == {"its documents leak": 2}

    def test_several_sources_stand_side_by_side(self, tmp_path: Path) -> None:
        qa = lines(
            tmp_path / "qa.jsonl", [{"question": "Why?", "answer": text} for text in list(DOCUMENTS.values())[:9]]
        )
        answers = {"kind": "answers", "path": qa, "name": "qa", "words": 10}
        made = run(working(tmp_path / "work"), options(source(tmp_path, limit=2), answers))
        assert made.numbers["sources"].keys() == {"toy", "qa"}
        assert made.numbers["sources"]["qa"]["left_out"] == {"no negative": 1}

    def test_no_list_at_all(self, tmp_path: Path) -> None:
        qa = lines(tmp_path / "qa.jsonl", [{"question": "Why?", "answer": "Because."}])
        with pytest.raises(InputError, match="no list could be made: qa: 1 no negative"):
            run(working(tmp_path / "w"), options({"kind": "answers", "path": qa, "name": "qa"}))

    def test_everything_leaks(self, tmp_path: Path) -> None:
        held = beir(tmp_path / "held", split="test")
        with pytest.raises(
            DataError, match="toy: no query is left to learn from: 24 of its queries and documents are in"
        ):
            run(working(tmp_path / "work"), options(source(tmp_path), leaks={"sets": [{"path": held}]}))

    def test_queries_are_made_by_a_model_alone(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="source toy has no queries, and teacher qrels makes none; use a model"):
            run(working(tmp_path / "work"), options({"kind": "documents", "path": beir(tmp_path / "toy")}))

    def test_finished_lists_pass_through(self, tmp_path: Path) -> None:
        """And neither a model nor a search is needed for them."""
        for kind, texts in (("id_query", {"1": "why"}), ("id_doc", {"a": "A text.", "b": "Another."})):
            (tmp_path / kind).mkdir()
            (tmp_path / kind / "law.json").write_text(json.dumps(texts))
        row = {"dataset": "law", "qid": "1", "initial_list": ["a", "b"], "final_list": ["b", "a"]}
        path = lines(tmp_path / "all.jsonl", [{**row, "reasoning": "[2] says why.", "relevant_docids": ["b"]}])
        chosen = checked(Options, {"sources": [{"kind": "released", "path": path, "name": "released"}]}, where="config")
        (one,) = lists_of(run(working(tmp_path / "work"), chosen))
        assert (one.order, one.reasoning) == (("law/b", "law/a"), "[2] says why.")


class TestModel:
    """With a model behind HTTP that answers, and fails, as told."""

    async def made(self, folder: Path, chosen: Options, said: list[str] | None = None) -> Made:
        return await asyncio.to_thread(run, working(folder, said), chosen)

    async def test_orders_and_chains_are_the_teachers(self, tmp_path: Path, teacher: TeacherServer) -> None:
        said: list[str] = []
        made = await self.made(tmp_path / "work", options(source(tmp_path), teacher=model(teacher)), said)
        for one in lists_of(made):
            assert one.order == tuple(passage.id for passage in reversed(one.passages))
            assert one.reasoning == "Of 6 passages the last is best."
        assert len(teacher.asked) == made.numbers["teacher"]["answers"] == made.numbers["estimate"]["calls"] == 12
        assert any("12 calls" in sentence for sentence in said)

    async def test_a_gold_answer_leads_to_a_selection(self, tmp_path: Path, teacher: TeacherServer) -> None:
        rows = [
            {"_id": f"p{place}", "statement": QUERIES[f"{topic}?0"], "solution_py": DOCUMENTS[f"{topic}-0"]}
            for place, topic in enumerate(("sky", "cats", "bread", "bees"))
        ]
        coding = {"kind": "coding", "path": lines(tmp_path / "coding" / "p.jsonl", rows)}
        made = await self.made(tmp_path / "work", options(coding, teacher=model(teacher)))
        found = lists_of(made)
        assert len(found) == 4
        for one in found:
            assert one.qid not in {passage.id for passage in one.passages}
            assert [passage.origin for passage in one.passages].count("selected") == len(one.relevant) == 1
        selecting = [prompt for prompt in teacher.asked if "every passage" in prompt]
        ranking = [prompt for prompt in teacher.asked if "every passage" not in prompt]
        assert (len(selecting), len(ranking)) == (8, 4)
        assert not any(
            row["solution_py"] in prompt for row in rows for prompt in ranking if row["statement"] in prompt[:99]
        )
        assert made.numbers["estimate"]["calls"] == 12
        assert made.numbers["estimate"]["guessed"] == 4

    async def test_made_queries_must_find_their_documents(self, tmp_path: Path, teacher: TeacherServer) -> None:
        held = lines(tmp_path / "test.jsonl", [{"_id": "t", "text": DOCUMENTS["cats-1"]}])
        teacher.queries = {DOCUMENTS["sky-0"]: "what do bees do with honey", DOCUMENTS["iron-0"]: "two\nlines"}
        documents = {"kind": "documents", "path": beir(tmp_path / "toy")}
        chosen = options(documents, teacher=model(teacher, round_trip=3), leaks={"sets": [{"path": held}]})
        made = await self.made(tmp_path / "work", chosen)
        found = {one.qid: one for one in lists_of(made)}
        assert found.keys() == {f"q-{name}" for name in DOCUMENTS} - {"q-sky-0", "q-iron-0", "q-cats-1"}
        assert all(one.relevant == {name.removeprefix("q-"): 1} for name, one in found.items())
        told = made.numbers["sources"]["toy"]
        assert told["left_out"] == {"the teacher makes no query": 1, "its made query does not find it": 1}
        assert told["leaks"] == {str(held): {"exact query": 1}}

    async def test_nothing_is_asked_before_somebody_agrees(self, tmp_path: Path, teacher: TeacherServer) -> None:
        prices = {"prices": {"prompt": 1.0, "generated": 1.0}, "limit": 0.0}
        said: list[str] = []
        chosen = options(source(tmp_path), teacher=model(teacher, **prices))
        with pytest.raises(SettingsError, match=r"12 calls.* more than the limit of 0\.00; nothing was asked yet"):
            await self.made(tmp_path / "work", chosen, said)
        assert not teacher.asked
        chosen = options(source(tmp_path), teacher=model(teacher, **prices, yes=True))
        made = await self.made(tmp_path / "work", chosen, said)
        assert made.numbers["lists"] == 12
        assert made.numbers["teacher"]["money"] <= made.numbers["estimate"]["money"]

    async def test_a_teacher_that_is_down(self, tmp_path: Path, teacher: TeacherServer) -> None:
        chosen = options(source(tmp_path), teacher=model(teacher))
        await teacher.server.close()
        with pytest.raises(ServiceError, match=r"gives no answer|cannot be reached"):
            await self.made(tmp_path / "work", chosen)

    async def test_a_teacher_that_goes_down_loses_nothing(self, tmp_path: Path, teacher: TeacherServer) -> None:
        teacher.fails_after = 5
        chosen = options(source(tmp_path), teacher=model(teacher))
        with pytest.raises(PartialError, match=r"the teacher failed 7 times, first: .*the teacher is ill; start again"):
            await self.made(tmp_path / "work", chosen)
        teacher.fails_after = None
        teacher.bodies.clear()
        made = await self.made(tmp_path / "work", chosen)
        assert made.numbers["lists"] == 12
        assert len(teacher.asked) == 7

    async def test_a_teacher_that_talks_nonsense(self, tmp_path: Path, teacher: TeacherServer) -> None:
        teacher.script = [answering(200, '{"choices": [{"message": {"content": "Yes!"}, "finish_reason": "stop"}]}')]
        documents = {f"d{number}": f"Fact number {number} of many." for number in range(30)}
        queries = {f"q{number}": f"which fact has number {number}" for number in range(30)}
        qrels = {f"q{number}": {f"d{number}": 1} for number in range(30)}
        many = {"kind": "beir", "path": beir(tmp_path / "m", documents=documents, queries=queries, qrels=qrels)}
        with pytest.raises(EngineError, match=r"answers nonsense: of 2[0-9] answers to 'order', 2[0-9] malformed"):
            await self.made(tmp_path / "work", options(many, teacher=model(teacher)))

    async def test_transcripts_of_several_runs_replay_as_one(self, tmp_path: Path, teacher: TeacherServer) -> None:
        teacher.fails_after = 5
        chosen = options(source(tmp_path), teacher=model(teacher, record=True))
        with pytest.raises(PartialError):
            await self.made(tmp_path / "work", chosen)
        teacher.fails_after = None
        made = await self.made(tmp_path / "work", chosen)
        replay = model(teacher, replay=made.artifacts["transcript"])
        await teacher.server.close()
        again = await self.made(tmp_path / "again", options(source(tmp_path), teacher=replay))
        assert lists_of(again) == lists_of(made)
