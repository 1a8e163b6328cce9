"""Bad input from end to end: one sentence or a recorded outcome, and a complete permutation whatever happens.

What single parts make of it stands with their own tests; logits that are not numbers on a real model, in tests/model.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable

import pytest

from es_reasonrank import Outcome, Reranker, Status, load_profile
from es_reasonrank.engines.openai import OpenAIEngine, OpenAIOptions
from es_reasonrank.errors import SettingsError
from es_reasonrank.settings import EngineSettings
from tests.unit.fakes import ScriptedEngine, listwise, reverse
from tests.unit.http_servers import ScriptedServer, Step, answering, choice, dying, hanging
from tests.unit.test_judge_profiles import Perfect

BY_STRATEGY = {
    "sliding": "rankgpt",
    "single": "identity",
    "partition": "tdpart",
    "heapsort": "rank-r1",
    "exclusion": "iranker",
    "pointwise": "direct-rank",
    "tournament": "tourrank",
    "groups": "grouprank",
    "cascade": "coranking",
}
DOCUMENTS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
SIX = tuple(range(6))


def ranker(name: str, **changes: object) -> Reranker:
    """A profile over a perfect model: of the passages "number 0", "number 1"... the higher is the better."""
    own = ["strategy.small=rankgpt"] if name == "coranking" else []
    profile = load_profile(name).assigned([*own, *(f"{key}={value}" for key, value in changes.items())])
    return Reranker.load(profile, engine=Perfect())


@pytest.mark.parametrize("strategy", BY_STRATEGY)
@pytest.mark.parametrize("size", [0, 1, 2, 1000])
async def test_any_number_of_candidates(strategy: str, size: int) -> None:
    """A thousand are all reranked, and many of them have the same text."""
    reranker = ranker(BY_STRATEGY[strategy], depth=1000)
    assert reranker.profile.strategy["name"] == strategy
    documents = [f"number {number % 25}" for number in range(size)]
    ranking = await reranker.arank("why", documents)
    assert sorted(ranking.order) == list(range(size))
    assert len(ranking.scores) == size
    assert ranking.trace.status is (Status.OK if size > 1 else Status.SKIPPED)
    if size == 1000 and strategy != "single":
        assert next(iter(ranking)).text == "number 24"


@pytest.mark.parametrize("name", BY_STRATEGY.values())
async def test_empty_and_identical_texts(name: str) -> None:
    """Those without text keep their places and are not shown; the others are ranked among themselves."""
    documents = ["number 3", "", "number 3", " \n", "number 3", "\t"]
    ranking = await ranker(name, depth=9).arank("why", documents)
    assert [ranking.order[place] for place in (1, 3, 5)] == [1, 3, 5]
    assert sorted(ranking.order) == list(SIX)
    assert ranking.trace.status is Status.OK
    assert {place for window in ranking.trace.windows for place in window.shown} == {0, 2, 4}


async def test_a_window_that_is_larger_than_the_context() -> None:
    """Not even one token a passage fits; a smaller window of the same list does."""
    documents = [f"{name} " * 9 for name in DOCUMENTS]
    outcomes = {}
    for window in (6, 2):
        profile = listwise(answer_tokens=5).assigned([f"strategy.window={window}", "strategy.stride=1"])
        ranking = await Reranker.load(profile, engine=ScriptedEngine(reverse, context=64)).arank("why", documents)
        assert sorted(ranking.order) == list(SIX)
        outcomes[window] = set(ranking.trace.outcomes)
        detail = ranking.trace.windows[0].detail
        assert bool(detail) is (window == 6)
        if detail:
            assert detail.startswith("the prompt and its reply need ")
            assert "tokens with one token a passage, and the model has 64; shorten the query, the window" in detail
    assert outcomes == {6: {Outcome.ENGINE_ERROR}, 2: {Outcome.OK}}


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("strategy.stride=0", "profile small, strategy sliding: key 'stride': input should be greater than or equal"),
        ("strategy.stride=-3", "profile small, strategy sliding: key 'stride': input should be greater than or equal"),
        ("strategy.stride=5", "profile small, strategy sliding: "),
        ("strategy.window=1", "profile small, strategy sliding: key 'window'"),
    ],
)
def test_a_stride_that_leads_nowhere(assignment: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Reranker.load(listwise().assigned([assignment]))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["first", "rank1", "erank", "tfrank", "direct-rank", "direct-rank-think"])
def test_a_model_without_likelihoods_is_refused_when_it_is_loaded(name: str) -> None:
    profile = load_profile(name).served_by(EngineSettings(base_url="http://127.0.0.1:9", model="m"))
    with pytest.raises(SettingsError, match=r"needs an engine with .*logprobs.*, and engine 'openai' has text"):
        Reranker.load(profile.assigned(["engine.dialect=openai"]))


@pytest.mark.parametrize("name", ["first", "direct-rank", "tfrank"])
@pytest.mark.parametrize("likely", [math.nan, math.inf, -math.inf])
async def test_logits_that_are_not_numbers_order_nothing(name: str, likely: float) -> None:
    engine = ScriptedEngine(lambda request: "", likely=lambda request, choices: [likely] * len(choices))
    profile = load_profile(name).assigned(["engine.model=m"])
    ranking = await Reranker.load(profile, engine=engine).arank("why", DOCUMENTS)
    assert ranking.order == SIX
    assert set(ranking.trace.outcomes) == {Outcome.MALFORMED}
    assert "no likelihood for every choice" in ranking.trace.windows[0].detail


@pytest.fixture
async def served() -> AsyncIterator[Callable[..., Reranker]]:
    """Makes a reranker over a small server whose completions follow a script."""
    server = ScriptedServer()
    await server.server.start_server()
    engines: list[OpenAIEngine] = []

    def serve(*script: Step) -> Reranker:
        server.script = list(script)
        patience = 1.0 if hanging in script else 30.0
        engines.append(OpenAIEngine(OpenAIOptions(base_url=server.url, timeout=patience, attempts=1)))
        return Reranker.load(listwise(), engine=engines[-1])

    yield serve
    for engine in engines:
        await engine.aclose()
    await server.server.close()


PAGE = "<html><head><title>[4] > [3] > [2] > [1]</title></head><body>502, please try later</body></html>"
ORDER = choice({"content": "[4] > [3] > [2] > [1]"})


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (hanging, "gives no answer within 1 s"),
        (dying, "gives no answer"),
        (answering(502, PAGE, "text/html"), "answered 502: Bad Gateway"),
        (answering(200, PAGE, "text/html"), "answered with something that is not JSON"),
    ],
    ids=["hangs", "dies", "an error page", "a page"],
)
async def test_an_engine_that_fails(served: Callable[..., Reranker], step: Step, sentence: str) -> None:
    """From the start, or in the middle of a run: the windows before it count, and none of its words is an answer."""
    ranking = await served(step).arank("why", DOCUMENTS)
    assert ranking.order == SIX
    assert ranking.trace.outcomes == {Outcome.ENGINE_ERROR: 2}
    assert sentence in ranking.trace.windows[0].detail
    assert "[4]" not in ranking.trace.windows[0].detail
    begun = await served(ORDER, step).arank("why", DOCUMENTS)
    assert begun.order == (0, 1, 5, 4, 3, 2)
    assert [window.outcome for window in begun.trace.windows] == [Outcome.OK, Outcome.ENGINE_ERROR]
    assert begun.trace.status is Status.PARTIAL
