"""The profiles that come with the package: each is whole, and ranks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

import pytest

from es_reasonrank import Reranker, Status, load_profile
from es_reasonrank.engines.base import Capability, Request, Similarity
from es_reasonrank.rerank.fusion import fused
from es_reasonrank.rerank.loading import load_engine
from es_reasonrank.rerank.profile import profile_names
from es_reasonrank.settings import EngineSettings
from tests.unit.fakes import ScriptedEngine

DOCUMENTS = 25
PUBLISHED = {
    "coranking": ("cascade", "listwise", "2503.23427"),
    "direct-rank": ("pointwise", "relevance", "2510.08985"),
    "direct-rank-think": ("pointwise", "relevance", "2510.08985"),
    "embedded": ("sliding", "listwise", "2508.07050"),
    "encoder": ("pointwise", "encoder", "1908.10084"),
    "erank": ("pointwise", "graded", "2509.00520"),
    "first": ("sliding", "first_token", "2406.15657"),
    "grouprank": ("groups", "graded", "2511.11653"),
    "iranker": ("exclusion", "setwise", "2506.21638"),
    "rank-r1": ("heapsort", "setwise", "2503.06034"),
    "rank1": ("pointwise", "relevance", "2502.18418"),
    "rankgpt": ("sliding", "listwise", "2304.09542"),
    "rankvicuna": ("sliding", "listwise", "2309.15088"),
    "rankzephyr": ("sliding", "listwise", "2312.02724"),
    "reasonrank": ("sliding", "listwise", "2508.07050"),
    "small-ranker": ("pointwise", "encoder", "1908.10084"),
    "tdpart": ("partition", "listwise", "2405.14589"),
    "tfrank": ("pointwise", "graded", "2508.09539"),
    "tourrank": ("tournament", "listwise", "2406.11678"),
}


class Perfect(ScriptedEngine):
    """Answers whatever our prompts ask for: of the passages "number 0", "number 1"... the higher is the better."""

    capabilities = frozenset(Capability)

    def __init__(self) -> None:
        super().__init__(reply, likely=likely)

    async def similarity(self, query: str, texts: Sequence[str]) -> Similarity:
        return Similarity(tuple(float(text.split()[-1]) for text in texts))


def shown(request: Request) -> dict[str, int]:
    """The passages' numbers by their identifiers; a single passage has none."""
    return {name: int(number) for name, number in re.findall(r"\n\[(\w+)\] number (\d+)", text(request))}


def text(request: Request) -> str:
    return request.messages[-1]["content"]


def reply(request: Request) -> str:
    passages = shown(request)
    if "JSON" in text(request):
        answer = json.dumps({name: grade(number, 10) for name, number in passages.items()})
    elif "Which one" in text(request):
        answer = f"[{(min if 'least' in text(request) else max)(passages, key=passages.__getitem__)}]"
    else:
        answer = " > ".join(f"[{name}]" for name in sorted(passages, key=passages.__getitem__, reverse=True))
    return f"<think>a</think><answer>{answer}</answer>" if "<think>" in request.messages[0]["content"] else answer


def likely(request: Request, choices: Sequence[str]) -> list[float]:
    """Of identifiers, of true and false, or of grades."""
    passages = shown(request)
    if passages:
        return [math.log((passages[choice] + 1) / 1000) for choice in choices]
    (number,) = [int(number) for number in re.findall(r"Passage: number (\d+)", text(request))]
    if len(choices) == 2:
        return [math.log((number + 1) / 30), math.log((29 - number) / 30)]
    return [math.log(0.9 if choice == str(grade(number, len(choices) - 1)) else 0.001) for choice in choices]


def grade(number: int, highest: int) -> int:
    return highest * number // (DOCUMENTS - 1)


def test_every_published_ranker_is_there() -> None:
    """And beside them only the profile that ranks nothing."""
    assert set(PUBLISHED) == set(profile_names()) - {"identity"}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_it_says_what_it_is_and_where_it_is_from(name: str) -> None:
    profile = load_profile(name)
    strategy, judge, paper = PUBLISHED[name]
    assert (profile.name, profile.strategy["name"], profile.judge["name"]) == (name, strategy, judge)
    assert f"arXiv {paper}" in profile.source
    assert profile.summary.endswith(".")
    assert profile.needs.endswith(".")


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_its_engine_offers_what_its_judge_needs(name: str) -> None:
    """With a model named where the profile leaves that to its user."""
    profile = load_profile(name)
    if "model" not in profile.engine:
        assert "--model" in profile.needs
        profile = profile.served_by(EngineSettings(model="a/model"))
    assert Reranker.load(profile).ranker.judge.needs <= load_engine(profile).capabilities


@pytest.mark.parametrize("name", sorted(PUBLISHED))
async def test_it_ranks(name: str) -> None:
    """A perfect model's best comes to the head."""
    profile = load_profile(name)
    if name == "coranking":  # its own small ranker runs a real model
        profile = profile.assigned(["strategy.small=rankgpt"])
    ranking = await Reranker.load(profile, engine=Perfect()).arank("why", [f"number {n}" for n in range(DOCUMENTS)])
    assert ranking.trace.status is Status.OK, ranking.trace.windows[0].detail
    assert sorted(ranking.order) == list(range(DOCUMENTS))
    assert ranking.order[0] == min(DOCUMENTS, profile.depth) - 1


def test_the_two_arms_differ_in_the_thinking_alone() -> None:
    direct, thinking = load_profile("direct-rank"), load_profile("direct-rank-think")
    assert (direct.strategy, direct.engine, direct.depth) == (thinking.strategy, thinking.engine, thinking.depth)
    differing = {key for key in direct.judge.keys() | thinking.judge.keys() if direct.judge[key] != thinking.judge[key]}
    assert differing == {"template", "thinking", "chat_options"}


@pytest.mark.parametrize(("name", "method", "weight"), [("rank-r1", "min_max", 0.9), ("erank", "z", 0.8)])
async def test_the_papers_hybrids_with_bm25(name: str, method: str, weight: float) -> None:
    """What a profile says to set for it, in `profiles show` too, makes it."""
    profile = load_profile(name)
    hybrid = profile.assigned(re.findall(r"--set (\S+\w)", profile.needs))
    assert profile.fusion.method == "none"
    assert (hybrid.fusion.method, hybrid.fusion.weight) == (method, weight)
    documents = [{"text": f"number {12 * n}", "score": score} for n, score in enumerate((9.0, 8.0, -90.0))]
    own, joined = [
        await Reranker.load(each.assigned(["engine.model=m"]), engine=Perfect()).arank("why", documents)
        for each in (profile, hybrid)
    ]
    assert own.order == (2, 1, 0)
    old, new = [9.0, 8.0, -90.0], [own.scores[own.order.index(n)] for n in range(3)]
    assert list(joined.scores) == pytest.approx(sorted(fused(hybrid.fusion, old, new), reverse=True))


def test_settings_of_the_papers() -> None:
    assert load_profile("rank-r1").strategy == {"name": "heapsort", "children": 19, "k": 10}
    assert load_profile("tdpart").strategy == {"name": "partition", "window": 20, "k": 10, "budget": 20}
    assert load_profile("first").strategy == {"name": "sliding", "window": 20, "stride": 10}
    assert load_profile("grouprank").strategy["size"] == 20
    assert load_profile("coranking").strategy["head"] == 20
    assert load_profile("rank1").judge["thinking_tokens"] == 8192
    assert (load_profile("erank").judge["read"], load_profile("erank").judge["highest"]) == ("integer", 10)
    assert (load_profile("tfrank").judge["read"], load_profile("tfrank").judge["highest"]) == ("expectation", 4)
    assert load_profile("iranker").judge["select"] == "worst"
