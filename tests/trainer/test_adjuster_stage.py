"""The stage that trains the order adjuster: killed and gone on with, and served by the profile that it writes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from es_reasonrank.errors import InputError, SettingsError
from es_reasonrank.evaluation.runs import read_qrels, read_queries, read_texts
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.types import Outcome
from tests.trainer.test_evaluate import SMOKE
from trainer import evaluate
from trainer.adjuster import stage
from trainer.adjuster.trying import Head, Large, Trial, trials
from trainer.lists import Passage, TrainingList, write_lists
from trainer.stages import Made, Work

LARGE = load_profile("embedded").assigned(
    ["judge={name: first_token, template: listwise, identifiers: letters, prefix: '[', passage_tokens: 16}"]
)
LISTS, SIZE = 4, 4


def lists(count: int) -> list[TrainingList]:
    """Queries of the smoke set, each with a relevant passage among others."""
    qrels, queries = read_qrels(SMOKE / "qrels" / "train.tsv"), read_queries(SMOKE / "queries.jsonl")
    corpus = read_texts(SMOKE / "corpus.jsonl", {name for grades in qrels.values() for name in grades})
    names = list(corpus)
    made = []
    for query in list(qrels)[:count]:
        relevant = {name: grade for name, grade in list(qrels[query].items())[:1] if grade}
        others = [name for name in names if name not in qrels[query]][: SIZE - 1]
        shown = [*others, *relevant]
        passages = tuple(Passage(id=name, text=corpus[name].text) for name in shown)
        values = {"dataset": "smoke", "qid": query, "query": queries[query], "relevant": relevant}
        made.append(TrainingList(**values, passages=passages))
    return made


def work_in(folder: Path, small: str, count: int = LISTS, **artifacts: Path) -> Work:
    """A stage's, whose large ranker nobody has trained: what it makes of a head depends on the order all the more."""
    folder.mkdir(parents=True, exist_ok=True)
    write_lists(folder / "lists.jsonl", lists(count))
    given = {"lists": folder / "lists.jsonl", **artifacts}
    return Work(folder, given, small, LARGE, 7)


OPTIONS = stage.Options(orders=3, head=3, epochs=10, held_out=0.25)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, small: str) -> Made:
    return stage.run(work_in(tmp_path_factory.mktemp("adjuster"), small), OPTIONS)


def test_heads_are_tried_learned_from_and_measured(made: Made) -> None:
    numbers = made.numbers
    assert numbers["heads"] + numbers["left out"] == LISTS
    assert numbers["orders"] == 3 * numbers["heads"]
    assert numbers["pairs"] > 0
    policies = [numbers[f"nDCG@10, {policy}"] for policy in ("small", "reversed", "random", "learned")]
    assert all(0 < value <= 1 for value in policies)


def test_an_evaluation_knows_the_cascade(made: Made, tmp_path: Path) -> None:
    one = {"name": "dev", **dict.fromkeys(("queries", "corpus", "qrels", "run"), SMOKE)}
    options = evaluate.Options.model_validate({"sets": [one], "untrained": False})
    found = evaluate.rankers_of(Work(tmp_path, made.artifacts, "anything", LARGE, 7), options)
    assert {name: profile.strategy["name"] for name, profile in found.items()} == {"cascade": "cascade"}


async def test_the_profile_serves_what_was_learned(made: Made) -> None:
    """The large ranker is shown the small one's best, in the order that the adjuster makes of them."""
    profile = load_profile(made.artifacts["profile.cascade"])
    assert profile.strategy["adjuster"] == "learned"
    assert Path(profile.strategy["learned"]).parent == made.artifacts["adjuster"]
    async with Reranker.load(profile) as reranker:
        one = lists(1)[0]
        ranking = await reranker.arank(one.query, [passage.candidate for passage in one.passages])
    assert [window.stage for window in ranking.trace.windows] == ["small"] * SIZE + [""]
    assert ranking.trace.windows[-1].outcome is Outcome.OK
    assert len(ranking.trace.windows[-1].shown) == 3


def test_a_killed_stage_tries_no_head_twice_and_learns_nothing_where_no_order_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large ranker that is asked about each passage by itself does not mind in which order."""
    asked: list[int] = []

    async def counted(number: int, head: Head, large: Large, *, orders: int, seed: int) -> list[Trial]:
        asked.append(number)
        if len(asked) == 3:
            raise asyncio.CancelledError
        return await trials(number, head, large, orders=orders, seed=seed)

    monkeypatch.setattr(stage, "trials", counted)
    work, chosen = work_in(tmp_path, "anything"), OPTIONS.model_copy(update={"at_once": 1, "large": "encoder"})
    with pytest.raises(asyncio.CancelledError):
        stage.run(work, chosen)
    before = [json.loads(line) for line in (tmp_path / "tried.jsonl").read_text().splitlines()]
    with pytest.raises(InputError, match="no two orders of a head differ"):
        stage.run(work, chosen)
    after = [json.loads(line) for line in (tmp_path / "tried.jsonl").read_text().splitlines()]
    assert after[: len(before)] == before
    assert len(after) == 1 + LISTS
    assert len(asked) == len(set(asked)) + 1


def test_an_encoder_of_the_run_is_the_small_ranker(tmp_path: Path) -> None:
    work = work_in(tmp_path, "anything", 1, **{"encoder.mine": tmp_path / "trained"})
    small = load_profile(stage._small(work, "mine"))
    assert (small.judge["name"], small.engine["model"]) == ("encoder", str(tmp_path / "trained"))
    assert stage._small(work, "encoder") == "encoder"


def test_an_adapter_must_be_merged_first(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="put a stage merge in front"):
        stage.run(work_in(tmp_path, "anything", 1, adapter=tmp_path), OPTIONS)
