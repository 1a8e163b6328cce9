"""Bodies and answers of OpenAI-compatible servers, by both dialects."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.engines.base import Completion, Finish, Request, Sampling
from es_reasonrank.engines.chat import generation, next_token, permutation_pattern, read_completion, read_next_token
from es_reasonrank.errors import EngineError
from tests.unit.http_servers import choice

ASK = Request(({"role": "user", "content": "order these"},), max_tokens=50, stop=("</answer>",))
FULL = Request(
    ({"role": "user", "content": "x"},),
    max_tokens=5,
    sampling=Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.1, seed=0),
    prefix="<think>",
    chat_options={"enable_thinking": True},
)


def test_a_vllm_body_leaves_nothing_to_the_models_generation_config() -> None:
    call = generation(ASK)
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "messages": [{"role": "user", "content": "order these"}],
        "max_tokens": 50,
        "temperature": 0.0,
        "stop": ["</answer>"],
        "top_p": 1.0,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "include_stop_str_in_output": True,
    }


def test_another_servers_body_has_no_field_of_vllms() -> None:
    plain = Request(FULL.messages, max_tokens=5, sampling=FULL.sampling, chat_options=FULL.chat_options, stop=("a",))
    assert generation(plain, "openai").body == {
        "messages": [{"role": "user", "content": "x"}],
        "max_tokens": 5,
        "temperature": 0.6,
        "top_p": 0.95,
        "seed": 0,
        "stop": ["a"],
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"prefix": "<think>"}, "go on from a beginning"), ({"permutation": ("A", "B")}, "held to")],
)
def test_what_another_server_cannot_do_is_an_error(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EngineError, match=rf"{sentence}.*engine.dialect=vllm"):
        generation(Request(ASK.messages, max_tokens=5, **change), "openai")


def test_a_prefix_is_gone_on_from_by_the_prompts_tokens() -> None:
    call = generation(FULL, prompt=[1, 2, 3])
    assert call.path == "/v1/completions"
    assert call.body["prompt"] == [1, 2, 3]
    assert not {"messages", "continue_final_message", "chat_template_kwargs"} & set(call.body)
    assert [call.body[key] for key in ("top_p", "top_k", "min_p", "seed")] == [0.95, 20, 0.1, 0]


def test_a_prefix_without_tokens_is_the_chats_last_turn() -> None:
    call = generation(FULL)
    assert call.path == "/v1/chat/completions"
    assert call.body["messages"][-1] == {"role": "assistant", "content": "<think>"}
    assert call.body["continue_final_message"] is True
    assert call.body["add_generation_prompt"] is False
    assert call.body["chat_template_kwargs"] == {"enable_thinking": True}


def test_the_next_token_is_asked_for_by_ids() -> None:
    chat, plain = next_token(ASK, [5, 9]), next_token(FULL, [5, 9], prompt=[1])
    for call in (chat, plain):
        assert call.body["max_tokens"] == 1
        assert call.body["temperature"] == 0
        assert call.body["logprob_token_ids"] == [5, 9]
        assert "stop" not in call.body
    assert chat.body["logprobs"] is True
    assert plain.body["logprobs"] == 1


@given(st.permutations([f"[{number}]" for number in range(1, 13)]))
def test_the_pattern_of_a_permutation_takes_all_of_them(order: list[str]) -> None:
    texts = sorted(order)
    pattern = re.compile(permutation_pattern(texts))
    assert pattern.fullmatch(" > ".join(order))
    assert not pattern.fullmatch(" > ".join(order[:-1]))
    assert not pattern.fullmatch(" > ".join([*order[:-1], "[13]"]))


def test_a_pattern_is_of_the_texts_as_they_are() -> None:
    assert re.fullmatch(permutation_pattern(["a.b"]), "a.b")
    assert not re.fullmatch(permutation_pattern(["a.b"]), "axb")


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({"content": None, "reasoning_content": "cut"}, "length", Completion("", Finish.LENGTH, "cut", 7, 3)),
        ({"content": "[1]", "reasoning": "why"}, "stop", Completion("[1]", Finish.STOP, "why", 7, 3)),
        ({"content": None, "refusal": "I will not"}, "stop", Completion("I will not", Finish.REFUSED, "", 7, 3)),
        ({"content": ""}, "content_filter", Completion("", Finish.REFUSED, "", 7, 3)),
        ({"content": "[1]"}, None, Completion("[1]", Finish.STOP, "", 7, 3)),
    ],
)
def test_what_servers_answer(message: dict[str, Any], finish: str | None, expected: Completion) -> None:
    assert read_completion(choice(message, finish)) == expected


def test_a_plain_completion() -> None:
    answer = {"choices": [{"text": "[1]", "finish_reason": "length"}], "usage": {"prompt_tokens": 4}}
    assert read_completion(answer) == Completion("[1]", Finish.LENGTH, "", 4, 0)


@pytest.mark.parametrize("finish", ["abort", "error"])
def test_a_reply_that_was_broken_off_is_none(finish: str) -> None:
    with pytest.raises(EngineError, match=r"broke off") as caught:
        read_completion(choice({"content": "[3] > [1]"}, finish))
    assert caught.value.retryable


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": [{}]}, {"choices": [None]}, {"choices": "[1]"}])
def test_an_answer_of_another_shape(answer: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=r"holds no choice"):
        read_completion(answer)


def told(pairs: dict[int, Any]) -> dict[str, Any]:
    rows = [{"token": f"token_id:{token}", "logprob": value} for token, value in pairs.items()]
    return choice({"content": None}, "length", logprobs={"content": [{"top_logprobs": rows}]})


def test_log_probabilities_of_a_chat_and_of_a_plain_completion() -> None:
    assert read_next_token(told({9: -2.0, 5: -0.5, 1: -7}), [5, 9]).logprobs == (-0.5, -2.0)
    logprobs = {"top_logprobs": [{"token_id:5": -0.5, "token_id:9": -2.0}]}
    plain = {"choices": [{"text": "A", "finish_reason": "length", "logprobs": logprobs}]}
    assert read_next_token(plain, [5, 9]).logprobs == (-0.5, -2.0)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (told({5: -0.5}), "no log-probability of 1 of 2 tokens"),
        (told({5: None, 9: -1}), "no log-probability of 2 of 2 tokens"),
        (told({5: float("nan"), 9: -1}), "logits are not numbers"),
        (choice({"content": "A"}), "no log-probability of 2 of 2"),
        (choice({"content": "A"}, logprobs={"content": []}), "no log-probability of 2 of 2"),
        ({}, "holds no choice"),
    ],
)
def test_log_probabilities_that_are_not_there(answer: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        read_next_token(answer, [5, 9])
