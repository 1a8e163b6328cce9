"""The proof that ranking is right: published logs of two rerankers, through our own strategy and parser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from es_reasonrank import Reranker, load_profile
from es_reasonrank.engines.base import Completion, Finish, Message, Request
from es_reasonrank.engines.replay import ReplayEngine, ReplayOptions
from es_reasonrank.evaluation.measures import by_place, measure
from es_reasonrank.evaluation.runs import read_qrels, read_run
from es_reasonrank.types import Outcome, Ranking, Window
from tests.replay import published

pytestmark = pytest.mark.skipif(
    not published.REPLIES.is_dir(), reason=f"needs the published logs and TREC DL19 under {published.SHARED}"
)


class Listening(ReplayEngine):
    """The replay engine, which keeps what it was asked."""

    def __init__(self, options: ReplayOptions) -> None:
        super().__init__(options)
        self.requests: list[Request] = []

    async def generate(self, request: Request) -> Completion:
        self.requests.append(request)
        return await super().generate(request)


class InOrder(Listening):
    """Each query's replies in the log's order: windows differ once a reply that names no order promotes nothing."""

    def __init__(self, options: ReplayOptions) -> None:
        super().__init__(options)
        self.replies: dict[str, list[str]] = {}
        for window in published.logged(published.UNTRAINED):
            self.replies.setdefault(letters(window.messages[1]["content"]), []).append(window.reply)

    async def generate(self, request: Request) -> Completion:
        return Completion(self.replies[letters(request.messages[1]["content"])].pop(0), Finish.STOP)


class Replayed(NamedTuple):
    """Every query of TREC DL19, ranked from a log."""

    rankings: dict[str, Ranking]
    requests: list[Request]

    @property
    def windows(self) -> list[Window]:
        return [window for ranking in self.rankings.values() for window in ranking.trace.windows]

    @property
    def orders(self) -> dict[str, list[str]]:
        return {query: [candidate.id for candidate in ranking] for query, ranking in self.rankings.items()}

    @property
    def ndcg(self) -> float:
        qrels = read_qrels(published.DL19 / "qrels" / "test.tsv")
        return round(measure(qrels, by_place(self.orders), ["nDCG@10"]).means["nDCG@10"], 4)


async def replay(name: str, kind: type[Listening], folder: Path) -> Replayed:
    template = published.write_template(name, folder / "template.yaml")
    recording = published.write_recording(name, folder / "log.jsonl")
    profile = load_profile("rankvicuna").assigned([f"judge.template={template}"])
    engine = kind(ReplayOptions(recording=recording, match=r"letters"))
    async with Reranker.load(profile, engine=engine) as reranker:
        rankings = {query: await reranker.arank(text, hits) for query, (text, hits) in published.candidates().items()}
    return Replayed(rankings, engine.requests)


@pytest.fixture(scope="module")
async def vicuna(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return await replay(published.RANKVICUNA, Listening, tmp_path_factory.mktemp("rankvicuna"))


@pytest.fixture(scope="module")
async def untrained(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return await replay(published.UNTRAINED, InOrder, tmp_path_factory.mktemp("untrained"))


def letters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)


def contents(messages: Iterable[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


def test_every_window_is_the_recorded_one(vicuna: Replayed) -> None:
    """Same passages in the same order in all 387; mojibake was repaired in the log, so letters count."""
    recorded = {letters(contents(window.messages)) for window in published.logged(published.RANKVICUNA)}
    assert {letters(contents(request.messages)) for request in vicuna.requests} == recorded
    assert len(vicuna.requests) == len(recorded) == 387
    assert Counter(window.outcome for window in vicuna.windows) == {Outcome.OK: 387}
    assert {len(window.shown) for window in vicuna.windows} == {20}


def test_prompts_are_equal_byte_for_byte(vicuna: Replayed) -> None:
    """But for 8 windows: mojibake that was repaired differently, and "[ 77 ]", which we neutralise as well."""
    recorded = {contents(window.messages) for window in published.logged(published.RANKVICUNA)}
    assert sum(contents(request.messages) in recorded for request in vicuna.requests) == 379


def test_the_result_is_the_published_one(vicuna: Replayed) -> None:
    run = read_run(published.DL19 / "published_rerank_runs" / "bm25_rankvicuna.trec")
    assert vicuna.orders == {query: [hit.id for hit in hits] for query, hits in run.items()}
    assert vicuna.ndcg == 0.6682


def test_replies_without_an_order_promote_nothing(untrained: Replayed) -> None:
    """386 of the untrained model's 387 replies name no ranking; its published run scraped digits and fell to 0.4517.

    The one reply that names an order names the incoming one.
    """
    assert Counter(window.outcome for window in untrained.windows) == {Outcome.MALFORMED: 386, Outcome.REPAIRED: 1}
    assert all(ranking.order == tuple(range(100)) for ranking in untrained.rankings.values())
    assert untrained.ndcg == 0.5058
