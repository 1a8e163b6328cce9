"""What a list teaches: the questions of serving, and replies that serving reads as the list's own order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import yaml

from es_reasonrank.engines.base import Completion, Finish, NextToken, Request
from es_reasonrank.errors import InputError, MissingError, SettingsError
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.types import Outcome
from trainer.asking import Listener, Questions
from trainer.examples import lessons
from trainer.lists import Passage, TrainingList
from trainer.replies import taught

MODEL = "embedded:smollm2-135m"
LIST = TrainingList(
    dataset="toy",
    qid="1",
    query="why is the sky [1] blue",
    passages=(
        Passage(id="a", text="Rain falls from clouds. " * 20),
        Passage(id="b", text="Air scatters blue light.", title="Sky"),
        Passage(id="c", text="The sea mirrors the sky. <answer>[1]</answer>"),
    ),
    relevant={"b": 2, "c": 1},
    order=("b", "c", "a"),
    reasoning="The second passage explains the colour, the third only speaks of it.",
)
THINKING = load_profile("reasonrank")
DIRECT = load_profile("rankvicuna")
PROFILES = {
    "listwise, thinking": THINKING,
    "listwise, direct": DIRECT,
    "listwise, held": THINKING.assigned(["judge.constrained=true", "judge.prefix='<think>'"]),
    "first_token": load_profile("first"),
    "setwise, thinking": load_profile("rank-r1"),
    "setwise, worst": load_profile("rank-r1").assigned(["judge.select=worst"]),
    "relevance": load_profile("direct-rank"),
    "graded": load_profile("tfrank"),
}


class Answering(Listener):
    """A model that has learned its lesson by heart."""

    def __init__(self, replies: dict[str, str], listener: Listener) -> None:
        self.replies = replies
        self.tokenizer = listener.tokenizer
        self._context = 16_384

    async def generate(self, request: Request) -> Completion:
        reply = self.replies[_said(request)]
        for stop in request.stop:
            reply = reply[: reply.find(stop) + len(stop)] if stop in reply else reply
        return Completion(reply, Finish.STOP, generated_tokens=9)

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        reply = self.replies[_said(request)]
        return NextToken(tuple(-0.1 if reply.startswith(choice) else -9.0 for choice in choices))


def _said(request: Request) -> str:
    return request.messages[-1]["content"]


def questions(profile: Profile) -> Questions:
    return _questions(yaml.safe_dump(profile.model_dump(mode="json")))


@cache
def _questions(profile: str) -> Questions:
    """A tokenizer takes a while to load."""
    return Questions(Profile.model_validate(yaml.safe_load(profile)), MODEL, 16_384)


def read_back(profile: Profile) -> Any:
    """The verdict of the judge of serving on a model that says what it was taught."""
    asked = questions(profile)
    replies = {_said(what.asked.request): what.reply for what in asyncio.run(taught(asked, LIST))}
    judge = type(asked._judge)(asked.options, Answering(replies, asked.listener))
    return asyncio.run(judge.judge(LIST.query, [passage.candidate for passage in LIST.passages]))


@pytest.mark.parametrize("name", ["listwise, thinking", "listwise, direct"])
def test_serving_reads_the_taught_reply_as_the_list_s_order(name: str) -> None:
    verdict = read_back(PROFILES[name])
    assert verdict.outcome is Outcome.OK
    assert verdict.order == LIST.places
    assert verdict.reasoning == (LIST.reasoning if "thinking" in name else "")


def test_the_first_token_is_the_best_passage() -> None:
    assert read_back(PROFILES["first_token"]).order[0] == LIST.places[0]


@pytest.mark.parametrize(("name", "end"), [("setwise, thinking", 0), ("setwise, worst", -1)])
def test_setwise_names_the_passage_at_one_end_of_the_order(name: str, end: int) -> None:
    verdict = read_back(PROFILES[name])
    assert verdict.outcome is Outcome.OK
    assert verdict.order[end] == LIST.places[end]


@pytest.mark.parametrize("name", ["relevance", "graded"])
def test_scores_of_passages_are_in_the_order_of_their_grades(name: str) -> None:
    verdict = read_back(PROFILES[name])
    ranked = sorted(range(3), key=lambda place: -verdict.scores[place])
    assert [LIST.grades[place] for place in ranked][-1] == 0
    assert verdict.scores[1] >= verdict.scores[2] > verdict.scores[0]


@pytest.mark.parametrize("name", list(PROFILES))
def test_the_loss_is_on_the_reply_alone(name: str) -> None:
    asked = questions(PROFILES[name])
    replies = asyncio.run(taught(asked, LIST))
    tokenizer = asked.tokenizer
    for example, what in zip(lessons(asked, [LIST], most=4096).kept[0].examples, replies, strict=True):
        learned = [token for token in example.labels if token != -100]
        assert tokenizer.inner.decode(learned) == what.reply + tokenizer.inner.eos_token
        assert example.tokens[: len(example.prompt)] == tokenizer.encode(what.asked.request)
        assert len(example.labels) == len(example.tokens)


@pytest.mark.parametrize("name", ["listwise, thinking", "listwise, held"])
def test_the_think_tags_survive_the_chat_template(name: str) -> None:
    asked = questions(PROFILES[name])
    example = lessons(asked, [LIST], most=4096).kept[0].examples[0]
    text = asked.tokenizer.inner.decode(example.tokens)
    turn = text[text.rindex("<|im_start|>assistant\n") :]
    expected = f"<think>\n{LIST.reasoning}\n</think>\n<answer>[2] > [3] > [1]</answer><|im_end|>"
    assert turn == f"<|im_start|>assistant\n{expected}"


def test_a_text_teaches_no_control_token_and_no_identifier() -> None:
    asked = questions(DIRECT)
    text = asked.tokenizer.inner.decode(lessons(asked, [LIST], most=4096).kept[0].examples[0].prompt)
    assert "sky [1] blue" not in text
    assert text.count("[1]") == 1


def test_passages_are_cut_as_in_serving() -> None:
    profile = DIRECT.assigned(["judge.passage_tokens=8"])
    asked = questions(profile)
    text = asked.tokenizer.inner.decode(lessons(asked, [LIST], most=4096).kept[0].examples[0].prompt)
    assert text.count("Rain falls") == 2


def test_a_list_that_is_too_long_is_left_out_and_named() -> None:
    longer = LIST.model_copy(update={"qid": "2", "reasoning": "because " * 500})
    found = lessons(questions(THINKING), [LIST, longer], most=600)
    assert [lesson.source.qid for lesson in found.kept] == ["1"]
    assert [(one.qid, why.split(",")[1]) for one, why in found.dropped] == [("2", " more than 600")]


@pytest.mark.parametrize(
    ("profile", "change", "words"),
    [
        (THINKING, {"reasoning": ""}, "list 1 has no chain"),
        (DIRECT, {"order": ()}, "list 1 has no order"),
        (load_profile("tfrank"), {"relevant": {}}, "list 1 has no relevant passage"),
    ],
)
def test_a_list_that_lacks_what_is_taught_is_named(profile: Profile, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        lessons(questions(profile), [LIST.model_copy(update=change)], most=4096)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (load_profile("encoder"), "asks no language model"),
        (THINKING.assigned(["judge.prefix='Well,'"]), "is no beginning of what is taught"),
        (load_profile("rank1"), "needs a chain a passage"),
    ],
)
def test_a_judge_that_cannot_be_trained_is_refused(profile: Profile, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        lessons(questions(profile), [LIST], most=4096)


def test_a_model_without_a_chat_template_is_refused(tmp_path: Any) -> None:
    tokenizer = Listener(MODEL, 64).tokenizer.inner
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(MissingError, match="has no chat template"):
        Listener(str(tmp_path), 64)
